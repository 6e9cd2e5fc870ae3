"""The report of a benchmark: a file with which a later run can be compared."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np

from hprnet_rt.bench.machine import machine, percentiles_ms
from hprnet_rt.bench.measure import Measured, half_width
from hprnet_rt.errors import DataError, OutputError
from hprnet_rt.files import output_errors

__all__ = ["BenchReport", "Series", "make_folder", "read_report", "series_of", "table", "write_report"]

_FORMAT: Final = "hprnet-rt-bench/1"
_NAMES: Final = {str: "text", dict: "an object", list: "a list", bool: "true or false"}
_KEPT: Final = 400  # most rounds in a file; if there are more, medians of consecutive rounds are kept

T = TypeVar("T")


@dataclass(frozen=True)
class Series:
    """The times of one stage of one case.

    Attributes:
        case: what was measured, such as "50 people".
        stage: the part of it.
        rounds_ms: milliseconds of every round, in order.
        whole: the stage is the sum of other stages of the case.
    """

    case: str
    stage: str
    rounds_ms: tuple[float, ...]
    whole: bool = False

    @property
    def name(self) -> str:
        """Case and stage."""
        return f"{self.case}: {self.stage}"

    @property
    def percentiles(self) -> dict[str, float]:
        """The p50, p95 and p99 in ms."""
        return percentiles_ms([value / 1e3 for value in self.rounds_ms])

    @property
    def p50_ms(self) -> float:
        """The median in ms."""
        return float(np.median(self.rounds_ms))


@dataclass(frozen=True)
class BenchReport:
    """The figures of a benchmark.

    Attributes:
        kind: the command: "people", "released", ...
        settings: of the run; two reports are comparable if their settings are equal.
        series: in the order of the tables.
        summary: results derived from the series.
        machine: from `machine()`.
    """

    kind: str
    settings: Mapping[str, Any]
    series: tuple[Series, ...]
    summary: Mapping[str, Any] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=machine)

    def find(self, case: str, stage: str) -> Series:
        """Return the series of a case and stage.

        Raises:
            KeyError: there is none.
        """
        return {(series.case, series.stage): series for series in self.series}[case, stage]

    def to_json(self) -> str:
        """Return the report as JSON, for `read_report`."""
        rows = [
            {
                "case": series.case,
                "stage": series.stage,
                "whole": series.whole,
                **series.percentiles,
                "rounds": len(series.rounds_ms),
                "half_width": _finite(half_width(series.rounds_ms)),
                "rounds_ms": [round(value, 5) for value in _condense(series.rounds_ms)],
            }
            for series in self.series
        ]
        data = {
            "format": _FORMAT,
            "kind": self.kind,
            "machine": dict(self.machine),
            "settings": dict(self.settings),
            "summary": dict(self.summary),
            "series": rows,
        }
        return json.dumps(data, indent=1) + "\n"

    def to_csv(self) -> str:
        """Return the report as CSV, one line per series, in milliseconds."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["case", "stage", "p50_ms", "p95_ms", "p99_ms", "rounds"])
        for series in self.series:
            writer.writerow([series.case, series.stage, *series.percentiles.values(), len(series.rounds_ms)])
        return text.getvalue()


def _finite(value: float) -> float | None:
    return round(value, 5) if np.isfinite(value) else None


def _condense(rounds_ms: Sequence[float]) -> list[float]:
    """Reduce the rounds to at most `_KEPT` values, in order: medians of consecutive rounds."""
    if len(rounds_ms) <= _KEPT:
        return list(rounds_ms)
    return [float(np.median(run)) for run in np.array_split(np.asarray(rounds_ms), _KEPT)]


def series_of(measured: Measured, wholes: Sequence[str] = ()) -> tuple[Series, ...]:
    """Make the series of a result of `take_turns`; stages in `wholes` are sums of others."""
    return tuple(
        Series(case, stage, tuple(1e3 * value for value in seconds), stage in wholes)
        for case, stages in measured.items()
        for stage, seconds in stages.items()
    )


def table(series: Sequence[Series]) -> str:
    """Return a table of text with case, stage and percentiles in ms, one line per series."""
    width = max((len(row.name) for row in series), default=0)
    lines = [f"{'ms':<{width}}{'p50':>11}{'p95':>11}{'p99':>11}{'+-':>7}{'rounds':>8}"]
    for row in series:
        spread = half_width(row.rounds_ms)
        spread_text = f"{100 * spread:6.1f}%" if np.isfinite(spread) else f"{'?':>7}"
        numbers = "".join(f"{value:11.3f}" for value in row.percentiles.values())
        lines.append(f"{row.name:<{width}}{numbers}{spread_text}{len(row.rounds_ms):8d}")
    return "\n".join(lines)


def make_folder(folder: Path) -> None:
    """Make the folder of the results. Call it before measuring, which can take an hour.

    Raises:
        OutputError: the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the folder {folder}: {error.strerror}; choose another --out"
        ) from error


def write_report(report: BenchReport, folder: Path) -> list[Path]:
    """Write KIND.json and KIND.csv, and return their paths.

    Raises:
        OutputError: a file cannot be written.
    """
    make_folder(folder)
    paths = []
    for suffix, text in ((".json", report.to_json()), (".csv", report.to_csv())):
        path = folder / f"{report.kind}{suffix}"
        with output_errors(path):
            path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


def read_report(path: Path) -> BenchReport:
    """Read a JSON file of `write_report`.

    Raises:
        DataError: the file is missing, is damaged, or is not a report.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read: {error}; give the JSON of an earlier bench") from error
    if not isinstance(data, dict) or data.get("format") != _FORMAT:
        raise DataError(f"{path} holds no figures of hprnet-rt bench ({_FORMAT})")
    try:
        return BenchReport(
            kind=_entry(data, "kind", str),
            settings=_entry(data, "settings", dict),
            series=tuple(_series(row) for row in _entry(data, "series", list)),
            summary=_entry(data, "summary", dict),
            machine=_entry(data, "machine", dict),
        )
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}; measure again") from error


def _entry(data: Any, key: str, kind: type[T]) -> T:
    """Return the value of a JSON object under a key.

    Raises:
        ValueError: `data` is not an object, or the value is not of this kind.
    """
    value = data.get(key) if isinstance(data, dict) else None
    if not isinstance(value, kind):
        raise ValueError(f"{key!r} holds {_cut(value)}, not {_NAMES[kind]}")
    return value


def _cut(value: object) -> str:
    """Return the beginning of a value, for a message."""
    return f"{value!r:.40}"


def _series(row: Any) -> Series:
    """Read one series of a file.

    Raises:
        ValueError: the row is damaged.
    """
    case, stage = _entry(row, "case", str), _entry(row, "stage", str)
    rounds = _entry(row, "rounds_ms", list)
    for value in rounds:
        if type(value) not in (int, float) or not 0 <= value <= sys.float_info.max:
            raise ValueError(f"a round of {case}: {stage} took {_cut(value)}, which is no time in ms")
    if not rounds:
        raise ValueError(f"{case}: {stage} has no rounds")
    return Series(case, stage, tuple(rounds), _entry(row, "whole", bool))
