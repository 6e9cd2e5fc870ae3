"""Frames as the rows of a table: one row for each person in each frame, empty cells for unknown values.

A frame without anyone is one row in which `person` and all cells behind it are empty: no frame is lost, and
counting `person` by frame counts people.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Final

import numpy as np
import numpy.typing as npt

from hprnet_rt import skeleton
from hprnet_rt.formats.recording import KeypointsFrame
from hprnet_rt.types import Poses

__all__ = ["KEY_COLUMNS", "VALUE_COLUMNS", "Row", "from_rows", "to_rows"]

KEY_COLUMNS: Final = ("frame", "pts_s", "person", "track_id")
"""The frame's number, its time in seconds, the person's place in it (0 is the strongest), and track id."""

VALUE_COLUMNS: Final = (
    "score",
    *(f"{box}_{side}" for box in ("box", "face") for side in ("x1", "y1", "x2", "y2")),
    *(f"{name}_{value}" for name in skeleton.KEYPOINT_NAMES for value in ("x", "y", "score")),
)
"""The numbers of a person: positions in px, scores from 0 to 1."""

_POINTS: Final = 9  # where the keypoints begin
_NOBODY: Final = np.full(len(VALUE_COLUMNS), np.nan, np.float32)


@dataclass(frozen=True, eq=False)
class Row:
    """A person in a frame, or a frame without anyone.

    Attributes:
        frame: its number.
        pts_s: its media time in seconds, None when unknown.
        person: the person's place in the frame, None for nobody.
        track_id: None while unknown.
        values: (408,) float32 in the order of `VALUE_COLUMNS`, NaN where unknown or absent.
    """

    frame: int
    pts_s: float | None
    person: int | None
    track_id: int | None
    values: npt.NDArray[np.float32]


def to_rows(frames: Iterable[KeypointsFrame]) -> Iterator[Row]:
    """Yield the rows of frames, in their order."""
    for frame in frames:
        poses = frame.poses
        if not len(poses):
            yield Row(frame.number, frame.pts_s, None, None, _NOBODY)
        points = np.concatenate((poses.xy, poses.score[..., None]), axis=2)
        points[np.isnan(points[..., 0])] = np.nan
        values = np.concatenate(
            (
                poses.person_score[:, None],
                poses.box_xyxy,
                poses.face_xyxy,
                points.reshape(len(poses), 3 * skeleton.NUM_KEYPOINTS),
            ),
            axis=1,
        )
        for n, track_id in enumerate(poses.track_id.tolist()):
            yield Row(frame.number, frame.pts_s, n, None if track_id < 0 else track_id, values[n])


def from_rows(rows: Iterable[Row]) -> Iterator[KeypointsFrame]:
    """Yield the frames of rows, in their order; the rows of a frame follow one another."""
    keyed = (((row.frame, row.pts_s), row) for row in rows)
    for (number, pts_s), group in groupby(keyed, key=itemgetter(0)):
        people = [row for _, row in group if row.person is not None]
        yield KeypointsFrame(number, pts_s, _poses(people))


def _poses(people: list[Row]) -> Poses:
    if not people:
        return Poses.empty()
    values = np.stack([row.values for row in people])
    points = values[:, _POINTS:].reshape(len(people), skeleton.NUM_KEYPOINTS, 3)
    return Poses(
        np.ascontiguousarray(points[..., :2]),
        np.where(np.isnan(points[..., 2]), np.float32(0), points[..., 2]),
        values[:, 1:5],
        values[:, 5:9],
        values[:, 0],
        np.array([-1 if row.track_id is None else row.track_id for row in people], np.int64),
    )
