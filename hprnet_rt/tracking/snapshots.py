"""Tracking that can be continued after a stop: the state of trackers and filters at a frame."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hprnet_rt.tracking.steps import TemporalStep
from hprnet_rt.types import Poses

__all__ = ["Snapshots", "State"]

State = Mapping[str, np.ndarray[Any, Any]]
"""The memory of trackers and filters after a frame: arrays by name."""


class Snapshots:
    """Temporal steps as one, which keeps their state from time to time.

    It is called in one thread, and `at` in another one, for the frames that have gone through all stages.

    Args:
        steps: called one after the other.
        every_s: seconds between two snapshots.
        frames: number of frames that an earlier run has finished.
        state: of that run, after these frames.

    Raises:
        KeyError, ValueError: the state is of other steps.
    """

    def __init__(
        self,
        steps: Sequence[TemporalStep],
        every_s: float,
        frames: int = 0,
        state: State | None = None,
    ) -> None:
        self._steps = steps
        self._every_s = every_s
        self._frames = frames
        self._taken: deque[tuple[int, State]] = deque()
        self._last_s = time.perf_counter()
        if state:
            for n, step in enumerate(steps):
                own = f"{n}."
                step.restore(
                    {name[len(own) :]: value for name, value in state.items() if name.startswith(own)}
                )

    def __call__(self, poses: Poses, time_s: float) -> Poses:
        """Return everyone after all steps."""
        for step in self._steps:
            poses = step(poses, time_s)
        self._frames += 1
        now_s = time.perf_counter()
        if now_s - self._last_s >= self._every_s:
            self._last_s = now_s
            self._taken.append((self._frames, self._state()))
        return poses

    def _state(self) -> State:
        return {
            f"{n}.{name}": value for n, step in enumerate(self._steps) for name, value in step.state().items()
        }

    def at(self, frames: int) -> State | None:
        """Return the snapshot taken after `frames` frames, those of earlier runs included; None without one.

        Earlier snapshots are forgotten.
        """
        while self._taken and self._taken[0][0] < frames:
            self._taken.popleft()
        if self._taken and self._taken[0][0] == frames:
            return self._taken.popleft()[1]
        return None
