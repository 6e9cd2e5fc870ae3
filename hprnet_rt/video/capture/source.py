"""What a live source is: frames that come when they come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Protocol

from hprnet_rt.errors import UsageError
from hprnet_rt.types import Frame, ImageArray
from hprnet_rt.video.media import MediaInfo

__all__ = ["LIVE_TIME_BASE", "LiveFrames", "LiveOptions", "LiveSource"]

LIVE_TIME_BASE: Final = Fraction(1, 90_000)
"""Seconds per unit of a live frame's `pts`, which counts from the first frame's capture."""


@dataclass(frozen=True)
class LiveOptions:
    """How live sources are opened; what does not concern a source is not looked at.

    Attributes:
        width, height, fps: asked of a camera, which may give others; its own when None.
        mjpg: ask a camera for motion JPEG: more frames a second over USB, at some loss.
        timeout_s: a camera or network that gives no picture for so long has stalled.
        give_up_s: a network stream that is lost for so long is not tried again.
        realtime: play files by their own clock; otherwise as fast as they are taken.
    """

    width: int | None = None
    height: int | None = None
    fps: float | None = None
    mjpg: bool = False
    timeout_s: float = 5.0
    give_up_s: float = 60.0
    realtime: bool = True

    def __post_init__(self) -> None:
        for name in ("width", "height", "fps", "timeout_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"{name} is more than 0, got {value}")
        if self.give_up_s < 0:
            raise UsageError(f"give_up_s is at least 0, got {self.give_up_s}")


class LiveSource(Protocol):
    """Frames that come when they come.

    `captured_s` of a frame is the time at which it was there, or due; `sequence` counts without gaps those
    that the source gave; `pts` is in units of `LIVE_TIME_BASE` for all but files.

    Attributes:
        info: size and rate; known once it is open.
        status: "" while pictures come; otherwise one clause for a status line, such as "no picture for 3 s,
            trying again".
    """

    info: MediaInfo
    status: str

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames once.

        Raises:
            MediaError: the source is gone.
        """
        ...

    def interrupt(self) -> None:
        """From any thread: the iteration ends within 0.2 s, whatever it waits for."""
        ...

    def pause(self, paused: bool) -> None:
        """From any thread: a file's clock stands still, or goes on; others do nothing."""
        ...

    def close(self) -> None:
        """Free what is open, after the iteration has ended or before it began; further calls do nothing."""
        ...


class LiveFrames:
    """Numbers the pictures of one live source and gives them their media time."""

    def __init__(self) -> None:
        self._given = 0
        self._first_s = 0.0
        self._pts = -1

    def make(self, image: ImageArray, captured_s: float) -> Frame:
        """The next frame; two that were captured at once are one unit apart."""
        if not self._given:
            self._first_s = captured_s
        self._pts = max(self._pts + 1, round((captured_s - self._first_s) / LIVE_TIME_BASE))
        self._given += 1
        return Frame(self._given - 1, image, captured_s, self._pts, LIVE_TIME_BASE)
