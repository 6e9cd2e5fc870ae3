"""Some of a video's frames."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from hprnet_rt.errors import UsageError
from hprnet_rt.types import Frame

__all__ = ["BorrowedFrames", "Selection"]

T = TypeVar("T")


@dataclass(frozen=True)
class BorrowedFrames:
    """Frames of a source that somebody else closes."""

    frames: Iterable[Frame]

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.frames)

    def close(self) -> None:
        """Nothing is held open."""


@dataclass(frozen=True)
class Selection:
    """Which frames of a video are looked at; they keep their numbers and times.

    Attributes:
        start_s, end_s: those from `start_s` on and before `end_s`, counted from the first frame of the file.
        stride: of these the first and every so many-th.
        limit: of these the first so many; all when None.

    Raises:
        UsageError: there can be no such frames.
    """

    start_s: float = 0.0
    end_s: float | None = None
    stride: int = 1
    limit: int | None = None

    def __post_init__(self) -> None:
        end_s = math.inf if self.end_s is None else self.end_s
        if not (math.isfinite(self.start_s) and 0.0 <= self.start_s < end_s):
            raise UsageError(
                f"the start is 0 s or later, and before the end, got {self.start_s:g} to {end_s:g}"
            )
        if self.stride < 1:
            raise UsageError(f"the stride is at least 1 frame, got {self.stride}")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"the limit is at least 1 frame, got {self.limit}")

    def of(self, frames: Iterable[Frame], *, first_s: float | None = None, taken: int = 0) -> Iterator[Frame]:
        """These of the frames of a video.

        Args:
            frames: all of them, or those from some number on, if not one is missing that is looked at.
            first_s: when the first frame of the file is shown; the first of `frames` when None.
            taken: of those that are looked at, so many come before `frames`, the last of them just before.
        """
        timed = ((frame.pts_s or 0.0, frame) for frame in frames)
        return self.choose(timed, first_s=first_s, taken=taken)

    def choose(
        self, timed: Iterable[tuple[float, T]], *, first_s: float | None = None, taken: int = 0
    ) -> Iterator[T]:
        """The same of anything that has a time in seconds."""
        wanted = 0 if not taken else (taken - 1) * self.stride + 1
        if taken == self.limit:
            return
        for time_s, item in timed:
            first_s = time_s if first_s is None else first_s
            if self.end_s is not None and time_s - first_s >= self.end_s:
                return
            if time_s - first_s < self.start_s:
                continue
            if wanted % self.stride == 0:
                yield item
                taken += 1
                if taken == self.limit:
                    return
            wanted += 1
