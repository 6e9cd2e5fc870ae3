"""The compiled loop of drawing: anti-aliased lines and dots. Positions are in pixels, x before y."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hprnet_rt.grouping.compiled import kernel
from hprnet_rt.render.lanes import FULL, LANES, PIXELS, Canvas, blend_band, blend_disc

__all__ = ["LineWidth", "Palette", "draw_people"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
ByteArray = npt.NDArray[np.uint8]

_DOT_WIDTH = 2.2  # a point's diameter in widths of its line
_SOFT = 0.5  # px on either side of an edge over which it fades
_FAR = 1 << 14  # px; a point farther out than this is not drawn
_WIDEST = 256.0  # px, of a stroke: distances are counted in 16 bits
_LONGEST = 100.0  # px from either end of a line that are counted in 16 bits; the rest is covered anyway
_BITS = 20  # binary places of a pixel, in the sums along a line
_ONE = float(1 << _BITS)
_TO_LANES = _BITS - 7  # to 1 / FULL px
_LEVEL = 1e-4  # of the length; a line that rises less covers each of its rows from end to end
_SAME_DOT = 0.5  # px; a dot as near as this to the one before, of its colour and width, adds nothing


class Palette(NamedTuple):
    """The lines and points of a skeleton, and how they look.

    Attributes:
        limbs: (L, 2) points that a line joins.
        limb_colors: (L, 16), see `lane_colors`.
        limb_widths: (L,) in widths of a body line.
        point_colors: (P, 16), see `lane_colors`.
        point_widths: (P,) of the lines that a point belongs to, in widths of a body line.
    """

    limbs: IntArray
    limb_colors: ByteArray
    limb_widths: FloatArray
    point_colors: ByteArray
    point_widths: FloatArray


class LineWidth(NamedTuple):
    """Width of a body line.

    Attributes:
        of_size: in units of the longer side of the person's box.
        max_px: the widest.
    """

    of_size: float
    max_px: float


@kernel
def _dot(canvas: Canvas, x: float, y: float, across: float, color: int) -> None:
    """Draw a disc with its middle at (x, y) and a diameter of `across`; see `_line`."""
    outer = across / 2 + _SOFT
    image, height, width = canvas
    reach, image_end = np.float32(outer), image + 3 * height * width
    first, end = max(0, math.ceil(x - outer)), min(width, math.floor(x + outer) + 1)
    top, bottom = max(0, math.ceil(y - outer)), min(height - 1, math.floor(y + outer))
    for row in range(top, bottom + 1):
        squared = np.float32((row - y) * (row - y))
        column = first
        while column < end:
            at, off = image + 3 * (row * width + column), np.float32(column - x)
            blend_disc(at, image_end, min(PIXELS, end - column), color, off, squared, reach)
            column += PIXELS


@kernel
def _line(canvas: Canvas, x1: float, y1: float, x2: float, y2: float, across: float, color: int) -> None:
    """Draw a line with square ends, which the dots at its ends hide.

    Args:
        canvas: changed in place.
        x1, y1, x2, y2: the ends, which differ, with pixel i at i.
        across: its width, px.
        color: see `blend_band`.
    """
    image, height, width = canvas
    outer, image_end = across / 2 + _SOFT, image + 3 * height * width
    dx, dy = x2 - x1, y2 - y1
    length = math.sqrt(dx * dx + dy * dy)
    dx, dy = dx / length, dy / length
    wide, turn, step = round(FULL * outer), round(FULL * dy), round(FULL * dx)
    inside = max(length / 2 - _LONGEST, 0.0)
    half = round(FULL * (length / 2 - inside + _SOFT))
    top = max(0, math.ceil(min(y1, y2) - outer))
    bottom = min(height - 1, math.floor(max(y1, y2) + outer))
    left = max(0, math.ceil(min(x1, x2) - outer))
    right = min(width, math.floor(max(x1, x2) + outer) + 1)
    level = abs(dy) < _LEVEL
    y = top - y1
    slope, reach = (0.0, float(2 * _FAR)) if level else (dx / dy, outer / abs(dy))
    # from here on in units of 1 / _ONE px
    middle, slope_fixed = math.floor(_ONE * (x1 + y * slope)), math.floor(_ONE * slope)
    reach_fixed, inside_fixed = math.floor(_ONE * reach), math.floor(_ONE * inside)
    along, off = math.floor(_ONE * (y * dy - x1 * dx - length / 2)), math.floor(-_ONE * (x1 * dy + y * dx))
    dx_fixed, dy_fixed = math.floor(_ONE * dx), math.floor(_ONE * dy)
    for row in range(top, bottom + 1):
        column = max(left, (middle - reach_fixed) >> _BITS)
        end = min(right, ((middle + reach_fixed) >> _BITS) + 1)
        while column < end:
            away, at = off + column * dy_fixed, along + column * dx_fixed
            at = max(at - inside_fixed, 0) + min(at + inside_fixed, 0)
            address, pixels = image + 3 * (row * width + column), min(PIXELS, end - column)
            across_band, along_band = (away >> _TO_LANES, turn, wide), (at >> _TO_LANES, step, half)
            blend_band(address, image_end, pixels, color, across_band, along_band)
            column += PIXELS
        middle += slope_fixed
        along += dy_fixed
        off -= dx_fixed


@kernel
def draw_people(
    image: ByteArray,
    xy: FloatArray,
    score: FloatArray,
    box: FloatArray,
    least: FloatArray,
    line_width: LineWidth,
    palette: Palette,
) -> npt.NDArray[np.bool_]:
    """Draw everyone's limbs and, above them, points; the first person comes out on top.

    Strokes that others would hide are left out: a limb between dots that touch, and a dot on another one of
    its colour.

    Args:
        image: (H, W, 3), contiguous, changed in place.
        xy: (N, P, 2) where pixel i covers [i, i + 1).
        score: (N, P).
        box: (N, 4) xyxy.
        least: (P,) score of a point that is drawn.
        line_width: of the body.
        palette: limbs, colours and relative widths.

    Returns:
        (N,) whether any point of the person is drawn.
    """
    points, canvas = xy.shape[1], Canvas(image.ctypes.data, image.shape[0], image.shape[1])
    limb_color, point_color = palette.limb_colors.ctypes.data, palette.point_colors.ctypes.data
    visible = np.zeros(len(xy), np.bool_)
    shown, dots = np.empty(points, np.bool_), np.empty(points)
    place, tint = np.empty((points, 2)), np.zeros(points, np.int64)
    for p in range(points):
        for channel in range(3):
            tint[p] = 256 * tint[p] + palette.point_colors[p, channel]
    for n in range(len(xy) - 1, -1, -1):
        size = max(box[n, 2] - box[n, 0], box[n, 3] - box[n, 1])
        line_px = min(max(size * line_width.of_size, 1.0), line_width.max_px)
        for p in range(points):
            place[p, 0], place[p, 1] = xy[n, p, 0] - 0.5, xy[n, p, 1] - 0.5
            near = abs(place[p, 0]) < _FAR and abs(place[p, 1]) < _FAR  # NaN is not
            shown[p] = near and score[n, p] >= least[p]
            visible[n] |= shown[p]
            dots[p] = min(max(2.0, np.round(_DOT_WIDTH * line_px * palette.point_widths[p])), _WIDEST)
        for i in range(len(palette.limbs)):
            a, b = palette.limbs[i]
            if not (shown[a] and shown[b]):
                continue
            x1, y1, x2, y2 = place[a, 0], place[a, 1], place[b, 0], place[b, 1]
            touch = (dots[a] + dots[b]) / 2 - _SOFT
            if (x2 - x1) * (x2 - x1) + (y2 - y1) * (y2 - y1) > touch * touch:
                across = min(max(1.0, np.round(line_px * palette.limb_widths[i])), _WIDEST)
                _line(canvas, x1, y1, x2, y2, across, limb_color + LANES * i)
        last = -1
        for p in range(points):
            if not shown[p]:
                continue
            x, y = place[p, 0], place[p, 1]
            if (
                last >= 0
                and abs(x - place[last, 0]) < _SAME_DOT
                and abs(y - place[last, 1]) < _SAME_DOT
                and dots[p] == dots[last]
                and tint[p] == tint[last]
            ):
                continue
            last = p
            _dot(canvas, x, y, dots[p], point_color + LANES * p)
    return visible
