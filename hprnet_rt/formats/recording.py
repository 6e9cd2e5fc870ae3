"""Stored keypoints, whatever file they lie in: a header, and frames one after the other."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np

from hprnet_rt.errors import DataError
from hprnet_rt.types import Poses

__all__ = [
    "NONSENSE",
    "KeypointsFrame",
    "Recording",
    "checked",
    "in_short",
    "rate_of",
    "source_stem",
    "too_large_is_infinite",
]

NONSENSE: Final = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, MemoryError),
    *(RuntimeError, TypeError, ValueError),
)
"""What Python and NumPy raise over values that make no sense."""

_LETTERS: Final = 200
_LARGEST: Final = 2**63 - 1
_RATES: Final = (1e-3, 1e6)


@dataclass(frozen=True, eq=False)
class KeypointsFrame:
    """Everyone in one frame of a video.

    Attributes:
        number: of the frame in its source, from 0.
        pts_s: media time in seconds, None when unknown.
        poses: strongest first, in pixels of the source.
    """

    number: int
    pts_s: float | None
    poses: Poses


@dataclass(frozen=True, eq=False)
class Recording:
    """An opened file of keypoints.

    Attributes:
        header: what it says of itself beside the format: source, width, height, fps, model, options... Empty
            where the format has no place for it.
        frames: in ascending order, read as they are asked for; iterate once. A frame may raise `DataError`
            for damage in the middle of a file.
    """

    header: dict[str, Any]
    frames: Iterator[KeypointsFrame]


def in_short(what: object) -> str:
    """A value, or what an error says, in a line: some repeat half a file."""
    text = " ".join((repr(what) if isinstance(what, LookupError) else str(what)).split())
    text = text or type(what).__name__
    return text if len(text) <= _LETTERS else f"{text[:_LETTERS]}..."


def too_large_is_infinite() -> np.errstate:
    """While numbers are read: NumPy says nothing of those too large for float32, which `checked` finds."""
    return np.errstate(over="ignore", invalid="ignore")


def checked(recording: Recording, path: Path) -> Recording:
    """The same, whose frames are seen to be what they should be as they are read.

    Raises:
        DataError: the header is none, or has numbers that are not finite.
    """
    header: Any = recording.header
    try:
        json.dumps(header, allow_nan=False)
    except NONSENSE as error:
        raise DataError(f"{path} has a header that makes no sense: {in_short(error)}") from error
    if not isinstance(header, dict):
        raise DataError(f"{path} has a header that makes no sense: it is no object with names")
    return Recording(header, _checked_frames(recording.frames, path))


def _checked_frames(frames: Iterator[KeypointsFrame], path: Path) -> Iterator[KeypointsFrame]:
    last = -1
    while True:
        with too_large_is_infinite():
            frame = next(frames, None)
        if frame is None:
            return
        wrong = _what_is_wrong(frame, last)
        if wrong:
            raise DataError(f"{path}: frame {in_short(frame.number)} {wrong}")
        last = frame.number
        yield frame


def _what_is_wrong(frame: KeypointsFrame, last: int) -> str | None:
    """In words; None when it is a frame that may follow the one of the number `last`."""
    poses = frame.poses
    if not (isinstance(frame.number, int) and last < frame.number <= _LARGEST):
        return f"cannot come after frame {last}" if last >= 0 else "is no number of a frame"
    if frame.pts_s is not None and not np.isfinite(frame.pts_s):
        return f"is at {frame.pts_s} s"
    if not all(np.isfinite(each).all() for each in (poses.score, poses.box_xyxy, poses.person_score)):
        return "has scores or boxes that are not numbers"
    known = np.isfinite(poses.face_xyxy)
    if not (known.all(axis=1) | np.isnan(poses.face_xyxy).all(axis=1)).all():
        return "has half a face box"
    absent = np.isnan(poses.xy).all(axis=2)
    if not (absent | np.isfinite(poses.xy).all(axis=2)).all():
        return "has half a point"
    return "has a score of a point that is absent" if poses.score[absent].any() else None


def rate_of(header: Mapping[str, Any]) -> float | None:
    """Frames a second; None where the header says none, or one that makes no sense."""
    fps = header.get("fps")
    least, most = _RATES
    return float(fps) if isinstance(fps, int | float) and least <= fps <= most else None


def source_stem(header: Mapping[str, Any]) -> str:
    """What files of a recording are called: as its video, "video" where that is unknown."""
    source = str(header.get("source") or "").split("?")[0]
    stem = PurePosixPath(source.replace("\\", "/")).stem
    return "".join(letter if letter.isprintable() else "_" for letter in stem) or "video"
