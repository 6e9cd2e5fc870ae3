"""The temporal steps of a run: those that need the frames before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

import numpy as np

from hprnet_rt.tracking.largest import LargestPeople
from hprnet_rt.tracking.smoothing import OneEuro
from hprnet_rt.tracking.tracker import Tracker
from hprnet_rt.types import Poses

__all__ = ["LIVE_SMOOTHINGS", "TemporalStep", "temporal_steps"]

LIVE_SMOOTHINGS: Final = ("off", "one-euro")
"""Ways to smooth points over time from past frames alone."""


class TemporalStep(Protocol):
    """A step that remembers, and whose memory can be kept: `Tracker`, `LargestPeople`, `OneEuro`."""

    def __call__(self, poses: Poses, time_s: float) -> Poses:
        """Return the people of a frame at its time in seconds."""
        ...

    def state(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return all that is remembered, for `restore`."""
        ...

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Continue from such a state.

        Raises:
            KeyError, ValueError: it is not such a state.
        """
        ...


def temporal_steps(track: bool, smooth: str, max_people: int | None = None) -> list[TemporalStep]:
    """Return the steps that give people ids and smooth their points live, for `pose_stages`.

    Args:
        track: whether people get ids.
        smooth: with "one-euro" the points of people with ids are smoothed; otherwise they are not.
        max_people: the most people of a frame, see `LargestPeople`; None leaves all.

    Raises:
        UsageError: `max_people` is less than 1.
    """
    steps: list[TemporalStep] = [Tracker()] if track else []
    if max_people is not None:
        steps.append(LargestPeople(max_people))
    if track and smooth == "one-euro":
        steps.append(OneEuro())
    return steps
