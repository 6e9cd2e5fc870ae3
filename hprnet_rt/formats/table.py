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

from hprnet_rt.formats.recording import KeypointsFrame
from hprnet_rt.types import Poses
from hprnet_rt.types.values import VALUE_COLUMNS, from_values, to_values

__all__ = ["Row", "from_rows", "to_rows"]

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
        values = to_values(poses)
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
    return from_values(np.stack([row.values for row in people]), [row.track_id for row in people])
