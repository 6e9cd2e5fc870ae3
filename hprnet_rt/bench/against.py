"""Comparison of two runs: the changes that exceed the noise of both."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final

import numpy as np

from hprnet_rt.bench.machine import identity
from hprnet_rt.bench.report import BenchReport, Series
from hprnet_rt.errors import UsageError

__all__ = ["Change", "Comparison", "compare_reports", "require_alike", "require_same_settings"]

_LEAST: Final = 0.03  # smaller changes do not count
_BLOCKS: Final = 8  # parts of a run, whose medians show its drift
_LEAST_SPREAD: Final = 0.002  # of the logarithm, because clocks have a resolution
_CERTAIN: Final = 2.58  # standard deviations: one false alarm in a hundred series
_ENOUGH: Final = 4  # least number of series from which a common drift is estimated


@dataclass(frozen=True)
class Change:
    """One series in two runs.

    Attributes:
        name: case and stage.
        old_ms, new_ms: medians.
        ratio: new to old, divided by the change that all series have in common.
        low, high: confidence interval of the ratio.
        whole: the series is a sum of others.
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
        """Whether the change is more than 3% and the interval excludes 1."""
        return abs(math.log(self.ratio)) > math.log1p(_LEAST) and not self.low <= 1.0 <= self.high


@dataclass(frozen=True)
class Comparison:
    """The comparison of two runs.

    Attributes:
        common: ratio of times, new to old, that all series have in common: a change of the machine's speed,
            or of all the code.
        changes: every series that both runs have.
    """

    common: float
    changes: tuple[Change, ...]

    @property
    def named(self) -> tuple[Change, ...]:
        """The changes beyond noise; a sum is left out if one of its case's parts is named."""
        found = [change for change in self.changes if change.beyond_noise]
        explained = {_case(change.name) for change in found if not change.whole}
        return tuple(change for change in found if not (change.whole and _case(change.name) in explained))

    def to_text(self) -> str:
        """Return the named changes as lines of text, or a line that says that there are none."""
        lines = []
        if abs(self.common - 1.0) > _LEAST:
            lines.append(
                f"everything takes {self.common:.2f} times as long as then: the machine, or all of the code; "
                "taken out below"
            )
        lines += [
            f"changed: {change.name}: {change.old_ms:.3f} ms -> {change.new_ms:.3f} ms, {change.ratio:.2f} "
            f"times ({change.low:.2f} to {change.high:.2f})"
            for change in self.named
        ]
        if not self.named:
            lines.append(f"no change beyond noise in {len(self.changes)} figures")
        return "\n".join(lines)


def _case(name: str) -> str:
    return name.partition(": ")[0]


def _spreads(report: BenchReport, *, drift: bool) -> dict[str, float]:
    """Return the standard deviation of the logarithm of each series' median, by name.

    A run is one sample of the machine's speed. How much the speed varies is seen in the medians of
    consecutive parts of the run. So the spread of these medians counts in full, not divided by their number.

    Args:
        report: series with the same number of rounds took turns in one run.
        drift: count also the variation, part by part, that at least four such series have in common.
    """
    found: dict[str, float] = {}
    for rounds, series in groupby(sorted(report.series, key=_rounds), _rounds):
        alike = list(series)
        count = min(_BLOCKS, rounds // 2)
        if count < 2:
            found |= {one.name: math.inf for one in alike}
            continue
        blocks = [np.array_split(np.asarray(one.rounds_ms), count) for one in alike]
        logs = np.log([[np.median(block) for block in blocks_of_one] for blocks_of_one in blocks])
        logs -= logs.mean(axis=1, keepdims=True)
        parts = logs[[not one.whole for one in alike]]
        if not drift and len(parts) >= _ENOUGH:
            logs -= np.median(parts, axis=0)
        deviations = np.maximum(_LEAST_SPREAD, logs.std(axis=1, ddof=1))
        found |= {one.name: float(value) for one, value in zip(alike, deviations, strict=True)}
    return found


def _rounds(series: Series) -> int:
    return len(series.rounds_ms)


def require_alike(old: BenchReport, kind: str, facts: Mapping[str, Any]) -> None:
    """Check that an earlier report is of the same command and machine, before anything is measured.

    Args:
        old: the earlier report.
        kind: command of the new one.
        facts: machine of the new one, from `machine()`.

    Raises:
        UsageError: the earlier report is of another command or machine.
    """
    if old.kind != kind:
        raise UsageError(f"figures of bench {old.kind} cannot be compared with those of bench {kind}")
    one, other = identity(old.machine), identity(facts)
    if one != other:
        raise UsageError(
            f"figures of two machines cannot be compared: then {_facts_text(one)}, now {_facts_text(other)}; "
            "measure both on one"
        )


def require_same_settings(old: BenchReport, settings: Mapping[str, Any]) -> None:
    """Check that an earlier report has these settings.

    Raises:
        UsageError: its settings differ.
    """
    then, now = (json.loads(json.dumps(dict(table))) for table in (old.settings, settings))  # as in a file
    names = sorted(then.keys() | now.keys())
    unlike = [name for name in names if then.get(name) != now.get(name)]
    if unlike:
        pairs = [f"{name} {then.get(name)!r} and {now.get(name)!r}" for name in unlike]
        raise UsageError(f"figures of different settings cannot be compared: {'; '.join(pairs)}")


def _facts_text(facts: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def compare_reports(old: BenchReport, new: BenchReport) -> Comparison:
    """Compare two reports, and find the changes beyond noise.

    The width of the interval of each ratio of medians follows from the drift within both runs. If there are
    at least four series, the median of their ratios is taken out, because a shared machine becomes faster or
    slower as a whole; a common drift within a run then does not count either.

    Raises:
        UsageError: the reports are of different machines, commands or settings, or have no series in common.
    """
    require_alike(old, new.kind, new.machine)
    require_same_settings(old, new.settings)
    old, new = (_timed(report) for report in (old, new))
    before = {series.name: series for series in old.series}
    pairs = [(before[series.name], series) for series in new.series if series.name in before]
    if not pairs:
        raise UsageError("the earlier report has none of the figures of this one: measure both anew")
    logs = {b.name: math.log(b.p50_ms / a.p50_ms) for a, b in pairs}
    parts = [logs[b.name] for _, b in pairs if not b.whole]
    shared = len(parts) >= _ENOUGH
    common = float(np.median(parts)) if shared else 0.0
    spreads = [_spreads(report, drift=not shared) for report in (old, new)]
    changes = []
    for a, b in pairs:
        width = _CERTAIN * math.hypot(*(spread[b.name] for spread in spreads))
        ratio = logs[b.name] - common
        changes.append(
            Change(
                name=b.name,
                old_ms=a.p50_ms,
                new_ms=b.p50_ms,
                ratio=math.exp(ratio),
                low=math.exp(ratio - width),
                high=math.exp(ratio + width),
                whole=b.whole,
            )
        )
    return Comparison(math.exp(common), tuple(changes))


def _timed(report: BenchReport) -> BenchReport:
    """Leave out series with a round that took no time: their ratios have no meaning."""
    timed = tuple(series for series in report.series if min(series.rounds_ms, default=0) > 0)
    return replace(report, series=timed)
