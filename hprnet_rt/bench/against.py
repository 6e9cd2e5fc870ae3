"""What has changed from one run to the next, beyond the noise of both."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final

import numpy as np

from hprnet_rt.bench.machine import identity
from hprnet_rt.bench.report import Report, Series
from hprnet_rt.errors import UsageError

__all__ = ["Change", "Comparison", "compare_reports", "require_alike", "require_same_settings"]

_LEAST: Final = 0.03  # a change of less is none
_BLOCKS: Final = 8
_LEAST_SPREAD: Final = 0.002  # of the logarithm: clocks tick
_CERTAIN: Final = 2.58  # standard deviations, one false alarm in a hundred series
_ENOUGH: Final = 4  # series from which a common drift can be told


@dataclass(frozen=True)
class Change:
    """One series in two runs.

    Attributes:
        name: case and stage.
        old_ms, new_ms: medians.
        ratio: new to old, after what all series have in common is taken out.
        low, high: the interval of the ratio.
        whole: it is a sum of other series.
    """

    name: str
    old_ms: float
    new_ms: float
    ratio: float
    low: float
    high: float
    whole: bool

    @property
    def beyond_noise(self) -> bool:
        """More than 3%, and the interval excludes 1."""
        return abs(math.log(self.ratio)) > math.log1p(_LEAST) and not self.low <= 1.0 <= self.high


@dataclass(frozen=True)
class Comparison:
    """Two runs.

    Attributes:
        common: how much longer everything takes in the new run: the machine's mood, or all of the code.
        changes: every series that both have.
    """

    common: float
    changes: tuple[Change, ...]

    @property
    def named(self) -> tuple[Change, ...]:
        """Those beyond noise; a sum is named only when none of its case's parts is."""
        found = [change for change in self.changes if change.beyond_noise]
        explained = {_case(change.name) for change in found if not change.whole}
        return tuple(change for change in found if not (change.whole and _case(change.name) in explained))

    def to_text(self) -> str:
        """The named changes, or that there are none."""
        lines = []
        if abs(self.common - 1.0) > _LEAST:
            lines.append(
                f"everything takes {self.common:.2f} times as long as then: the machine, or all of the code; "
                "taken out below"
            )
        lines += [
            f"changed: {each.name}: {each.old_ms:.3f} ms -> {each.new_ms:.3f} ms, {each.ratio:.2f} times "
            f"({each.low:.2f} to {each.high:.2f})"
            for each in self.named
        ]
        if not self.named:
            lines.append(f"no change beyond noise in {len(self.changes)} figures")
        return "\n".join(lines)


def _case(name: str) -> str:
    return name.partition(": ")[0]


def _spreads(report: Report, *, drift: bool) -> dict[str, float]:
    """Standard deviation of the logarithm of each series' median, by name.

    A run is one sample of how the machine felt, and how differently it can feel shows in the medians of
    consecutive parts of the run. So their spread counts in full, not divided by their number.

    Args:
        report: whose series took turns where they have as many rounds as each other.
        drift: whether what at least four such series have in common, part by part, counts too.
    """
    found: dict[str, float] = {}
    for rounds, series in groupby(sorted(report.series, key=_rounds), _rounds):
        alike = list(series)
        count = min(_BLOCKS, rounds // 2)
        if count < 2:
            found |= {each.name: math.inf for each in alike}
            continue
        blocks = [np.array_split(np.asarray(each.rounds_ms), count) for each in alike]
        logs = np.log([[np.median(block) for block in of_one] for of_one in blocks])
        logs -= logs.mean(axis=1, keepdims=True)
        parts = logs[[not each.whole for each in alike]]
        if not drift and len(parts) >= _ENOUGH:
            logs -= np.median(parts, axis=0)
        deviations = np.maximum(_LEAST_SPREAD, logs.std(axis=1, ddof=1))
        found |= {each.name: float(value) for each, value in zip(alike, deviations, strict=True)}
    return found


def _rounds(series: Series) -> int:
    return len(series.rounds_ms)


def require_alike(old: Report, kind: str, facts: Mapping[str, Any]) -> None:
    """See, before anything is measured, that a report is of a command and of a machine.

    Args:
        old: the earlier report.
        kind: the command of the new one.
        facts: of its machine, from `machine()`.

    Raises:
        UsageError: it is of another command or machine.
    """
    if old.kind != kind:
        raise UsageError(f"figures of bench {old.kind} cannot be compared with those of bench {kind}")
    one, other = identity(old.machine), identity(facts)
    if one != other:
        raise UsageError(
            f"figures of two machines cannot be compared: then {_said(one)}, now {_said(other)}; "
            "measure both on one"
        )


def require_same_settings(old: Report, settings: Mapping[str, Any]) -> None:
    """See that a report is of some settings, once these are known.

    Raises:
        UsageError: it is of others.
    """
    then, now = (json.loads(json.dumps(dict(each))) for each in (old.settings, settings))  # as in a file
    names = sorted(then.keys() | now.keys())
    unlike = [name for name in names if then.get(name) != now.get(name)]
    if unlike:
        pairs = [f"{name} {then.get(name)!r} and {now.get(name)!r}" for name in unlike]
        raise UsageError(f"figures of different settings cannot be compared: {'; '.join(pairs)}")


def _said(facts: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def compare_reports(old: Report, new: Report) -> Comparison:
    """What has changed beyond noise.

    The interval of each ratio of medians is as wide as the drift within both runs says. What at least four
    series have in common (the median of their ratios) is taken out, because a shared machine is faster or
    slower as a whole; then it does not count in the drift either.

    Raises:
        UsageError: they are of two machines, two commands or different settings, or have no figure in common.
    """
    require_alike(old, new.kind, new.machine)
    require_same_settings(old, new.settings)
    old, new = (_timed(report) for report in (old, new))
    before = {each.name: each for each in old.series}
    pairs = [(before[each.name], each) for each in new.series if each.name in before]
    if not pairs:
        raise UsageError("the earlier report has none of the figures of this one: measure both anew")
    logs = {b.name: math.log(b.p50_ms / a.p50_ms) for a, b in pairs}
    parts = [logs[b.name] for _, b in pairs if not b.whole]
    shared = len(parts) >= _ENOUGH
    common = float(np.median(parts)) if shared else 0.0
    spreads = [_spreads(report, drift=not shared) for report in (old, new)]
    changes = []
    for a, b in pairs:
        width = _CERTAIN * math.hypot(*(each[b.name] for each in spreads))
        ratio = logs[b.name] - common
        low, high = math.exp(ratio - width), math.exp(ratio + width)
        changes.append(Change(b.name, a.p50_ms, b.p50_ms, math.exp(ratio), low, high, b.whole))
    return Comparison(math.exp(common), tuple(changes))


def _timed(report: Report) -> Report:
    """The series whose every round took some time: a ratio of others says nothing."""
    return replace(report, series=tuple(each for each in report.series if min(each.rounds_ms, default=0) > 0))
