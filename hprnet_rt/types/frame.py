"""One picture of a source, with its number and its time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

__all__ = ["Frame", "ImageArray", "unseen_frame"]

ImageArray = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a source.

    Attributes:
        sequence: 0 for the first frame of the source, without gaps.
        image: (H, W, 3) uint8 BGR, upright.
        captured_s: `time.perf_counter()` when the picture arrived.
        pts: media timestamp in units of `time_base`; None for stills.
        time_base: seconds per unit of `pts`.
        duration: how long it is shown, in the same units; 0 where that is not known.

    Examples:
        >>> frame, poses = next(hprnet_rt.stream("video.mp4"))
        >>> frame.sequence, frame.pts_s, frame.image.shape
        (0, 0.0, (720, 1280, 3))
    """

    sequence: int
    image: ImageArray
    captured_s: float
    pts: int | None = None
    time_base: Fraction = Fraction(1, 1)
    duration: int = 0

    @property
    def pts_s(self) -> float | None:
        """Media time in seconds, None when the source has no clock."""
        return None if self.pts is None else float(self.pts * self.time_base)


def unseen_frame(sequence: int, pts: int | None, time_base: Fraction) -> Frame:
    """Return a frame without its picture: the image is empty."""
    return Frame(sequence, np.zeros((0, 0, 3), np.uint8), time.perf_counter(), pts, time_base)
