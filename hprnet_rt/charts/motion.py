"""Keypoints over time: where a point of a person was, and how fast it moved, as far as it was seen."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from hprnet_rt import skeleton
from hprnet_rt.errors import DataError, UsageError
from hprnet_rt.formats import KeypointsFrame, Recording
from hprnet_rt.formats.recording import rate_of
from hprnet_rt.types import HAND_THRESHOLD, POINT_THRESHOLD

__all__ = ["Motion", "Track", "read_motion"]

FloatArray = npt.NDArray[np.float64]

_NAMELESS: Final = -1
_MOST_NAMED: Final = 12  # ids in a message


@dataclass(frozen=True, eq=False)
class Track:
    """One keypoint of one person over time.

    Attributes:
        person: the id; None where the file has no ids, and nobody but this person.
        point: the keypoint's name.
        time: (T,) ascending, in units of `Motion.unit`.
        xy: (T, 2) px in the source's picture, x right and y down; NaN where the point was not seen, or not
            surely enough.
    """

    person: int | None
    point: str
    time: FloatArray
    xy: FloatArray

    @property
    def seen(self) -> int:
        """The number of frames in which the point was seen."""
        return int(np.count_nonzero(~np.isnan(self.xy[:, 0])))

    def speed(self) -> tuple[FloatArray, FloatArray]:
        """Return the speed between frames that follow each other: times (T - 1,), and px a unit of time.

        A time is the middle between two frames; the speed is NaN where the point is missing in one of them.
        """
        passed = np.diff(self.time)
        moved = np.hypot(*np.diff(self.xy, axis=0).T)
        with np.errstate(divide="ignore", invalid="ignore"):
            speed = np.where(passed > 0, moved / passed, np.nan)
        return self.time[:-1] + passed / 2, speed


@dataclass(frozen=True, eq=False)
class Motion:
    """The tracks of a recording.

    Attributes:
        tracks: those of points that were seen at all: who was there longest first, each in the order of the
            points.
        unit: of time: "s", or "frame" where the recording knows no times.
        nameless: how many people of single frames were left out, because they have no id.
    """

    tracks: tuple[Track, ...]
    unit: str
    nameless: int


@dataclass(eq=False)
class _Rows:
    """The frames in which one person was: their place in the recording, number, time, and the points' xy."""

    index: list[int] = field(default_factory=list)
    number: list[int] = field(default_factory=list)
    time: list[float] = field(default_factory=list)
    xy: list[npt.NDArray[np.float32]] = field(default_factory=list)


def read_motion(
    recording: Recording,
    points: Sequence[str],
    people: Sequence[int] = (),
    *,
    point_threshold: float = POINT_THRESHOLD,
    hand_threshold: float = HAND_THRESHOLD,
    has_empty_frames: bool = True,
) -> Motion:
    """Read how points have moved.

    Args:
        recording: from `read_keypoints`.
        points: names in `skeleton.KEYPOINT_NAMES`.
        people: ids; all people when empty.
        point_threshold, hand_threshold: least score of a point that counts as seen, see `Poses.shown`.
        has_empty_frames: frames without anyone are in the recording too; otherwise a frame that is missing is
            one without anyone.

    Raises:
        UsageError: there is no such keypoint or person, the points were never seen, or people cannot be told
            apart because they have no ids.
        DataError: the recording is damaged, or its times go back.
    """
    indices = [skeleton.index(name) for name in points]
    clock = _Clock(rate_of(recording.header))
    rows: defaultdict[int, _Rows] = defaultdict(_Rows)
    most, step, last = 0, 0, -1
    for index, frame in enumerate(recording.frames):
        time = clock.time_of(frame)
        if index:
            step = min(step or frame.number - last, frame.number - last)
        last, most = frame.number, max(most, len(frame.poses))
        shown = frame.poses.shown(point_threshold, hand_threshold)
        for n, person in enumerate(frame.poses.track_id.tolist()):
            each = rows[person]
            each.index.append(index)
            each.number.append(frame.number)
            each.time.append(time)
            each.xy.append(np.where(shown[n, indices, None], frame.poses.xy[n, indices], np.float32(np.nan)))
    nameless = rows.pop(_NAMELESS, None)
    if nameless is not None and not rows:
        if most > 1 or people:
            raise UsageError(
                "nobody has an id in these keypoints, so that a person cannot be followed from frame to "
                "frame: take the file that annotate wrote without --no-track"
            )
        rows[_NAMELESS], nameless = nameless, None
    chosen = _chosen(rows, people)
    away_step = 0 if has_empty_frames else step
    tracks = [
        _track(person, name, column, rows[person], away_step)
        for person in chosen
        for column, name in enumerate(points)
    ]
    seen = tuple(track for track in tracks if track.seen)
    if not seen:
        raise UsageError(
            f"{' and '.join(points)} cannot be trusted in any frame: --point-threshold lowers the least score"
        )
    return Motion(seen, clock.unit, 0 if nameless is None else len(nameless.index))


def _chosen(rows: Mapping[int, _Rows], people: Sequence[int]) -> list[int]:
    """Return the ids that are asked for, or all, those who were there longest first.

    Raises:
        UsageError: nobody is there, or not one of those.
    """
    ids = sorted(rows, key=lambda person: (-len(rows[person].index), person))
    if not ids:
        raise UsageError("nobody is in these keypoints")
    if unknown := [person for person in people if person not in rows]:
        known = [*map(str, ids[:_MOST_NAMED]), *(["..."] if len(ids) > _MOST_NAMED else [])]
        raise UsageError(f"there is no person {unknown[0]} in these keypoints; there are {', '.join(known)}")
    return [person for person in ids if not people or person in people]


def _track(person: int, name: str, column: int, rows: _Rows, step: int) -> Track:
    """Return the track of one point, with a row of NaN where the person was away.

    Args:
        person: the id, or `_NAMELESS`.
        name, column: of the point, and its place in the rows.
        rows: of the person.
        step: between the numbers of frames; 0 where all frames are in the recording.
    """
    time, xy = np.array(rows.time), np.array([each[column] for each in rows.xy], np.float64)
    order = np.array(rows.number) // step if step else np.array(rows.index)
    away = np.flatnonzero(np.diff(order) > 1) + 1
    time, xy = np.insert(time, away, time[away]), np.insert(xy, away, np.nan, axis=0)
    return Track(None if person == _NAMELESS else person, name, time, xy)


class _Clock:
    """The time of frames: their own, or by the rate, or their number; the first frame decides.

    Attributes:
        unit: "s" or "frame".
    """

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._has_times: bool | None = None
        self._last = -math.inf
        self.unit = "frame" if rate is None else "s"

    def time_of(self, frame: KeypointsFrame) -> float:
        """Return the time of a frame.

        Raises:
            DataError: it has none, but frames before have, or it is before the time of the last one.
        """
        if self._has_times is None:
            self._has_times = frame.pts_s is not None
            self.unit = "s" if self._has_times else self.unit
        if (frame.pts_s is None) is self._has_times:
            has = "no" if self._has_times else "a"
            raise DataError(f"frame {frame.number} has {has} time, unlike the first one")
        time = frame.number / (self._rate or 1.0) if frame.pts_s is None else frame.pts_s
        if time < self._last:
            raise DataError(f"frame {frame.number} is at {time:g} s, before the one that it follows")
        self._last = time
        return time
