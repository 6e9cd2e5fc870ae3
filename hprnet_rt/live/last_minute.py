"""The keypoints of the last minute, for viewers who want to keep them."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import fields
from typing import Any, Final

from hprnet_rt.formats.jsonl import frame_line, header_line
from hprnet_rt.types import FramePoses, Poses

__all__ = ["LastMinute"]

_SECONDS: Final = 60.0
_MOST_BYTES: Final = (
    32 << 20
)  # a minute of eleven people at 30 frames a second; a download takes twice as much
_FRAME_BYTES: Final = 1000  # of one without anyone


class LastMinute:
    """Holds the keypoints of the last seconds before the newest frame; any thread may add and read.

    Where they need too much memory, those of fewer seconds are held: see `seconds`.

    Args:
        header: of the file that viewers get.
        longest_s: seconds to hold.
        most_bytes: the largest size of what is held.
    """

    def __init__(
        self, header: dict[str, Any], *, longest_s: float = _SECONDS, most_bytes: int = _MOST_BYTES
    ) -> None:
        self._header = header
        self._longest_s, self._most_bytes = longest_s, most_bytes
        self._frames: deque[tuple[float, int, float | None, Poses]] = deque()  # captured, number, pts, poses
        self._bytes = 0
        self._changed = threading.Lock()  # guards the two above
        self._writing = threading.Lock()  # one download at a time takes a core

    def add(self, item: FramePoses) -> None:
        """Hold the keypoints of a frame, without its picture, and drop what is too old."""
        frame = item.frame
        with self._changed:
            self._frames.append((frame.captured_s, frame.sequence, frame.pts_s, item.poses))
            self._bytes += _size(item.poses)
            while (
                frame.captured_s - self._frames[0][0] > self._longest_s or self._bytes > self._most_bytes
            ) and len(self._frames) > 1:
                self._bytes -= _size(self._frames.popleft()[-1])

    @property
    def seconds(self) -> float:
        """The time from the first frame that is held to the last."""
        with self._changed:
            return self._frames[-1][0] - self._frames[0][0] if self._frames else 0.0

    def to_jsonl(self) -> bytes:
        """Return what is held as a file of JSON lines."""
        with self._writing:
            with self._changed:
                held = list(self._frames)
            lines = [header_line(self._header)]
            lines += [frame_line(number, pts_s, poses) for _, number, pts_s, poses in held]
            return "".join(lines).encode()


def _size(poses: Poses) -> int:
    return _FRAME_BYTES + sum(int(getattr(poses, field.name).nbytes) for field in fields(poses))
