"""The temporal steps of a run: what is done to people from one frame to the next."""

from __future__ import annotations

from typing import Final

from hprnet_rt.tracking.smoothing import OneEuro
from hprnet_rt.tracking.tracker import Tracker

__all__ = ["LIVE_SMOOTHINGS", "temporal_steps"]

LIVE_SMOOTHINGS: Final = ("off", "one-euro")
"""Ways to smooth points over time, knowing the past."""


def temporal_steps(track: bool, smooth: str) -> list[Tracker | OneEuro]:
    """What gives people ids, and what steadies their points as they come: for `pose_stages`.

    Args:
        track: whether they get ids.
        smooth: "one-euro" steadies the points of people with ids; anything else does not.
    """
    if not track:
        return []
    return [Tracker(), OneEuro()] if smooth == "one-euro" else [Tracker()]
