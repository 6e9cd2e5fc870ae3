"""The compiled loop of drawing: anti-aliased lines and dots. Positions are in pixels, x before y."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from hprnet_rt.grouping.compiled import kernel

__all__ = ["draw_people"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
ImageArray = npt.NDArray[np.uint8]

_DOT_WIDTH = 2.2  # a point's diameter in widths of its line
_SOFT = 0.5  # px on either side of an edge over which it fades


@kernel
def _blend(image: ImageArray, y: int, x: int, squared: float, half: float, color: ImageArray) -> None:
    """Colour the pixel at this squared distance from the middle of something `half` px wide to either side.

    It is covered by as much as its centre lies inside, from half a pixel outside to half a pixel inside.
    """
    outer, inner = half + _SOFT, max(half - _SOFT, 0.0)
    if squared >= outer * outer:
        return
    if squared <= inner * inner:
        for channel in range(3):
            image[y, x, channel] = color[channel]
        return
    covered = min(outer - math.sqrt(squared), 1.0)
    for channel in range(3):
        value = float(image[y, x, channel])
        image[y, x, channel] = np.uint8(value + covered * (color[channel] - value) + 0.5)


@kernel
def _dot(image: ImageArray, x: float, y: float, width: float, color: ImageArray) -> None:
    """Draw a disc; arguments as of `_line`."""
    outer = width / 2 + _SOFT
    first, last = max(0, math.ceil(x - outer)), min(image.shape[1] - 1, math.floor(x + outer))
    top, bottom = max(0, math.ceil(y - outer)), min(image.shape[0] - 1, math.floor(y + outer))
    for row in range(top, bottom + 1):
        for column in range(first, last + 1):
            squared = (column - x) * (column - x) + (row - y) * (row - y)
            _blend(image, row, column, squared, width / 2, color)


@kernel
def _line(
    image: ImageArray, x1: float, y1: float, x2: float, y2: float, width: float, color: ImageArray
) -> None:
    """Draw a line with round ends.

    Args:
        image: (H, W, 3), changed in place.
        x1, y1, x2, y2: the ends, with pixel i at i.
        width: px.
        color: (3,).
    """
    outer = width / 2 + _SOFT
    dx, dy = x2 - x1, y2 - y1
    length = dx * dx + dy * dy
    if length == 0.0:
        _dot(image, x1, y1, width, color)
        return
    left, right = min(x1, x2) - outer, max(x1, x2) + outer
    top = max(0, math.ceil(min(y1, y2) - outer))
    bottom = min(image.shape[0] - 1, math.floor(max(y1, y2) + outer))
    reach = outer * math.sqrt(length) / abs(dy) if dy != 0.0 else math.inf
    for row in range(top, bottom + 1):
        start, end = left, right
        if dy != 0.0:  # where the row meets the band around the line
            middle = x1 + (row - y1) * dx / dy
            start, end = max(start, middle - reach), min(end, middle + reach)
        first, last = max(0, math.ceil(start)), min(image.shape[1] - 1, math.floor(end))
        for column in range(first, last + 1):
            along = min(max(((column - x1) * dx + (row - y1) * dy) / length, 0.0), 1.0)
            off_x, off_y = column - x1 - along * dx, row - y1 - along * dy
            _blend(image, row, column, off_x * off_x + off_y * off_y, width / 2, color)


@kernel
def draw_people(
    image: ImageArray,
    xy: FloatArray,
    shown: Any,
    line_px: FloatArray,
    limbs: IntArray,
    limb_colors: ImageArray,
    limb_widths: FloatArray,
    point_colors: ImageArray,
    point_widths: FloatArray,
) -> None:
    """Draw everyone's limbs and, above them, points; the first person comes out on top.

    Args:
        image: (H, W, 3), changed in place.
        xy: (N, P, 2) with pixel i at i; shown: (N, P) bool, of points that are drawn.
        line_px: (N,) width of a body line.
        limbs: (L, 2) points; limb_colors: (L, 3); limb_widths: (L,) in body lines.
        point_colors: (P, 3); point_widths: (P,) in body lines.
    """
    for n in range(len(xy) - 1, -1, -1):
        for i in range(len(limbs)):
            a, b = limbs[i]
            if shown[n, a] and shown[n, b]:
                width = max(1.0, np.round(line_px[n] * limb_widths[i]))
                x1, y1, x2, y2 = xy[n, a, 0], xy[n, a, 1], xy[n, b, 0], xy[n, b, 1]
                _line(image, float(x1), float(y1), float(x2), float(y2), width, limb_colors[i])
        for p in range(xy.shape[1]):
            if shown[n, p]:
                width = max(2.0, np.round(_DOT_WIDTH * line_px[n] * point_widths[p]))
                _dot(image, float(xy[n, p, 0]), float(xy[n, p, 1]), width, point_colors[p])
