"""Live sources: the protocol that all of them follow, their options, and their kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Protocol

from hprnet_rt.errors import UsageError
from hprnet_rt.types import Frame, ImageArray
from hprnet_rt.video.media import MediaInfo

__all__ = ["LIVE_TIME_BASE", "LiveFrames", "LiveKind", "LiveOptions", "LiveSource"]

LIVE_TIME_BASE: Final = Fraction(1, 90_000)
"""Seconds per unit of a live frame's `pts`, which counts from the first frame's capture."""


@dataclass(frozen=True)
class LiveOptions:
    """Options of live sources; a source ignores those that do not concern it.

    Attributes:
        width, height, fps: requested of a camera, which may give others; its default when None. A screen is
            grabbed at `fps`.
        mjpg: request motion JPEG of a camera: more frames a second over USB, at some loss.
        timeout_s: how long a camera or a network may give no picture before it has stalled.
        give_up_s: how long a lost network stream is connected to again.
        realtime: play files by their own clock; otherwise as fast as they are taken.
        loop: play files again and again; only files can be.
    """

    width: int | None = None
    height: int | None = None
    fps: float | None = None
    mjpg: bool = False
    timeout_s: float = 5.0
    give_up_s: float = 60.0
    realtime: bool = True
    loop: bool = False

    def __post_init__(self) -> None:
        for name in ("width", "height", "fps", "timeout_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"{name} is more than 0, got {value}")
        if self.give_up_s < 0:
            raise UsageError(f"give_up_s is at least 0, got {self.give_up_s}")


class LiveSource(Protocol):
    """Frames that the source times, not the one who takes them.

    `captured_s` of a frame is the time at which its picture arrived or was due; `sequence` counts the frames
    that the source has yielded, without gaps; `pts` is in units of `LIVE_TIME_BASE` for all but files.

    Attributes:
        info: size and rate; known once the source is open.
        status: "" while pictures come; otherwise a clause for a status line, such as "no picture for 3 s,
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
        """End the iteration within 0.2 s, whatever it waits for; callable from any thread."""
        ...

    def pause(self, paused: bool) -> None:
        """Stop a file's clock or let it go on; other sources do nothing. Callable from any thread."""
        ...

    def close(self) -> None:
        """Free what is open, before the iteration begins or after it has ended; further calls do nothing."""
        ...


@dataclass(frozen=True, kw_only=True)
class LiveKind:
    """A kind of live source.

    A new kind is a module of this package that defines one, and an entry in `registry.LIVE_KINDS`.

    Attributes:
        name: of the kind, in a word.
        summary: how its sources are named, for help texts and messages.
        matches: returns whether a text names a source of this kind.
        open: opens the source that a text names.
        is_mirrored: it is shown as in a mirror unless the user decides otherwise.
    """

    name: str
    summary: str
    matches: Callable[[str], bool]
    open: Callable[[str, LiveOptions], LiveSource]
    is_mirrored: bool = False


class LiveFrames:
    """Numbers the pictures of one live source and gives them their media time."""

    def __init__(self) -> None:
        self._given = 0
        self._first_s = 0.0
        self._pts = -1

    def make(self, image: ImageArray, captured_s: float) -> Frame:
        """Return the next frame; frames that were captured at the same time are one unit apart."""
        if not self._given:
            self._first_s = captured_s
        self._pts = max(self._pts + 1, round((captured_s - self._first_s) / LIVE_TIME_BASE))
        self._given += 1
        return Frame(self._given - 1, image, captured_s, self._pts, LIVE_TIME_BASE)
