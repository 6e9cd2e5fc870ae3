"""JSON lines: a line with the header as an object, then a line with an object for each frame.

The format loses nothing; jobs write it first, and make the other formats from it.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TextIO

import numpy as np

from hprnet_rt import skeleton
from hprnet_rt.errors import DataError, OutputError
from hprnet_rt.files import PartialFile, output_errors, reason
from hprnet_rt.formats.format import Format
from hprnet_rt.formats.recording import NONSENSE, KeypointsFrame, Recording, in_short
from hprnet_rt.types import FramePoses, Poses

__all__ = [
    "JSONL",
    "KEYPOINTS_FORMAT",
    "KeypointsSink",
    "KeypointsStream",
    "frame_line",
    "header_line",
    "parse_frame",
    "parse_header",
    "read_jsonl",
    "write_jsonl",
]

_log = logging.getLogger(__name__)

_ABSENT: Final = (np.nan, np.nan, 0.0)
_UNKNOWN_BOX: Final = (np.nan,) * 4
KEYPOINTS_FORMAT: Final = "hprnet-rt-keypoints/1"
_FLUSH_FRAMES: Final = 30


def _as_objects(poses: Poses) -> list[dict[str, Any]]:
    """Return an object for each person: positions to 0.01 px, scores to 0.0001.

    An absent point is None; an unknown face box is left out.
    """
    xy = np.round(poses.xy.astype(np.float64), 2).tolist()
    scores = np.round(poses.score.astype(np.float64), 4).tolist()
    boxes = np.round(poses.box_xyxy.astype(np.float64), 2).tolist()
    faces = np.round(poses.face_xyxy.astype(np.float64), 2).tolist()
    face_known = (~np.isnan(poses.face_xyxy[:, 0])).tolist()
    present = (~np.isnan(poses.xy[..., 0])).tolist()
    people = []
    for n in range(len(poses)):
        points = zip(xy[n], scores[n], present[n], strict=True)
        track_id = int(poses.track_id[n])
        person: dict[str, Any] = {
            "track_id": None if track_id < 0 else track_id,
            "score": round(float(poses.person_score[n]), 4),
            "box_xyxy": boxes[n],
            "keypoints": [[x, y, score] if is_present else None for (x, y), score, is_present in points],
        }
        if face_known[n]:
            person["face_xyxy"] = faces[n]
        people.append(person)
    return people


def header_line(header: dict[str, Any]) -> str:
    """Return the first line of a file: the format, the names of the keypoints, and these fields."""
    fields = {"format": KEYPOINTS_FORMAT, "keypoint_names": list(skeleton.KEYPOINT_NAMES), **header}
    return _line(fields)


def frame_line(number: int, pts_s: float | None, poses: Poses) -> str:
    """Return the line of a frame; `pts_s` is its media time in seconds, None when unknown."""
    data = {
        "frame": number,
        "pts_s": None if pts_s is None else round(pts_s, 6),
        "people": _as_objects(poses),
    }
    return _line(data)


def _line_of(item: FramePoses) -> str:
    return frame_line(item.frame.sequence, item.frame.pts_s, item.poses)


def _line(data: dict[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":"), allow_nan=False) + "\n"


class KeypointsStream:
    """Writes JSON lines to an open stream, such as standard output, and flushes it after each line.

    Args:
        stream: is left open.
        header: fields of the header beside the format and the names of the keypoints.

    Raises:
        OutputError: the stream cannot be written.
        BrokenPipeError: the reader of the stream has gone.
    """

    def __init__(self, stream: TextIO, header: dict[str, Any]) -> None:
        self._stream = stream
        self._put(header_line(header))

    def write(self, item: FramePoses) -> None:
        """Write a frame.

        Raises:
            OutputError: the stream cannot be written.
            BrokenPipeError: the reader of the stream has gone.
        """
        self._put(_line_of(item))

    def write_frame(self, frame: KeypointsFrame) -> None:
        """Write a stored frame.

        Raises:
            OutputError: the stream cannot be written.
            BrokenPipeError: the reader of the stream has gone.
        """
        self._put(frame_line(frame.number, frame.pts_s, frame.poses))

    def _put(self, line: str) -> None:
        try:
            self._stream.write(line)
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(f"cannot write keypoints to standard output: {reason(error)}") from error


class KeypointsSink:
    """Writes JSON lines to a file.

    Args:
        path: the final name.
        header: fields of the header beside the format and the names of the keypoints.
        keep_bytes: how much of an existing partial file is kept, its header included; the sink appends to it.
            0 begins a new file.

    Raises:
        OutputError: the file cannot be created.
    """

    def __init__(self, path: Path, header: dict[str, Any], *, keep_bytes: int = 0) -> None:
        self._target = PartialFile(path)
        self.path = path
        self.partial_path = self._target.partial
        self._unflushed = 0
        if not keep_bytes:
            self._target.create()
        with output_errors(path):
            if keep_bytes:
                os.truncate(self.partial_path, keep_bytes)
            mode = "a" if keep_bytes else "w"
            self._file = self.partial_path.open(mode, encoding="utf-8", newline="\n")
            if not keep_bytes:
                self._file.write(header_line(header))

    def write(self, item: FramePoses) -> None:
        """Write a frame.

        Raises:
            OutputError: the file cannot be written.
        """
        with output_errors(self.path):
            self._file.write(_line_of(item))
            self._unflushed += 1
            if self._unflushed >= _FLUSH_FRAMES:
                self._unflushed = 0
                self._file.flush()

    def sync(self) -> int:
        """Bring all that was written to the disk, and return the size of the file in bytes.

        Raises:
            OutputError: the file cannot be written.
        """
        with output_errors(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())
            return os.fstat(self._file.fileno()).st_size

    def close(self, *, all_audio: bool = False) -> None:  # noqa: ARG002 - the same for all sinks
        """Complete the partial file; further calls do nothing.

        Raises:
            OutputError: the last lines cannot be written.
        """
        with output_errors(self.path):
            self._file.close()

    def frames_kept(self) -> int:
        """Count the frames whose lines are complete in the closed partial file, 0 after `commit`."""
        if not self.partial_path.exists():
            return 0
        with self.partial_path.open("rb") as file:
            return max(0, sum(line.endswith(b"\n") for line in file) - 1)

    def commit(self) -> None:
        """Give the closed file its final name."""
        self._target.commit()


def parse_header(line: str | bytes) -> dict[str, Any]:
    """Return the header in the first line of a file, without the format and the names of the keypoints.

    Raises:
        ValueError: the line is not a header of this format.
    """
    header = json.loads(line)
    if not isinstance(header, dict) or header.pop("format", None) != KEYPOINTS_FORMAT:
        raise ValueError(f"it does not begin with a header of {KEYPOINTS_FORMAT}")
    if header.pop("keypoint_names", None) != list(skeleton.KEYPOINT_NAMES):
        raise ValueError("its keypoints are not the 133 of COCO-WholeBody")
    return header


def parse_frame(line: str | bytes) -> KeypointsFrame:
    """Return the frame in a line of a file.

    Raises:
        Exception: one of `NONSENSE`: the line is not a frame.
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
    """Open a file of JSON lines; an incomplete last line is left out with a warning.

    Raises:
        DataError: the file cannot be read, or has no header of this format.
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
    """Write JSON lines; nothing is lost."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(header_line(header))
        for frame in frames:
            file.write(frame_line(frame.number, frame.pts_s, frame.poses))


JSONL: Final = Format(
    name="jsonl",
    suffix=".jsonl",
    summary="a line for each frame; loses nothing",
    read=read_jsonl,
    write=write_jsonl,
)
