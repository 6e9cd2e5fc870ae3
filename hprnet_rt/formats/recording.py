"""A recording: stored keypoints of any format as a header and frames."""

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
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""The errors that Python and NumPy raise over values that make no sense."""

_MAX_CHARACTERS: Final = 200
_LARGEST_NUMBER: Final = 2**63 - 1
_RATES: Final = (1e-3, 1e6)  # frames a second that make sense


@dataclass(frozen=True, eq=False)
class KeypointsFrame:
    """Everyone in one frame of a video.

    Attributes:
        number: the frame's number in its source, from 0.
        pts_s: media time in seconds, None when unknown.
        poses: strongest first, in pixels of the source.

    Examples:
        >>> frame = hprnet_rt.KeypointsFrame(0, 0.0, model(image))
        >>> hprnet_rt.write_keypoints("one.csv", {}, [frame])
    """

    number: int
    pts_s: float | None
    poses: Poses


@dataclass(frozen=True, eq=False)
class Recording:
    """An opened file of keypoints.

    Attributes:
        header: fields about the file beside its format: source, width, height, fps, model, options... Empty
            where the format has no place for it.
        frames: in ascending order, read as they are asked for; iterate once. The next frame may raise
            `DataError` for damage in the middle of a file.

    Examples:
        >>> recording = hprnet_rt.read_keypoints("video.jsonl")
        >>> recording.header["fps"], sum(len(frame.poses) for frame in recording.frames)
        (25.0, 18)
    """

    header: dict[str, Any]
    frames: Iterator[KeypointsFrame]


def in_short(value: object) -> str:
    """Return a value or the message of an error as one short line: some messages repeat half a file."""
    text = " ".join((repr(value) if isinstance(value, LookupError) else str(value)).split())
    text = text or type(value).__name__
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}..."


def too_large_is_infinite() -> np.errstate:
    """Return a context without NumPy's warnings of numbers too large for float32; `checked` finds them."""
    return np.errstate(over="ignore", invalid="ignore")


def checked(recording: Recording, path: Path) -> Recording:
    """Return the recording with frames that are checked as they are read.

    Raises:
        DataError: the header is not an object of names and values, or has numbers that are not finite. While
            iterating: a frame is out of order, or has a number that makes no sense.
    """
    header: Any = recording.header
    try:
        json.dumps(header, allow_nan=False)
    except NONSENSE as error:
        raise DataError(f"{path} has a header that makes no sense: {in_short(error)}") from error
    if not isinstance(header, dict):
        raise DataError(f"{path} has a header that makes no sense: it is not an object with names")
    return Recording(header, _checked_frames(recording.frames, path))


def _checked_frames(frames: Iterator[KeypointsFrame], path: Path) -> Iterator[KeypointsFrame]:
    last = -1
    while True:
        with too_large_is_infinite():
            frame = next(frames, None)
        if frame is None:
            return
        fault = _fault(frame, last)
        if fault:
            raise DataError(f"{path}: frame {in_short(frame.number)} {fault}")
        last = frame.number
        yield frame


def _fault(frame: KeypointsFrame, last: int) -> str | None:
    """Return what is wrong with a frame, None when it may follow the frame with the number `last`."""
    poses = frame.poses
    if not (isinstance(frame.number, int) and last < frame.number <= _LARGEST_NUMBER):
        return f"cannot come after frame {last}" if last >= 0 else "is no number of a frame"
    if frame.pts_s is not None and not np.isfinite(frame.pts_s):
        return f"is at {frame.pts_s} s"
    if not all(np.isfinite(values).all() for values in (poses.score, poses.box_xyxy, poses.person_score)):
        return "has scores or boxes that are not numbers"
    known = np.isfinite(poses.face_xyxy)
    if not (known.all(axis=1) | np.isnan(poses.face_xyxy).all(axis=1)).all():
        return "has half a face box"
    absent = np.isnan(poses.xy).all(axis=2)
    if not (absent | np.isfinite(poses.xy).all(axis=2)).all():
        return "has half a point"
    return "has a score of a point that is absent" if poses.score[absent].any() else None


def rate_of(header: Mapping[str, Any]) -> float | None:
    """Return the frames a second in a header, None where there is none or one that makes no sense."""
    fps = header.get("fps")
    least, most = _RATES
    return float(fps) if isinstance(fps, int | float) and least <= fps <= most else None


def source_stem(header: Mapping[str, Any]) -> str:
    """Return the name of a recording's video without its suffix, "video" where it is unknown."""
    source = str(header.get("source") or "").split("?")[0]
    stem = PurePosixPath(source.replace("\\", "/")).stem
    return "".join(letter if letter.isprintable() else "_" for letter in stem) or "video"
