"""People as rows of numbers: the columns of the tables, which CSV, Parquet and pandas share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from hprnet_rt import skeleton
from hprnet_rt.types.poses import Poses

__all__ = ["KEY_COLUMNS", "VALUE_COLUMNS", "from_values", "to_values"]

KEY_COLUMNS: Final = ("frame", "pts_s", "person", "track_id")
"""The frame's number, its time in seconds, the person's place in it (0 is the strongest), and track id."""

VALUE_COLUMNS: Final = (
    "score",
    *(f"{box}_{side}" for box in ("box", "face") for side in ("x1", "y1", "x2", "y2")),
    *(f"{name}_{value}" for name in skeleton.KEYPOINT_NAMES for value in ("x", "y", "score")),
)
"""The numbers of a person: positions in px, scores from 0 to 1."""

_POINTS: Final = 9  # where the keypoints begin

FloatArray = npt.NDArray[np.float32]


def to_values(poses: Poses) -> FloatArray:
    """Return everyone as rows (N, 408) float32 of `VALUE_COLUMNS`, NaN where unknown or absent."""
    points = np.concatenate((poses.xy, poses.score[..., None]), axis=2)
    points[np.isnan(points[..., 0])] = np.nan
    return np.concatenate(
        (
            poses.person_score[:, None],
            poses.box_xyxy,
            poses.face_xyxy,
            points.reshape(len(poses), 3 * skeleton.NUM_KEYPOINTS),
        ),
        axis=1,
    )


def from_values(values: FloatArray, track_ids: Sequence[int | None]) -> Poses:
    """Return the people of rows (N, 408), the inverse of `to_values`; an id of None is unknown."""
    points = values[:, _POINTS:].reshape(len(values), skeleton.NUM_KEYPOINTS, 3)
    return Poses(
        np.ascontiguousarray(points[..., :2]),
        np.where(np.isnan(points[..., 2]), np.float32(0), points[..., 2]),
        values[:, 1:5],
        values[:, 5:9],
        values[:, 0],
        np.array([-1 if track_id is None else track_id for track_id in track_ids], np.int64),
    )
