"""The temporal steps of a run: those that need the frames before."""

from __future__ import annotations

from typing import Final

from hprnet_rt.tracking.smoothing import OneEuro
from hprnet_rt.tracking.tracker import Tracker

__all__ = ["LIVE_SMOOTHINGS", "temporal_steps"]

LIVE_SMOOTHINGS: Final = ("off", "one-euro")
"""Ways to smooth points over time from past frames alone."""


def temporal_steps(track: bool, smooth: str) -> list[Tracker | OneEuro]:
    """Return the steps that give people ids and smooth their points live, for `pose_stages`.

    Args:
        track: whether people get ids.
        smooth: with "one-euro" the points of people with ids are smoothed; otherwise they are not.
    """
    if not track:
        return []
    return [Tracker(), OneEuro()] if smooth == "one-euro" else [Tracker()]
