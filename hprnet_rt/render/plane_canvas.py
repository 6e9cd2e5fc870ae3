"""Planes as compiled loops take them, and colours on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import ShapeError
from hprnet_rt.grouping.compiled import kernel
from hprnet_rt.render.cells import PlaneCanvas
from hprnet_rt.types import Planes

__all__ = ["plane_canvas", "to_shades"]

ByteArray = npt.NDArray[np.uint8]


def plane_canvas(planes: Planes) -> PlaneCanvas:
    """Return where planes lie in memory.

    Raises:
        ShapeError: they are of other shapes or types, or read-only, or the bytes of a row lie apart.
    """
    y, u, v = planes.y, planes.u, planes.v
    if y.ndim != 2 or not y.dtype == u.dtype == v.dtype == np.uint8:
        raise ShapeError(f"planes are (H, W) uint8, got {y.shape} {y.dtype}, {u.dtype} and {v.dtype}")
    height, width = y.shape
    half = (height + 1) // 2, (width + 1) // 2
    if not u.shape == v.shape == half:
        raise ShapeError(f"chroma of luma {y.shape} is {half}, got {u.shape} and {v.shape}")
    if any(plane.strides[1] != 1 or plane.strides[0] < plane.shape[1] for plane in (y, u, v)):
        raise ShapeError("rows of planes lie one after the other, each in one piece; draw on copies of these")
    if not (y.flags.writeable and u.flags.writeable and v.flags.writeable):
        raise ShapeError("drawing changes planes, and one of these is read-only; draw on copies of them")
    return PlaneCanvas(*_addresses(y, u, v), y.strides[0], u.strides[0], v.strides[0], height, width)


@kernel
def _addresses(y: ByteArray, u: ByteArray, v: ByteArray) -> tuple[int, int, int]:
    return y.ctypes.data, u.ctypes.data, v.ctypes.data


def to_shades(
    colors_rgb: Sequence[tuple[int, int, int]], luma: tuple[float, float], *, is_full: bool
) -> npt.NDArray[np.int64]:
    """Return Y, Cb and Cr (N, 3) of colours, of a matrix with these shares of red and blue in the brightness.

    Source: ITU-T H.273, equations 38 to 40.
    """
    rgb = np.array(colors_rgb, np.float64).reshape(-1, 3)
    red, blue = luma
    y = rgb @ (red, 1 - red - blue, blue)
    u, v = (rgb[:, 2] - y) / (2 * (1 - blue)), (rgb[:, 0] - y) / (2 * (1 - red))
    if not is_full:
        y, u, v = 16 + y * 219 / 255, u * 224 / 255, v * 224 / 255
    shades = np.floor(np.stack((y, u + 128, v + 128), axis=1) + 0.5)
    return np.clip(shades, 0, 255).astype(np.int64)
