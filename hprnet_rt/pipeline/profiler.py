"""Where the time goes: per stage, waiting and service apart, in constant memory."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Final

import numpy as np

__all__ = ["LatencyHistogram", "Profiler", "StageSummary"]

_SHORTEST_S: Final = 1e-7
_LONGEST_S: Final = 1e3
_STEP: Final = 1.02  # neighbouring bins differ by 2%


class LatencyHistogram:
    """Counts of durations in logarithmic bins 2% wide, so that a long video costs no memory."""

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
        """The duration that `percent` of the counted ones do not exceed, within 1%; None when empty."""
        if not self.count:
            return None
        rank = math.ceil(percent / 100 * self.count)
        return float(_SHORTEST_S * _STEP ** int(np.searchsorted(np.cumsum(self._counts), max(rank, 1))))


@dataclass(frozen=True)
class StageSummary:
    """One stage over a run; times in milliseconds, None before the first frame."""

    name: str
    frames: int
    service_p50_ms: float | None
    service_p95_ms: float | None
    service_p99_ms: float | None
    wait_p50_ms: float | None
    wait_p95_ms: float | None


class Profiler:
    """Collects wait and service times of named stages; any thread may record."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stages: dict[str, tuple[LatencyHistogram, LatencyHistogram]] = {}

    def record(self, stage: str, wait_s: float, service_s: float) -> None:
        """Count one frame of `stage`: time in the queue before it, and time inside it."""
        with self._lock:
            waits, services = self._stages.setdefault(stage, (LatencyHistogram(), LatencyHistogram()))
            waits.add(wait_s)
            services.add(service_s)

    def summary(self) -> list[StageSummary]:
        """Every stage in the order in which it first recorded."""
        with self._lock:
            return [_summarise(name, *histograms) for name, histograms in self._stages.items()]


def _summarise(name: str, waits: LatencyHistogram, services: LatencyHistogram) -> StageSummary:
    def ms(histogram: LatencyHistogram, percent: float) -> float | None:
        seconds = histogram.percentile_s(percent)
        return None if seconds is None else 1e3 * seconds

    return StageSummary(
        name,
        services.count,
        ms(services, 50),
        ms(services, 95),
        ms(services, 99),
        ms(waits, 50),
        ms(waits, 95),
    )
