"""Ids that people keep from frame to frame."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hprnet_rt import skeleton
from hprnet_rt.errors import UsageError
from hprnet_rt.tracking import kernels
from hprnet_rt.types import Poses

__all__ = ["Tracker", "TrackerOptions", "require_time"]


@dataclass(frozen=True)
class TrackerOptions:
    """Options of `Tracker`.

    Attributes:
        patience_s: a person who was not seen for longer than this gets a new id.
        least_similarity: least OKS of a person with the expected pose of a track that they continue.
        joint_threshold: joints with a lower score are not compared.
        least_joints: where fewer joints can be compared, boxes are compared instead.
        max_tracks: people remembered at a time. When there are more, those unseen the longest are forgotten.

    Examples:
        >>> patient = hprnet_rt.Tracker(hprnet_rt.TrackerOptions(patience_s=10))
    """

    patience_s: float = 2.0
    least_similarity: float = 0.2
    joint_threshold: float = 0.2
    least_joints: int = 4
    max_tracks: int = 256

    def __post_init__(self) -> None:
        for name in ("least_similarity", "joint_threshold"):
            value = getattr(self, name)
            if not 0.0 < value <= 1.0:
                raise UsageError(f"{name} is above 0 and at most 1, got {value}")
        if not (math.isfinite(self.patience_s) and self.patience_s >= 0.0):
            raise UsageError(f"patience_s is a number of seconds, 0 or more, got {self.patience_s}")
        for name in ("least_joints", "max_tracks"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is at least 1, got {getattr(self, name)}")


def require_time(time_s: float) -> None:
    """Check that a frame's time is a finite number.

    Raises:
        UsageError: it is not a finite number.
    """
    if not math.isfinite(time_s):
        raise UsageError(f"a frame's time is a finite number of seconds, got {time_s}")


class Tracker:
    """Gives people ids that they keep from frame to frame. Use one for each video, in one thread.

    A person continues the track whose last pose, moved on at a speed that fades, is most like theirs in OKS
    of the body. Tracks are assigned so that the sum over everyone is the greatest; two people who cross keep
    their ids. Everyone gets an id in their first frame, from 0 upwards, and no two people get the same one.
    Compiles its kernels when it is made, so that no frame waits for that.

    Times may repeat. A time before that of the last call starts another sequence: all tracks end, and ids
    count on. A jump forward is a time in which nobody was seen: it ends the tracks when it is longer than
    `patience_s`.

    Args:
        options: how people are followed.

    Examples:
        >>> tracker = hprnet_rt.Tracker()  # `stream` has one of its own
        >>> tracker(model(image), 0.0).track_id.tolist()
        [0, 1, 2]

    Source: assigning by similarity to where tracks are expected is Bewley et al., "Simple Online and Realtime
    Tracking" (2016); OKS as that similarity is Xiao et al., "Simple Baselines for Human Pose Estimation and
    Tracking" (2018), section 3.2.
    """

    def __init__(self, options: TrackerOptions | None = None) -> None:
        self.options = options or TrackerOptions()
        self._rule = kernels.Rule(
            joint_threshold=float(self.options.joint_threshold),
            least_joints=self.options.least_joints,
            least_similarity=float(self.options.least_similarity),
            patience_s=float(self.options.patience_s),
        )
        self._tracks = self._nobody()
        self._next_id = 0
        self._last_s = -math.inf
        self._compile()

    def _nobody(self) -> kernels.Tracks:
        rows = self.options.max_tracks
        return kernels.Tracks(
            ids=np.full(rows, -1, np.int64),
            xy=np.full((rows, kernels.JOINTS, 2), np.nan, np.float32),
            box=np.zeros((rows, 4), np.float32),
            speed=np.zeros((rows, 2), np.float32),
            seen_s=np.zeros(rows),
            times=np.zeros(rows, np.int64),
        )

    def _compile(self) -> None:
        """Run once on imaginary people, every kernel included."""
        points = skeleton.NUM_KEYPOINTS
        xy, score = np.ones((2, points, 2), np.float32), np.ones((2, points), np.float32)
        self._follow(xy, score, np.ones((2, 4), np.float32), 0.0)
        self._follow(xy, score, np.ones((2, 4), np.float32), 0.0)
        self.reset()
        self._next_id = 0

    def __call__(self, poses: Poses, time_s: float) -> Poses:
        """Return the same people in the same order, with their ids.

        Args:
            poses: everyone in one frame, strongest first.
            time_s: the frame's time, in seconds from any start.

        Raises:
            UsageError: the time is not a finite number.
        """
        require_time(time_s)
        if time_s < self._last_s:
            self.reset()
        self._last_s = time_s
        return replace(poses, track_id=self._follow(poses.xy, poses.score, poses.box_xyxy, time_s))

    def _follow(
        self, xy: kernels.FloatArray, score: kernels.FloatArray, box: kernels.FloatArray, now_s: float
    ) -> kernels.IntArray:
        ids, self._next_id = kernels.follow(self._tracks, xy, score, box, now_s, self._next_id, self._rule)
        return ids

    def state(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return all that the tracker remembers, for `restore`."""
        kept = {name: value.copy() for name, value in self._tracks._asdict().items()}
        return {**kept, "next_id": np.array(self._next_id), "last_s": np.array(self._last_s)}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Continue from the `state` of a tracker with the same options.

        Raises:
            KeyError, ValueError: it is not the state of such a tracker.
        """
        for name, value in self._tracks._asdict().items():
            value[:] = state[name]
        self._next_id, self._last_s = int(state["next_id"]), float(state["last_s"])

    def reset(self) -> None:
        """End all tracks, as before another video. Ids count on."""
        self._tracks.ids[:] = -1
        self._last_s = -math.inf
