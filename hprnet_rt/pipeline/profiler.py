"""Wait and service times of each stage, in constant memory."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from hprnet_rt.errors import UsageError

__all__ = ["LatencyHistogram", "Profiler", "Recent", "Span", "StageSummary"]

_SHORTEST_S: Final = 1e-7
_LONGEST_S: Final = 1e3
_STEP: Final = 1.02  # neighbouring bins differ by 2%
_RECENT: Final = 2048  # most frames of a stage in the window


class LatencyHistogram:
    """Counts of durations in logarithmic bins of 2%, whose memory does not grow with the video."""

    def __init__(self) -> None:
        bins = math.ceil(math.log(_LONGEST_S / _SHORTEST_S) / math.log(_STEP)) + 1
        self._counts = np.zeros(bins, np.int64)
        self.total_s = 0.0
        self.count = 0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        inside = min(max(seconds, _SHORTEST_S), _LONGEST_S)
        self._counts[round(math.log(inside / _SHORTEST_S) / math.log(_STEP))] += 1
        self.total_s += seconds
        self.count += 1

    def percentile_s(self, percent: float) -> float | None:
        """Return the duration that `percent` of the counted ones do not exceed, within 1%; None if empty."""
        if not self.count:
            return None
        rank = math.ceil(percent / 100 * self.count)
        return float(_SHORTEST_S * _STEP ** int(np.searchsorted(np.cumsum(self._counts), max(rank, 1))))


@dataclass(frozen=True)
class StageSummary:
    """The times of one stage in a run, in milliseconds; None before the first frame."""

    name: str
    frames: int
    service_p50_ms: float | None
    service_p95_ms: float | None
    service_p99_ms: float | None
    wait_p50_ms: float | None
    wait_p95_ms: float | None
    wait_p99_ms: float | None


@dataclass(frozen=True)
class Recent:
    """The times of one stage in the last seconds.

    Attributes:
        rate_hz: frames a second; it falls to 0 when no more frames come.
        wait_ms, service_ms: means; 0 without a frame.
    """

    rate_hz: float
    wait_ms: float
    service_ms: float


@dataclass(frozen=True)
class Span:
    """The time of one frame in one stage, by `time.perf_counter`.

    Attributes:
        stage: name of the stage; `Profiler.AGE` for the whole time from the capture until the frame is shown.
        sequence: number of the frame.
        wait_s: seconds in the queue before the stage.
        started_s, ended_s: start and end of the service.
    """

    stage: str
    sequence: int
    wait_s: float
    started_s: float
    ended_s: float


@dataclass
class _Record:
    """The records of one stage."""

    waits: LatencyHistogram = field(default_factory=LatencyHistogram)
    services: LatencyHistogram = field(default_factory=LatencyHistogram)
    recent: deque[tuple[float, float, float]] = field(default_factory=lambda: deque(maxlen=_RECENT))

    def since(self, start_s: float) -> list[tuple[float, float, float]]:
        """Return (ended, wait, service) of the frames that ended at `start_s` or later."""
        return [item for item in self.recent if item[0] >= start_s]


class Profiler:
    """Collects wait and service times of named stages; any thread may record.

    Args:
        window_s: length of the window of `recent`.
        spans: how many of the last `Span` are kept.

    Raises:
        UsageError: the window is not above 0, or spans is negative.
    """

    AGE: Final = "age"
    """The stage name under which the age of shown frames is recorded."""

    def __init__(self, *, window_s: float = 2.0, spans: int = 0) -> None:
        if window_s <= 0 or spans < 0:
            raise UsageError(f"a profiler looks back on some time and keeps spans, got {window_s}, {spans}")
        self._window_s = window_s
        self._lock = threading.Lock()
        self._stages: dict[str, _Record] = {}
        self._spans: deque[Span] = deque(maxlen=spans)

    def record(
        self, stage: str, wait_s: float, service_s: float, sequence: int = -1, ended_s: float | None = None
    ) -> None:
        """Record one frame of a stage.

        Args:
            stage: name of the stage.
            wait_s: seconds in the queue before the stage.
            service_s: seconds in the stage.
            sequence: number of the frame, for spans.
            ended_s: `time.perf_counter()` at the end; now when None.
        """
        ended_s = time.perf_counter() if ended_s is None else ended_s
        with self._lock:
            kept = self._stages.setdefault(stage, _Record())
            kept.waits.add(wait_s)
            kept.services.add(service_s)
            kept.recent.append((ended_s, wait_s, service_s))
            if self._spans.maxlen:
                self._spans.append(Span(stage, sequence, wait_s, ended_s - service_s, ended_s))

    def shown(self, sequence: int, captured_s: float, now_s: float | None = None) -> float:
        """Record one frame that was shown or written, and return its age in seconds.

        Args:
            sequence, captured_s: of the frame.
            now_s: `time.perf_counter()` when it was shown or written; now when None.
        """
        now_s = time.perf_counter() if now_s is None else now_s
        self.record(self.AGE, 0.0, now_s - captured_s, sequence, now_s)
        return now_s - captured_s

    def summary(self) -> list[StageSummary]:
        """Return every stage, in the order of their first records, without the age."""
        with self._lock:
            return [_summarise(name, kept) for name, kept in self._stages.items() if name != self.AGE]

    def age(self) -> StageSummary | None:
        """Return the age of shown frames, as the service time of a stage; None if none was shown."""
        with self._lock:
            kept = self._stages.get(self.AGE)
            return None if kept is None else _summarise(self.AGE, kept)

    def recent(self, now_s: float | None = None) -> dict[str, Recent]:
        """Return every stage in the last `window_s`, by name, with the age."""
        now_s = time.perf_counter() if now_s is None else now_s
        start_s = now_s - self._window_s
        with self._lock:
            last = {name: kept.since(start_s) for name, kept in self._stages.items()}
        result = {}
        for name, items in last.items():
            count = max(len(items), 1)
            rate_hz = _rate([ended_s for ended_s, _, _ in items], now_s)
            wait_s, service_s = (sum(item[field] for item in items) / count for field in (1, 2))
            result[name] = Recent(rate_hz, 1e3 * wait_s, 1e3 * service_s)
        return result

    def spans(self) -> list[Span]:
        """Return the last spans, in the order of their ends."""
        with self._lock:
            return list(self._spans)


def _rate(ended_s: list[float], now_s: float) -> float:
    """Return the rate of events: (n - 1) / (last - first), or n / (now - first) if the next one is overdue.

    So the rate falls during a stall.
    """
    if len(ended_s) < 2:
        return 0.0
    count, first, last = len(ended_s), ended_s[0], ended_s[-1]
    usual = (last - first) / (count - 1)
    if now_s - last > usual:
        return count / max(now_s - first, 1e-9)
    return 1.0 / max(usual, 1e-9)


def _summarise(name: str, kept: _Record) -> StageSummary:
    def ms(histogram: LatencyHistogram, percent: float) -> float | None:
        seconds = histogram.percentile_s(percent)
        return None if seconds is None else 1e3 * seconds

    return StageSummary(
        name=name,
        frames=kept.services.count,
        service_p50_ms=ms(kept.services, 50),
        service_p95_ms=ms(kept.services, 95),
        service_p99_ms=ms(kept.services, 99),
        wait_p50_ms=ms(kept.waits, 50),
        wait_p95_ms=ms(kept.waits, 95),
        wait_p99_ms=ms(kept.waits, 99),
    )
