"""The compiled loop of drawing: anti-aliased lines and dots. Positions are in pixels, x before y."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hprnet_rt.grouping.compiled import kernel
from hprnet_rt.render.lanes import FULL, LANES, PIXELS, Canvas, blend_band, blend_disc
from hprnet_rt.render.stamps import LEAST_DOT, STEPS, WIDEST_STAMP, blend_stamp

__all__ = ["LineWidth", "Palette", "draw_people"]

FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
ByteArray = npt.NDArray[np.uint8]

_DOT_WIDTH = 2.2  # a point's diameter in widths of its line
_SOFT = 0.5  # px on either side of an edge over which it fades
_FAR = 1 << 14  # px; a point farther out than this is not drawn
_WIDEST = 256.0  # px, of a stroke: distances are counted in 16 bits
_LONGEST = 100.0  # px from either end of a line that are counted in 16 bits; the rest is covered anyway
_BITS = 20  # binary places of a pixel, in the sums along a line
_ONE = float(1 << _BITS)
_TO_LANES = _BITS - 7  # to 1 / FULL px
_ROUND = 1 << (_TO_LANES - 1)
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
        judged: (J, 2) first point, and the point after the last, of the parts that are drawn only where they
            are sure as a whole: whose points have a mean score of at least `least` of the first.
    """

    limbs: IntArray
    limb_colors: ByteArray
    limb_widths: FloatArray
    point_colors: ByteArray
    point_widths: FloatArray
    judged: IntArray


class LineWidth(NamedTuple):
    """Width of a body line.

    Attributes:
        of_size: in units of the longer side of the person's box.
        max_px: the widest.
    """

    of_size: float
    max_px: float


@kernel
def _inside(canvas: Canvas, x: float, y: float, across: int) -> bool:
    """Return whether a dot is within the picture: all 16 bytes of its rows are, and it ends at no border."""
    reach = across / 2 + _SOFT
    return bool(x > reach and y > reach and x < canvas.width - 1 - reach and y < canvas.height - 2 - reach)


@kernel
def _dot(canvas: Canvas, x: float, y: float, across: int, color: int) -> None:
    """Draw a disc with its middle at (x, y) and a diameter of `across`, px; see `_line`."""
    image, height, width = canvas
    outer = across / 2 + _SOFT
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
def _line(
    canvas: Canvas, x1: float, y1: float, x2: float, y2: float, across: int, color: int, within: bool
) -> None:
    """Draw a line with square ends, which the dots at its ends hide.

    Args:
        canvas: changed in place.
        x1, y1, x2, y2: the ends, which differ, with pixel i at i.
        across: its width, px.
        color: see `blend_band`.
        within: the line is known to end before all borders, so that more than its own pixels can be read and
            written as they are: those of a row that ends, and the first ones of the next.
    """
    image, height, width = canvas
    outer = across * 0.5 + _SOFT
    dx, dy = x2 - x1, y2 - y1
    length = math.sqrt(dx * dx + dy * dy)
    shrink = 1.0 / length
    dx, dy = dx * shrink, dy * shrink
    top, bottom = math.ceil(min(y1, y2) - outer), math.floor(max(y1, y2) + outer)
    left, right = math.ceil(min(x1, x2) - outer), math.floor(max(x1, x2) + outer) + 1
    within = within or (left >= 0 and right <= width and top >= 0 and bottom < height - 1)
    if not within:
        top, bottom = max(0, top), min(height - 1, bottom)
        left, right = max(0, left), min(width, right)
    y = top - y1
    inside = max(length * 0.5 - _LONGEST, 0.0)
    # from here on in units of 1 / _ONE px, or, in `blend_band`, of 1 / FULL px
    dx_fixed, dy_fixed = int(_ONE * dx), int(_ONE * dy)
    along, off = int(_ONE * (y * dy - x1 * dx - length * 0.5)), int(-_ONE * (x1 * dy + y * dx))
    turn, step = (dy_fixed + _ROUND) >> _TO_LANES, (dx_fixed + _ROUND) >> _TO_LANES
    wide, half = (FULL // 2) * (across + 1), int(FULL * (length * 0.5 - inside + _SOFT))
    if within and right - left <= PIXELS and length < _LONGEST:  # one call covers each of its rows
        along += left * dx_fixed
        off += left * dy_fixed
        address, stop = image + 3 * (top * width + left), image + 3 * (bottom + 1) * width
        while address < stop:
            across_band, along_band = (off >> _TO_LANES, turn, wide), (along >> _TO_LANES, step, half)
            blend_band(address, address + LANES, PIXELS, color, across_band, along_band)
            address += 3 * width
            along += dy_fixed
            off -= dx_fixed
        return
    level = abs(dy) < _LEVEL
    slope, reach = (0.0, float(2 * _FAR)) if level else (dx / dy, outer / abs(dy))
    middle, slope_fixed = int(_ONE * (x1 + y * slope)), int(_ONE * slope)
    reach_fixed, inside_fixed = int(_ONE * reach), int(_ONE * inside)
    image_end = image + 3 * height * width
    for row in range(top, bottom + 1):
        column = max(left, (middle - reach_fixed) >> _BITS)
        end = min(right, ((middle + reach_fixed) >> _BITS) + 1)
        while column < end:
            away, at = off + column * dy_fixed, along + column * dx_fixed
            at = max(at - inside_fixed, 0) + min(at + inside_fixed, 0)
            address = image + 3 * (row * width + column)
            across_band, along_band = (away >> _TO_LANES, turn, wide), (at >> _TO_LANES, step, half)
            if within:
                blend_band(address, address + LANES, PIXELS, color, across_band, along_band)
            else:
                blend_band(address, image_end, min(PIXELS, end - column), color, across_band, along_band)
            column += PIXELS
        middle += slope_fixed
        along += dy_fixed
        off -= dx_fixed


@kernel
def _look(
    xy: FloatArray,
    score: FloatArray,
    least: FloatArray,
    judged: IntArray,
    place: DoubleArray,
    shown: BoolArray,
) -> tuple[float, float, float, float]:
    """Find out which points of a person are drawn, and where.

    Args:
        xy: (P, 2).
        score, least: (P,).
        judged: see `Palette`.
        place: (P, 2), written: where pixel i is at i.
        shown: (P,), written.

    Returns:
        the box xyxy around the points that are shown; inside out where there are none.
    """
    for p in range(len(xy)):
        place[p, 0], place[p, 1] = xy[p, 0] - 0.5, xy[p, 1] - 0.5
        near = abs(place[p, 0]) < _FAR and abs(place[p, 1]) < _FAR  # NaN is not
        shown[p] = near and score[p] >= least[p]
    for part in range(len(judged)):
        first, end = judged[part, 0], judged[part, 1]
        total, present = 0.0, 0
        for p in range(first, end):
            total += score[p]
            present += score[p] != 0.0
        if total < least[first] * present:
            shown[first:end] = False
    left, top, right, bottom = np.inf, np.inf, -np.inf, -np.inf
    for p in range(len(xy)):
        if shown[p]:
            left, right = min(left, place[p, 0]), max(right, place[p, 0])
            top, bottom = min(top, place[p, 1]), max(bottom, place[p, 1])
    return left, top, right, bottom


@kernel
def draw_people(
    image: ByteArray,
    xy: FloatArray,
    score: FloatArray,
    box: FloatArray,
    least: FloatArray,
    line_width: LineWidth,
    palette: Palette,
    stamps: ByteArray,
) -> BoolArray:
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
        stamps: from `draw_stamps`.

    Returns:
        (N,) whether any point of the person is drawn.
    """
    points, height, width = xy.shape[1], image.shape[0], image.shape[1]
    canvas = Canvas(image.ctypes.data, height, width)
    limb_color, point_color = palette.limb_colors.ctypes.data, palette.point_colors.ctypes.data
    stamp = stamps.ctypes.data
    visible = np.zeros(len(xy), np.bool_)
    shown = np.empty(points, np.bool_)
    dots, tint = np.empty(points, np.int64), np.zeros(points, np.int64)
    place, edge = np.empty((points, 2)), 0.0
    for p in range(points):
        for channel in range(3):
            tint[p] = 256 * tint[p] + palette.point_colors[p, channel]
    drawn_px = 0.0
    for n in range(len(xy) - 1, -1, -1):
        left, top, right, bottom = _look(xy[n], score[n], least, palette.judged, place, shown)
        visible[n] = left <= right
        size = max(box[n, 2] - box[n, 0], box[n, 3] - box[n, 1])
        line_px = min(max(size * line_width.of_size, 1.0), line_width.max_px)
        if line_px != drawn_px:
            drawn_px, widest = line_px, LEAST_DOT
            for p in range(points):
                dot_px = np.round(_DOT_WIDTH * line_px * palette.point_widths[p])
                dots[p] = int(min(max(dot_px, LEAST_DOT), _WIDEST))
                widest = max(widest, dots[p])
            edge = widest / 2 + _SOFT + 1.0
        within = left > edge and top > edge and right < width - 1 - edge and bottom < height - 2 - edge
        for i in range(len(palette.limbs)):
            a, b = palette.limbs[i, 0], palette.limbs[i, 1]
            if not (shown[a] and shown[b]):
                continue
            x1, y1, x2, y2 = place[a, 0], place[a, 1], place[b, 0], place[b, 1]
            touch = (dots[a] + dots[b]) * 0.5 - _SOFT
            if (x2 - x1) * (x2 - x1) + (y2 - y1) * (y2 - y1) > touch * touch:
                across = int(min(max(1.0, np.round(line_px * palette.limb_widths[i])), _WIDEST))
                _line(canvas, x1, y1, x2, y2, across, limb_color + LANES * i, within)
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
            across, color = dots[p], point_color + LANES * p
            if across > WIDEST_STAMP or not (within or _inside(canvas, x, y, across)):
                _dot(canvas, x, y, across, color)
                continue
            corner = STEPS // 2 * across - (STEPS // 2 - 1)  # from the middle, rounded, to the first pixel
            x_steps, y_steps = int(STEPS * x + 0.5) - corner, int(STEPS * y + 0.5) - corner
            index = ((across - LEAST_DOT) * STEPS + (y_steps & (STEPS - 1))) * STEPS + (x_steps & (STEPS - 1))
            at = canvas.address + 3 * ((y_steps >> 4) * width + (x_steps >> 4))
            blend_stamp(at, 3 * width, stamp + index * (PIXELS * LANES), across + 1, color)
    return visible
