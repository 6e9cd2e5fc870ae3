"""Following people through a video in a way that can be taken up again."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hprnet_rt.tracking.smoothing import OneEuro
from hprnet_rt.tracking.tracker import Tracker
from hprnet_rt.types import Poses

__all__ = ["Snapshots", "State"]

State = Mapping[str, np.ndarray[Any, Any]]
"""What trackers and filters remember after a frame: arrays by name."""


class Snapshots:
    """A tracker and what comes behind it, as one step that remembers from time to time where it was.

    It is called in one thread, and `at` in another one, for the frames that have gone through all stages.

    Args:
        steps: called one after the other.
        every_s: between two snapshots.
        frames: that an earlier run has done.
        state: of that run, after them.

    Raises:
        KeyError, ValueError: the state is of other steps.
    """

    def __init__(
        self,
        steps: Sequence[Tracker | OneEuro],
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
        """Everyone after all steps."""
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
        """The snapshot taken after so many frames, earlier runs' included; None when there is none.

        Those taken before are forgotten.
        """
        while self._taken and self._taken[0][0] < frames:
            self._taken.popleft()
        if self._taken and self._taken[0][0] == frames:
            return self._taken.popleft()[1]
        return None
