"""Bringing decoded frames upright, by the display matrix that phones store."""

from __future__ import annotations

from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import SideDataContainer, Type

from hprnet_rt.types import Planes
from hprnet_rt.video.conversion import planes_of, to_bgr

__all__ = ["orientation", "upright", "upright_planes"]

ByteArray = npt.NDArray[np.uint8]


def _unnamed(cls: Any, number: int) -> Any:
    """Return a member for a kind of side data that PyAV does not name, such as EXIF."""
    member = object.__new__(cls)
    member._name_, member._value_ = f"UNNAMED_{number}", number
    return member


# PyAV refuses to read any side data of a frame that has a kind without a name
Type._missing_ = classmethod(_unnamed)  # type: ignore[assignment, method-assign]


def upright(frame: av.VideoFrame) -> ByteArray:
    """Return a decoded frame as a new (H, W, 3) BGR image, turned by its display matrix."""
    return _turned(to_bgr(frame), *orientation(frame))


def upright_planes(frame: av.VideoFrame) -> Planes | None:
    """Return a decoded frame as new planes, turned by its display matrix.

    Returns:
        None where it is not 4:2:0, and where it is turned and has an odd side: half a sample is left there.
    """
    planes = planes_of(frame)
    turns = orientation(frame)
    if planes is None or (turns != (False, False, False) and any(side % 2 for side in planes.image_hw)):
        return None
    y, u, v = (_turned(plane, *turns) for plane in (planes.y, planes.u, planes.v))
    if y is planes.y:
        y, u, v = y.copy(), u.copy(), v.copy()
    return Planes(y, u, v, planes.luma, planes.is_full)


def _turned(image: ByteArray, swaps: bool, flips_x: bool, flips_y: bool) -> ByteArray:
    """Return an image or a plane transposed and mirrored, itself where nothing is to be done."""
    if swaps:
        image = np.asarray(cv2.transpose(image), np.uint8)
    if flips_x or flips_y:
        code = -1 if flips_x and flips_y else int(flips_x)
        image = np.asarray(cv2.flip(image, code), np.uint8)
    return image


def orientation(frame: av.VideoFrame) -> tuple[bool, bool, bool]:
    """Return how to bring a frame upright: whether to transpose it, then to mirror it along x and along y.

    The display matrix may have any combination of quarter turns and mirrors.
    """
    # frame.side_data would make a reference cycle, which only the garbage collector frees
    matrix: Any = SideDataContainer(frame).get("DISPLAYMATRIX")  # type: ignore[call-arg]
    if matrix is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return False, a < 0, d < 0
    return True, c < 0, b < 0
