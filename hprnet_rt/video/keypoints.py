"""Keypoints as JSON lines: a header object, then one object a frame."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final, TextIO

import numpy as np

from hprnet_rt import skeleton
from hprnet_rt.errors import OutputError
from hprnet_rt.files import PartialFile, reason
from hprnet_rt.types import Estimated, Poses

__all__ = ["KEYPOINTS_FORMAT", "KeypointsSink", "KeypointsStream", "frame_line", "header_line"]

KEYPOINTS_FORMAT: Final = "hprnet-rt-keypoints/1"
_FLUSH_FRAMES = 30


def _people(poses: Poses) -> list[dict[str, Any]]:
    """Plain lists; positions to 0.01 px, scores to 0.0001, absent points None, no face box where unknown."""
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
            "keypoints": [[x, y, score] if there else None for (x, y), score, there in points],
        }
        if face_known[n]:
            person["face_xyxy"] = faces[n]
        people.append(person)
    return people


def header_line(header: dict[str, Any]) -> str:
    """The first line of a file: these fields after the format and the keypoints' names."""
    first = {"format": KEYPOINTS_FORMAT, "keypoint_names": list(skeleton.KEYPOINT_NAMES), **header}
    return _line(first)


def frame_line(number: int, pts_s: float | None, poses: Poses) -> str:
    """The line of one frame, at its media time in seconds."""
    data = {
        "frame": number,
        "pts_s": None if pts_s is None else round(pts_s, 6),
        "people": _people(poses),
    }
    return _line(data)


def _line_of(item: Estimated) -> str:
    return frame_line(item.frame.sequence, item.frame.pts_s, item.poses)


def _line(data: dict[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":"), allow_nan=False) + "\n"


class KeypointsStream:
    """Writes the same lines to an open stream, standard output perhaps; each is flushed at once.

    Args:
        stream: stays open.
        header: as `KeypointsSink` takes it.

    Raises:
        OutputError: the stream takes no more.
        BrokenPipeError: its reader has gone.
    """

    def __init__(self, stream: TextIO, header: dict[str, Any]) -> None:
        self._stream = stream
        self._put(header_line(header))

    def write(self, item: Estimated) -> None:
        """Write one frame.

        Raises:
            OutputError: the stream takes no more.
            BrokenPipeError: its reader has gone.
        """
        self._put(_line_of(item))

    def _put(self, line: str) -> None:
        try:
            self._stream.write(line)
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(f"cannot write keypoints to standard output: {reason(error)}") from error


class KeypointsSink:
    """Writes `PATH` as JSON lines.

    Args:
        path: the final name.
        header: fields of the header object beside `format` and `keypoint_names`.
        keep_bytes: of the partial file that is there, header included; the sink goes on behind them.

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
        try:
            if keep_bytes:
                os.truncate(self.partial_path, keep_bytes)
            mode = "a" if keep_bytes else "w"
            self._file = self._target.partial.open(mode, encoding="utf-8", newline="\n")
            if not keep_bytes:
                self._file.write(header_line(header))
        except OSError as error:
            raise OutputError(f"cannot write {path}: {reason(error)}") from error

    def write(self, item: Estimated) -> None:
        """Write one frame.

        Raises:
            OutputError: the file cannot be written.
        """
        try:
            self._file.write(_line_of(item))
            self._unflushed += 1
            if self._unflushed >= _FLUSH_FRAMES:
                self._unflushed = 0
                self._file.flush()
        except OSError as error:
            raise OutputError(f"cannot write {self._target.path}: {reason(error)}") from error

    def sync(self) -> int:
        """See that what was written survives a loss of power; returns how many bytes that is.

        Raises:
            OutputError: the system refuses.
        """
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            return os.fstat(self._file.fileno()).st_size
        except OSError as error:
            raise OutputError(f"cannot write {self._target.path}: {reason(error)}") from error

    def close(self) -> None:
        """Finish the partial file; further calls do nothing.

        Raises:
            OutputError: the last lines cannot be written.
        """
        try:
            self._file.close()
        except OSError as error:
            raise OutputError(f"cannot write {self._target.path}: {reason(error)}") from error

    def frames_kept(self) -> int:
        """Whole lines of frames in the closed partial file, 0 when it has its final name already."""
        if not self.partial_path.exists():
            return 0
        with self.partial_path.open("rb") as file:
            return max(0, sum(line.endswith(b"\n") for line in file) - 1)

    def commit(self) -> None:
        """Give the closed file its final name."""
        self._target.commit()
