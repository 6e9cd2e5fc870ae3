"""Deinterlacing: one whole picture of each two fields, so that moving edges have no combs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

import av
from av.filter import Graph

from hprnet_rt.errors import UsageError

__all__ = ["AUTO", "DEINTERLACING", "deinterlaced", "require_deinterlacing"]

AUTO: Final = "auto"
DEINTERLACING: Final = (AUTO, "off", "on")
"""Which pictures are deinterlaced: those marked as interlaced, none, or all."""


def require_deinterlacing(mode: str) -> None:
    """Check that this is a way to deinterlace.

    Raises:
        UsageError: there is no such way.
    """
    if mode not in DEINTERLACING:
        raise UsageError(f"deinterlace is {' or '.join(map(repr, DEINTERLACING))}, got {mode!r}")


def deinterlaced(frames: Iterator[av.VideoFrame], mode: str) -> Iterator[av.VideoFrame]:
    """Yield as many frames, at the same times, deinterlaced by FFmpeg's bwdif.

    Args:
        frames: all frames of a video in order: a picture also depends on those before and behind it.
        mode: one of `DEINTERLACING`. With "auto", frames before the first interlaced one pass at once.

    Raises:
        FFmpegError: the filter fails.
    """
    if mode == "off":
        yield from frames
        return
    fields: _Fields | None = None
    for frame in frames:
        if fields is None and mode == AUTO and not frame.interlaced_frame:
            yield frame
            continue
        if fields is None or not fields.takes(frame):
            if fields is not None:
                yield from fields.put(None)
            fields = _Fields(frame, mode)
        yield from fields.put(frame)
    if fields is not None:
        yield from fields.put(None)


class _Fields:
    """A filter for frames of one size and format.

    Args:
        first: of the frames.
        mode: "auto" or "on".
    """

    def __init__(self, first: av.VideoFrame, mode: str) -> None:
        self._shape = _shape(first)
        self._waiting: deque[tuple[int | None, int]] = deque()
        self._graph = Graph()
        # the filter is told no labels: frames bring their own
        source = self._graph.add_buffer(
            width=first.width, height=first.height, format=first.format, time_base=first.time_base
        )
        which = "interlaced" if mode == AUTO else "all"
        whole = self._graph.add("bwdif", f"mode=send_frame:parity=auto:deint={which}")
        self._graph.link_nodes(source, whole, self._graph.add("buffersink"))
        self._graph.configure()
        self._time_base = first.time_base

    def takes(self, frame: av.VideoFrame) -> bool:
        """Return whether a frame is like the first one."""
        return _shape(frame) == self._shape

    def put(self, frame: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
        """Give the filter a frame, None at the end, and yield those that are ready."""
        if frame is not None:
            self._waiting.append((frame.pts, frame.duration))
        self._graph.vpush(frame)
        while self._waiting:
            try:
                whole = self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            whole.pts, whole.duration = self._waiting.popleft()
            whole.time_base = self._time_base
            yield whole


def _shape(frame: av.VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name
