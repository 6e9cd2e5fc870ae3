"""Functions that draw people onto a frame, and the one that a run needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol, TypeGuard, cast

import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import ShapeError, UsageError
from hprnet_rt.render.blur import FaceBlur
from hprnet_rt.render.overlay import Overlay
from hprnet_rt.types import Frame, FramePoses, Planes, Poses

__all__ = [
    "BLURS",
    "ONLY",
    "Drawing",
    "PlaneDrawing",
    "conceals",
    "draw_onto",
    "drawing_beneath",
    "drawing_of",
    "draws_planes",
    "require_drawing",
]

Drawing = Callable[[Frame, Poses], npt.NDArray[np.uint8] | None]
"""Draws onto `frame.image`, or returns another picture of its size; called once for each frame, in order."""

BLURS: Final = ("faces",)
"""What can be made unrecognisable."""

ONLY: Final = ("skeleton",)
"""What can be shown alone, on black."""


def require_drawing(blur: str | None, only: str | None, max_people: int | None = None) -> None:
    """Check what `drawing_of` is asked for.

    Args:
        blur, only: see `drawing_of`.
        max_people: the most people of a frame; None for all.

    Raises:
        UsageError: there is nothing of the name, or not everyone would be blurred.
    """
    if blur not in (None, *BLURS):
        raise UsageError(f"what can be blurred is {' or '.join(BLURS)}, got {blur!r}")
    if only not in (None, *ONLY):
        raise UsageError(f"what can be shown alone is {' or '.join(ONLY)}, got {only!r}")
    if blur and max_people is not None:
        raise UsageError("faces are blurred of everyone who is found: that does not go with fewer people")


def drawing_of(draw: Drawing, *, blur: str | None = None, only: str | None = None) -> Drawing:
    """Return a function that does what is asked for beneath the drawing. Make one for each video.

    Args:
        draw: comes out on top, such as an `Overlay`.
        blur: "faces" makes them unrecognisable, see `FaceBlur`.
        only: "skeleton" makes the picture black.

    Raises:
        UsageError: there is nothing of the name.
    """
    below = drawing_beneath(blur=blur, only=only)
    return draw if below is None else _Layers((below, draw))


def drawing_beneath(*, blur: str | None = None, only: str | None = None) -> Drawing | None:
    """Return what `drawing_of` puts beneath a drawing; None where nothing is asked for.

    Raises:
        UsageError: there is nothing of the name.
    """
    require_drawing(blur, only)
    if only is not None:
        return _Black()
    return None if blur is None else FaceBlur()


def conceals(draw: Drawing | None) -> bool:
    """Return whether a drawing makes something unrecognisable, that nothing else in a file may show then."""
    return isinstance(draw, FaceBlur | _Layers)


class PlaneDrawing(Protocol):
    """A drawing that can draw on planes too, without a conversion of the picture."""

    def draw_planes(self, planes: Planes, at_s: float, poses: Poses, /) -> None:
        """Draw onto the planes of a frame, in place.

        Args:
            planes: changed.
            at_s: the frame's media time, or when it was captured where it has none.
            poses: in pixels of luma.
        """
        ...


def draws_planes(draw: Drawing | None) -> TypeGuard[PlaneDrawing]:
    """Return whether a drawing does on planes what it does on images: ours do, a user's own need not."""
    if isinstance(draw, _Layers):
        return all(map(draws_planes, draw.drawings))
    return type(draw) in (Overlay, FaceBlur, _Black)


class _Layers:
    """Drawings one upon the other, of which the lowest conceals something.

    Args:
        drawings: the lowest first.
    """

    def __init__(self, drawings: Sequence[Drawing]) -> None:
        self.drawings = drawings

    def __call__(self, frame: Frame, poses: Poses) -> npt.NDArray[np.uint8]:
        item = FramePoses(frame, poses)
        for draw in self.drawings:
            item = draw_onto(item, draw)
        return item.frame.image

    def draw_planes(self, planes: Planes, at_s: float, poses: Poses, /) -> None:
        for draw in self.drawings:
            cast(PlaneDrawing, draw).draw_planes(planes, at_s, poses)


class _Black:
    """Makes the picture black."""

    def __call__(self, frame: Frame, _poses: Poses) -> None:
        frame.image[...] = 0

    def draw_planes(self, planes: Planes, _at_s: float, _poses: Poses, /) -> None:
        planes.y[...] = 0 if planes.is_full else 16
        planes.u[...] = planes.v[...] = 128


def draw_onto(item: FramePoses, draw: Drawing) -> FramePoses:
    """Return the frame with its people drawn.

    Raises:
        ShapeError: the function returns what is no picture of the frame's size.
    """
    picture = draw(item.frame, item.poses)
    if picture is None or picture is item.frame.image:
        return item
    shape = item.frame.image.shape
    if not isinstance(picture, np.ndarray) or picture.shape != shape or picture.dtype != np.uint8:
        got = f"{picture.shape} {picture.dtype}" if isinstance(picture, np.ndarray) else repr(picture)
        raise ShapeError(
            f"a function that draws changes frame.image, or returns a picture {shape} uint8; got {got:.80}"
        )
    return replace(item, frame=replace(item.frame, image=picture))
