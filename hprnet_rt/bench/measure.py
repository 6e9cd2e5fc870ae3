"""Times of things that take turns, until they are known well enough or the time is up."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hprnet_rt.errors import UsageError

__all__ = ["Limits", "Measured", "half_width", "lapped", "take_turns", "theil_sen"]

Seconds = Mapping[str, float]
"""What one run of a task took, by stage."""

Measured = dict[str, dict[str, list[float]]]
"""Task -> stage -> seconds of every round, in order."""

_CHECKS_EVERY: Final = 5  # rounds
_NORMAL_95: Final = 1.96


@dataclass(frozen=True)
class Limits:
    """When there has been enough.

    Attributes:
        seconds: no round begins after this time.
        narrow: enough when the 95% interval of every watched median reaches at most this part of it to
            either side.
        least_rounds: in any case.
        most_rounds: never more.
        warm_up: rounds before, which are not counted.
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


def half_width(values: Sequence[float]) -> float:
    """Half of the 95% interval of the median, in units of the median; infinite for fewer than 6 values.

    The interval lies between two order statistics, whatever the distribution.
    """
    count = len(values)
    if count < 6:
        return math.inf
    ordered = np.sort(np.asarray(values))
    reach = _NORMAL_95 * math.sqrt(count) / 2
    low, high = math.floor(count / 2 - reach), math.ceil(count / 2 + reach)
    spread = ordered[min(high, count - 1)] - ordered[max(low, 0)]
    return float(spread / 2 / max(float(np.median(ordered)), 1e-12))


def take_turns(
    tasks: Mapping[str, Callable[[], Seconds]],
    limits: Limits,
    *,
    watched: Sequence[str] = (),
    progress: Callable[[int, float], None] | None = None,
) -> Measured:
    """Run every task once a round, in another order each round, so that a drift hits all alike.

    Args:
        tasks: each call returns the seconds of its stages.
        limits: when to stop.
        watched: stages whose medians must be narrow; all of them when empty.
        progress: called after each round with the rounds so far and the widest interval of those watched.
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


def lapped(*steps: tuple[str, Callable[[], object]]) -> dict[str, float]:
    """Seconds of each of some steps that are done one after the other."""
    seconds = {}
    before = time.perf_counter()
    for name, step in steps:
        step()
        now = time.perf_counter()
        seconds[name] = now - before
        before = now
    return seconds


def theil_sen(x: Sequence[float], y: Sequence[float]) -> float:
    """The median of the slopes between all pairs of points with different x: a few bad points do no harm.

    Raises:
        UsageError: there are no two different x.

    Source: Sen, "Estimates of the Regression Coefficient Based on Kendall's Tau" (1968).
    """
    slopes = [
        (y[j] - y[i]) / (x[j] - x[i]) for i in range(len(x)) for j in range(i + 1, len(x)) if x[i] != x[j]
    ]
    if not slopes:
        raise UsageError("a slope needs two different places")
    return float(np.median(slopes))
