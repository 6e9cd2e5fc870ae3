"""Traces of a run in a file, for a trace viewer (ui.perfetto.dev, chrome://tracing) or a spreadsheet.

The JSON is in the Trace Event Format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from hprnet_rt.errors import UsageError
from hprnet_rt.files import PartialFile
from hprnet_rt.pipeline.profiler import Profiler, Span

__all__ = ["check_trace_name", "write_trace"]

_Event = dict[str, Any]

_JSON: Final = ".json"
_CSV: Final = ".csv"
_PROCESS: Final = 1
_COLUMNS: Final = ("stage", "sequence", "wait_ms", "started_ms", "service_ms", "ended_ms")


def check_trace_name(path: Path) -> None:
    """Check that `write_trace` can write a file of this name.

    Raises:
        UsageError: the name ends neither in .json nor in .csv.
    """
    if path.suffix.lower() not in (_JSON, _CSV):
        raise UsageError(f"{path.name} is no name for a trace: end it in .json (Perfetto) or .csv (a table)")


def write_trace(path: Path, profiler: Profiler) -> None:
    """Write the spans of a profiler to a file.

    Args:
        path: a name with `.json` gets a trace with a lane for each stage, a bar for each frame from its
            capture until it is shown, the frames in flight over time, and the stages' percentiles in ms under
            `otherData`. A name with `.csv` gets a line for each span, with times in ms from the start of the
            first one.
        profiler: made with `spans` above 0; otherwise the trace has no spans.

    Raises:
        UsageError: the name ends neither in .json nor in .csv.
        OutputError: the file cannot be written; no part of it remains.
    """
    check_trace_name(path)
    text = _as_json(profiler) if path.suffix.lower() == _JSON else _as_csv(profiler)
    file = PartialFile(path)
    with file.writing() as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")
        file.commit()


def _first_s(spans: Sequence[Span]) -> float:
    return min((span.started_s for span in spans), default=0.0)


def _as_csv(profiler: Profiler) -> str:
    spans = profiler.spans()
    first_s = _first_s(spans)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(_COLUMNS)
    for span in spans:
        seconds = (
            span.wait_s,
            span.started_s - first_s,
            span.ended_s - span.started_s,
            span.ended_s - first_s,
        )
        table.writerow([span.stage, span.sequence, *(f"{1e3 * value:.3f}" for value in seconds)])
    return text.getvalue()


def _as_json(profiler: Profiler) -> str:
    spans, stages, age = profiler.spans(), profiler.summary(), profiler.age()
    first_s = _first_s(spans)
    lanes = {stage.name: lane for lane, stage in enumerate(stages, 1)}
    ages = [span for span in spans if span.stage == Profiler.AGE]
    events = [
        *_names(lanes),
        *(_service(span, lanes[span.stage], first_s) for span in spans if span.stage in lanes),
        *(event for span in ages for event in _begin_and_end(span, first_s)),
        *_in_flight(ages, first_s),
    ]
    if age is not None:
        stages = [*stages, age]
    summaries = {stage.name: asdict(stage) for stage in stages}
    data = {"traceEvents": events, "displayTimeUnit": "ms", "otherData": {"stages": summaries}}
    return json.dumps(data, separators=(",", ":"), allow_nan=False) + "\n"


def _us(seconds: float) -> float:
    """Convert seconds to microseconds, rounded to the nanosecond."""
    return round(1e6 * seconds, 3)


def _names(lanes: dict[str, int]) -> Iterator[_Event]:
    yield {"ph": "M", "name": "process_name", "pid": _PROCESS, "args": {"name": "hprnet-rt"}}
    for name, lane in lanes.items():
        place = {"ph": "M", "pid": _PROCESS, "tid": lane}
        yield {**place, "name": "thread_name", "args": {"name": name}}
        yield {**place, "name": "thread_sort_index", "args": {"sort_index": lane}}


def _service(span: Span, lane: int, first_s: float) -> _Event:
    """Return the event of a bar in the stage's lane."""
    return {
        "ph": "X",
        "cat": "stage",
        "name": span.stage,
        "pid": _PROCESS,
        "tid": lane,
        "ts": _us(span.started_s - first_s),
        "dur": _us(span.ended_s - span.started_s),
        "args": {"sequence": span.sequence, "wait_ms": round(1e3 * span.wait_s, 3)},
    }


def _begin_and_end(span: Span, first_s: float) -> tuple[_Event, _Event]:
    """Return the events of a frame's capture and end; the viewer gives overlapping frames separate lanes."""
    frame = {"cat": "frame", "name": "frame", "id": span.sequence, "pid": _PROCESS, "tid": 1}
    return (
        {**frame, "ph": "b", "ts": _us(span.started_s - first_s), "args": {"sequence": span.sequence}},
        {**frame, "ph": "e", "ts": _us(span.ended_s - first_s)},
    )


def _in_flight(ages: Sequence[Span], first_s: float) -> Iterator[_Event]:
    """Yield the number of frames captured and not yet shown, at each change; dropped frames do not count."""
    changes: dict[float, int] = {}
    for span in ages:
        for time_s, change in ((span.started_s, 1), (span.ended_s, -1)):
            changes[time_s] = changes.get(time_s, 0) + change
    count = 0
    for time_s in sorted(changes):
        count += changes[time_s]
        yield {
            "ph": "C",
            "name": "frames in flight",
            "pid": _PROCESS,
            "ts": _us(time_s - first_s),
            "args": {"frames": count},
        }
