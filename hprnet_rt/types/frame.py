"""One picture of a source, with its number and its time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from hprnet_rt.types.planes import Planes

__all__ = ["Frame", "ImageArray", "unseen_frame"]

ImageArray = npt.NDArray[np.uint8]

_NO_IMAGE: Final = np.zeros((0, 0, 3), np.uint8)
_PICTURE: Final = "_picture"


@dataclass(frozen=True, eq=False)
class _InPlanes:
    """What a frame holds in place of an image that nobody has asked for."""

    planes: Planes
    to_bgr: Callable[[Planes], ImageArray]


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a source.

    Attributes:
        sequence: 0 for the first frame of the source, without gaps.
        image: (H, W, 3) uint8 BGR, upright. Of most videos it is made of `planes` when it is first asked for.
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
    image: ImageArray = field(repr=False)  # which would make it
    captured_s: float
    pts: int | None = None
    time_base: Fraction = Fraction(1, 1)
    duration: int = 0

    @classmethod
    def of_planes(
        cls,
        sequence: int,
        planes: Planes,
        to_bgr: Callable[[Planes], ImageArray],
        captured_s: float,
        pts: int | None = None,
        time_base: Fraction = Fraction(1, 1),
        duration: int = 0,
    ) -> Frame:
        """Make a frame whose image is made when it is first asked for.

        Args:
            planes: the picture, upright; from now on the frame's own.
            to_bgr: makes an image (H, W, 3) of the planes.
            sequence, captured_s, pts, time_base, duration: see `Frame`.
        """
        picture: Any = _InPlanes(planes, to_bgr)
        return cls(sequence, picture, captured_s, pts, time_base, duration)

    @property
    def planes(self) -> Planes | None:
        """The picture in planes, upright, to be read or drawn on; None once `image` has been asked for.

        From then on the image is the picture. It is None too where the source has no such planes.
        """
        picture = self.__dict__[_PICTURE]
        return picture.planes if isinstance(picture, _InPlanes) else None

    @property
    def image_hw(self) -> tuple[int, int]:
        """Height and width of the picture in px."""
        height, width = (self.image.shape if self.planes is None else self.planes.y.shape)[:2]
        return height, width

    def unseen(self) -> Frame:
        """Return the frame without its picture: the image is empty."""
        return replace(self, image=_NO_IMAGE)

    @property
    def pts_s(self) -> float | None:
        """Media time in seconds, None when the source has no clock."""
        return None if self.pts is None else float(self.pts * self.time_base)


class _Image:
    """The attribute `Frame.image`: what was given to the frame, or what is made of that."""

    def __get__(self, frame: Frame | None, owner: type[Frame]) -> ImageArray | _Image:
        if frame is None:
            return self
        picture: ImageArray | _InPlanes = frame.__dict__[_PICTURE]
        if isinstance(picture, _InPlanes):
            picture = frame.__dict__[_PICTURE] = picture.to_bgr(picture.planes)
        return picture

    def __set__(self, frame: Frame, picture: ImageArray | _InPlanes) -> None:
        frame.__dict__[_PICTURE] = picture


if not TYPE_CHECKING:  # set here it is no default, which the fields behind it would need too
    Frame.image = _Image()


def unseen_frame(sequence: int, pts: int | None, time_base: Fraction) -> Frame:
    """Return a frame without its picture: the image is empty."""
    return Frame(sequence, _NO_IMAGE, time.perf_counter(), pts, time_base)
