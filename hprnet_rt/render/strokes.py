"""The compiled loop of drawing: anti-aliased lines and dots. Positions are in pixels, x before y."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from hprnet_rt.grouping.compiled import kernel

__all__ = ["draw_people", "stroke"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
ImageArray = npt.NDArray[np.uint8]

_DOT = 2.2  # a point's diameter in widths of its line
_SOFT = 0.5  # px on either side of an edge over which it fades


@kernel
def stroke(
    image: ImageArray,
    x1: float,
    y1: float,
    x2: float,
    y2: float,
    width: float,
    color: ImageArray,
) -> None:
    """Draw a line with round ends, or a dot where both ends are the same.

    A pixel is covered by as much as its centre lies inside the outline, from half a pixel outside to half a
    pixel inside.

    Args:
        image: (H, W, 3), changed in place.
        x1, y1, x2, y2: the ends, with pixel i at i.
        width: px.
        color: (3,).
    """
    rows, columns = image.shape[0], image.shape[1]
    half = width / 2
    outer, inner = half + _SOFT, max(half - _SOFT, 0.0)
    dx, dy = x2 - x1, y2 - y1
    squared = dx * dx + dy * dy
    left, right = min(x1, x2) - outer, max(x1, x2) + outer
    top = max(0, math.ceil(min(y1, y2) - outer))
    bottom = min(rows - 1, math.floor(max(y1, y2) + outer))
    reach = outer * math.sqrt(squared) / abs(dy) if dy != 0.0 else math.inf
    for y in range(top, bottom + 1):
        start, end = left, right
        if dy != 0.0:  # where the row meets the band around the line
            middle = x1 + (y - y1) * dx / dy
            start, end = max(start, middle - reach), min(end, middle + reach)
        first, last = max(0, math.ceil(start)), min(columns - 1, math.floor(end))
        for x in range(first, last + 1):
            along = 0.0
            if squared > 0.0:
                along = min(max(((x - x1) * dx + (y - y1) * dy) / squared, 0.0), 1.0)
            off_x, off_y = x - x1 - along * dx, y - y1 - along * dy
            distance = off_x * off_x + off_y * off_y
            if distance >= outer * outer:
                continue
            if distance <= inner * inner:
                for channel in range(3):
                    image[y, x, channel] = color[channel]
                continue
            covered = min(outer - math.sqrt(distance), 1.0)
            for channel in range(3):
                value = float(image[y, x, channel])
                image[y, x, channel] = np.uint8(value + covered * (color[channel] - value) + 0.5)


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
                ends = (float(xy[n, a, 0]), float(xy[n, a, 1]), float(xy[n, b, 0]), float(xy[n, b, 1]))
                stroke(image, ends[0], ends[1], ends[2], ends[3], width, limb_colors[i])
        for p in range(xy.shape[1]):
            if shown[n, p]:
                width = max(2.0, np.round(_DOT * line_px[n] * point_widths[p]))
                x, y = float(xy[n, p, 0]), float(xy[n, p, 1])
                stroke(image, x, y, x, y, width, point_colors[p])
