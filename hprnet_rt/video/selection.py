"""Choosing some of the frames of a video."""

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
    """Frames of a source that its owner closes.

    Attributes:
        frames: are iterated.
    """

    frames: Iterable[Frame]

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.frames)

    def close(self) -> None:
        """Nothing is held open."""


@dataclass(frozen=True)
class Selection:
    """A choice of frames of a video; they keep their numbers and times.

    Attributes:
        start_s, end_s: take the frames from `start_s` on and before `end_s`, in seconds after the first frame
            of the file; to the end of the file when `end_s` is None.
        stride: of these, take the first and every `stride`-th after it.
        limit: of these, take the first `limit`; all when None.

    Raises:
        UsageError: no frame can be chosen so.
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

    @property
    def goes_to_the_end(self) -> bool:
        """Whether nothing at the end of a video is left out."""
        return self.end_s is None and self.limit is None

    def of(self, frames: Iterable[Frame], *, first_s: float | None = None, taken: int = 0) -> Iterator[Frame]:
        """Yield the chosen ones of a video's frames.

        Args:
            frames: all frames, or those from some frame on, if no chosen one is missing.
            first_s: time of the first frame of the file; that of the first of `frames` when None.
            taken: how many chosen frames come before `frames`; the last of them is just before.
        """
        timed = ((frame.pts_s or 0.0, frame) for frame in frames)
        return self.choose(timed, first_s=first_s, taken=taken)

    def choose(
        self, timed: Iterable[tuple[float, T]], *, first_s: float | None = None, taken: int = 0
    ) -> Iterator[T]:
        """Yield the chosen ones of any items with times in seconds; the arguments are those of `of`."""
        place = 0 if not taken else (taken - 1) * self.stride + 1
        if taken == self.limit:
            return
        for time_s, item in timed:
            first_s = time_s if first_s is None else first_s
            if self.end_s is not None and time_s - first_s >= self.end_s:
                return
            if time_s - first_s < self.start_s:
                continue
            if place % self.stride == 0:
                yield item
                taken += 1
                if taken == self.limit:
                    return
            place += 1
