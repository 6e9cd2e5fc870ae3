"""JSON lines, the form that holds everything: the others are made of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from hprnet_rt import skeleton
from hprnet_rt.errors import DataError
from hprnet_rt.files import reason
from hprnet_rt.formats.recording import NONSENSE, KeypointsFrame, Recording, in_short
from hprnet_rt.types import Poses
from hprnet_rt.video.keypoints import KEYPOINTS_FORMAT, frame_line, header_line

__all__ = ["parse_frame", "parse_header", "read_jsonl", "write_jsonl"]

_log = logging.getLogger(__name__)

_ABSENT: Final = (np.nan, np.nan, 0.0)
_UNKNOWN_BOX: Final = (np.nan,) * 4


def parse_header(line: str | bytes) -> dict[str, Any]:
    """The header of a file, without the fields that are the same in all.

    Raises:
        ValueError: it is not one.
    """
    header = json.loads(line)
    if not isinstance(header, dict) or header.pop("format", None) != KEYPOINTS_FORMAT:
        raise ValueError(f"it does not begin with a header of {KEYPOINTS_FORMAT}")
    if header.pop("keypoint_names", None) != list(skeleton.KEYPOINT_NAMES):
        raise ValueError("its keypoints are not the 133 of COCO-WholeBody")
    return header


def parse_frame(line: str | bytes) -> KeypointsFrame:
    """One line of a file.

    Raises:
        Exception: one of `NONSENSE`: it is none.
    """
    data = json.loads(line)
    pts_s = data["pts_s"]
    return KeypointsFrame(int(data["frame"]), None if pts_s is None else float(pts_s), _poses(data["people"]))


def _poses(people: Sequence[dict[str, Any]]) -> Poses:
    if not people:
        return Poses.empty()
    points = np.array([[point or _ABSENT for point in person["keypoints"]] for person in people], np.float32)
    if points.shape[1:] != (skeleton.NUM_KEYPOINTS, 3):
        raise ValueError(f"a person has {skeleton.NUM_KEYPOINTS} keypoints of x, y, score, or null")
    ids = [-1 if person["track_id"] is None else person["track_id"] for person in people]
    return Poses(
        np.ascontiguousarray(points[..., :2]),
        np.ascontiguousarray(points[..., 2]),
        np.array([person["box_xyxy"] for person in people], np.float32),
        np.array([person.get("face_xyxy", _UNKNOWN_BOX) for person in people], np.float32),
        np.array([person["score"] for person in people], np.float32),
        np.array(ids, np.int64),
    )


def read_jsonl(path: Path) -> Recording:
    """Open a file of JSON lines. A last line that a crash cut off is left out, with a warning.

    Raises:
        DataError: it is no such file.
    """
    try:
        with path.open("rb") as file:
            header = parse_header(file.readline())
    except OSError as error:
        raise DataError(f"cannot read {path}: {reason(error)}") from error
    except (RecursionError, ValueError) as error:
        raise DataError(f"{path} is not a keypoints file: {in_short(error)}") from error
    return Recording(header, _frames(path))


def _frames(path: Path) -> Iterator[KeypointsFrame]:
    with path.open("rb") as file:
        next(file, None)
        for number, line in enumerate(file, start=2):
            if not line.endswith(b"\n"):
                _log.warning("%s ends in the middle of line %d, which is left out", path, number)
                return
            try:
                frame = parse_frame(line)
            except NONSENSE as error:
                raise DataError(
                    f"{path}, line {number}: not a frame of keypoints ({in_short(error)})"
                ) from error
            yield frame


def write_jsonl(path: Path, header: dict[str, Any], frames: Iterable[KeypointsFrame]) -> None:
    """Write JSON lines."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(header_line(header))
        for frame in frames:
            file.write(frame_line(frame.number, frame.pts_s, frame.poses))
