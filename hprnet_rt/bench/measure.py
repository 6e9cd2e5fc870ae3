"""Timing of tasks that take turns, until the times are known precisely enough or the time is up."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hprnet_rt.errors import UsageError

__all__ = [
    "Limits",
    "Measured",
    "half_width",
    "median_interval",
    "take_turns",
    "theil_sen",
    "time_steps",
]

Seconds = Mapping[str, float]
"""Seconds of one run of a task, by stage."""

Measured = dict[str, dict[str, list[float]]]
"""Task -> stage -> seconds of every round, in order."""

_CHECKS_EVERY: Final = 5  # rounds
_NORMAL_95: Final = 1.96


@dataclass(frozen=True)
class Limits:
    """When a measurement ends.

    Attributes:
        seconds: no round begins after this time.
        narrow: the measurement ends when half of the 95% interval of every watched median is at most this
            share of the median.
        least_rounds: least number of rounds, in any case.
        most_rounds: largest number of rounds.
        warm_up: rounds before the others, which do not count.
    """

    seconds: float = 60.0
    narrow: float = 0.01
    least_rounds: int = 5
    most_rounds: int = 5000
    warm_up: int = 2

    def __post_init__(self) -> None:
        if not self.seconds > 0 or not 0 < self.narrow < 1:
            raise UsageError(
                f"a measurement takes some seconds and ends within a part of 1, got {self.seconds}, "
                f"{self.narrow}"
            )
        if not 1 <= self.least_rounds <= self.most_rounds or self.warm_up < 0:
            raise UsageError(
                f"rounds are 1 or more, the least not above the most, got {self.least_rounds} to "
                f"{self.most_rounds} after {self.warm_up}"
            )


def median_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95% interval of the median, None below 6 values.

    Its ends are two order statistics, whatever the distribution.
    """
    count = len(values)
    if count < 6:
        return None
    ordered = np.sort(np.asarray(values))
    reach = _NORMAL_95 * math.sqrt(count) / 2
    low, high = math.floor(count / 2 - reach), math.ceil(count / 2 + reach)
    return float(ordered[max(low, 0)]), float(ordered[min(high, count - 1)])


def half_width(values: Sequence[float]) -> float:
    """Return half of the 95% interval of the median, in units of the median; infinite below 6 values."""
    interval = median_interval(values)
    if interval is None:
        return math.inf
    low, high = interval
    return (high - low) / 2 / max(float(np.median(values)), 1e-12)


def take_turns(
    tasks: Mapping[str, Callable[[], Seconds]],
    limits: Limits,
    *,
    watched: Sequence[str] = (),
    progress: Callable[[int, float], None] | None = None,
) -> Measured:
    """Run every task once per round, in a new order each round, so that a drift affects all tasks alike.

    Args:
        tasks: by name, functions that return the seconds of their stages.
        limits: when to stop.
        watched: stages whose medians must be known precisely, see `Limits.narrow`; all if empty.
        progress: called after each round with the number of rounds and the widest watched interval.
    """
    order, turns = list(tasks), random.Random(0)  # noqa: S311 - the same order in every run
    for _ in range(limits.warm_up):
        for task in tasks.values():
            task()
    measured: Measured = {name: {} for name in tasks}
    start_s, widest = time.perf_counter(), math.inf
    for number in range(1, limits.most_rounds + 1):
        turns.shuffle(order)
        for name in order:
            for stage, seconds in tasks[name]().items():
                measured[name].setdefault(stage, []).append(seconds)
        if number % _CHECKS_EVERY == 0:
            widest = max(
                half_width(values)
                for stages in measured.values()
                for stage, values in stages.items()
                if not watched or stage in watched
            )
        if progress is not None:
            progress(number, widest)
        late = time.perf_counter() - start_s >= limits.seconds
        if number >= limits.least_rounds and (late or widest <= limits.narrow):
            break
    return measured


def time_steps(*steps: tuple[str, Callable[[], object]]) -> dict[str, float]:
    """Run named steps one after the other, and return the seconds of each."""
    seconds = {}
    before = time.perf_counter()
    for name, step in steps:
        step()
        now = time.perf_counter()
        seconds[name] = now - before
        before = now
    return seconds


def theil_sen(x: Sequence[float], y: Sequence[float]) -> float:
    """Return the median slope between all pairs of points with different x; it is robust to outliers.

    Raises:
        UsageError: all x are equal.

    Source: Sen, "Estimates of the Regression Coefficient Based on Kendall's Tau" (1968).
    """
    slopes = [
        (y[j] - y[i]) / (x[j] - x[i]) for i in range(len(x)) for j in range(i + 1, len(x)) if x[i] != x[j]
    ]
    if not slopes:
        raise UsageError("a slope needs two different places")
    return float(np.median(slopes))
