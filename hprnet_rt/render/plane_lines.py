"""Anti-aliased lines on planes, two rows of luma and one of chroma at a time."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hprnet_rt.grouping.compiled import kernel
from hprnet_rt.render.cells import PlaneCanvas, Shade, draw_cells, line_stroke
from hprnet_rt.render.lanes import FULL
from hprnet_rt.render.plane_lanes import CELLS, OFF_BITS, blend_pair

__all__ = ["PLANE_LINE", "draw_lines", "plan_lines"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_whole: Any = np.int64  # in which sums and products of a line's numbers do not overflow
_SOFT: Final = 0.5  # px on either side of an edge over which it fades
_LONGEST: Final = 100.0  # px from either end of a line that count in 16 bits; the rest is covered anyway
_BITS: Final = 16  # binary places of a pixel, in the sums along a line
_ONE: Final = float(1 << _BITS)
_TO_OFF: Final = _BITS - OFF_BITS
_TO_ALONG: Final = _BITS - 7  # to 1 / FULL px
_LEVEL: Final = 1 / 128  # of the length; a line that rises less covers each of its rows from end to end
_EVERYWHERE: Final = float(1 << 13)  # px
_WIDEST: Final = 64  # px, of lines that are drawn several pixels at a time

_FIELDS: Final = "limb left end top bottom low slope reach dx dy off along inside wide half"
PLANE_LINE: Final = np.dtype([(name, np.int32) for name in _FIELDS.split()])
"""A line that is ready to be drawn.

`limb` is its number, `top` and `bottom` are its first and last row of cells, `left` the even column from
which columns are counted, and `end` its last column of cells. In 1 / _ONE px: its direction (`dx`, `dy`);
where column 0 of the first row is, `along` the line from its middle and `off` it; how much of `along`, from
the middle on, does not count (`inside`), which keeps it within 16 bits; the first column that the first two
rows cover (`low`), by how much that moves from row to row (`slope`), and how far it is to the last one
(`reach`). From the middle, the distance across (`wide`, in 1 / 2^OFF_BITS px) and along (`half`, in 1 / FULL
px) at which cover is 0. A `wide` of 0 is that of a line too near to a border, of which only `limb` is known.
"""


@kernel
def plan_lines(
    xs: FloatArray,
    ys: FloatArray,
    shown: BoolArray,
    dots: IntArray,
    limbs: IntArray,
    widths: IntArray,
    free_wh: tuple[int, int],
    lines: Any,
) -> int:
    """Plan a person's limbs: lines with square ends, which the dots at these hide.

    Args:
        xs, ys: (P,) x and y of points, with pixel i at i.
        shown: (P,) which of them are drawn.
        dots: (P,) their diameters, px; a limb between dots that touch is hidden.
        limbs: (L, 2) the points that a line joins.
        widths: (L,) px.
        free_wh: within how much of the picture pixels can be drawn several at a time.
        lines: (L,) of PLANE_LINE, written.

    Returns:
        how many of `lines` are to be drawn.
    """
    planned = 0
    for i in range(len(limbs)):
        a, b = limbs[i, 0], limbs[i, 1]
        x1, y1, x2, y2 = xs[a], ys[a], xs[b], ys[b]
        touch, dx, dy = (dots[a] + dots[b]) * 0.5 - _SOFT, x2 - x1, y2 - y1
        squared = dx * dx + dy * dy
        if not (shown[a] & shown[b] & (squared > touch * touch)):
            continue
        line, across = lines[planned], widths[i]
        planned += 1
        line.limb = i
        outer, length = across * 0.5 + _SOFT, math.sqrt(squared)
        shrink = 1.0 / length
        dx, dy = dx * shrink, dy * shrink
        wide, high = abs(dx), abs(dy)
        x, y, half = (x1 + x2) * 0.5, (y1 + y2) * 0.5, length * 0.5
        run, rise = (half + _SOFT) * wide + outer * high, (half + _SOFT) * high + outer * wide
        if (x < run) | (y < rise) | (x + run >= free_wh[0]) | (y + rise >= free_wh[1]) | (across > _WIDEST):
            line.wide = 0
            continue
        left, top = int(x - run + 1.0) & -2, int(y - rise + 1.0) & -2  # rounded up, and then to a cell
        line.left, line.end = left, (int(x + run) - left) >> 1
        line.top, line.bottom = top >> 1, int(y + rise) >> 1
        x, y = left - x, top - y  # from here on, of column 0 and the first row, from the middle
        inside = max(half - _LONGEST, 0.0)
        line.dx, line.dy, line.inside = int(_ONE * dx), int(_ONE * dy), int(_ONE * inside)
        line.off, line.along = int(_ONE * (x * dy - y * dx)), int(_ONE * (x * dx + y * dy))
        line.wide, line.half = (across + 1) << (OFF_BITS - 1), int(FULL * (half - inside + _SOFT))
        level = high < _LEVEL
        per_row = 1.0 / (1.0 if level else dy)
        slope = 0.0 if level else dx * per_row
        reach = _EVERYWHERE if level else outer * abs(per_row) + 0.5 * abs(slope)
        line.slope, line.reach = int(_ONE * slope), int(_ONE * 2.0 * reach)
        line.low = int(_ONE * ((y + 0.5) * slope - x - reach))
    return planned


@kernel
def draw_lines(
    canvas: PlaneCanvas,
    lines: Any,
    planned: int,
    xs: FloatArray,
    ys: FloatArray,
    limbs: IntArray,
    widths: IntArray,
    shades: IntArray,
) -> None:
    """Draw a person's limbs, of which the first `planned` lines are planned.

    Args:
        shades: (L, 3) Y, Cb and Cr.
    """
    y_bytes, u_bytes, v_bytes = canvas.y_bytes, canvas.u_bytes, canvas.v_bytes
    for i in range(planned):
        line = lines[i]
        limb, wide, half = _whole(line.limb), _whole(line.wide), _whole(line.half)
        luma, chroma = shades[limb, 0], (shades[limb, 1], shades[limb, 2])
        if wide == 0:
            a, b = limbs[limb, 0], limbs[limb, 1]
            stroke = line_stroke(xs[a], ys[a], xs[b], ys[b], widths[limb])
            draw_cells(canvas, stroke, Shade(luma, chroma[0], chroma[1]))
            continue
        left, end, top = _whole(line.left), _whole(line.end), _whole(line.top)
        low, slope, reach = _whole(line.low), 2 * _whole(line.slope), _whole(line.reach)
        dx, dy, inside = _whole(line.dx), _whole(line.dy), _whole(line.inside)
        off, along = _whole(line.off), _whole(line.along)
        off_column, off_row = dy >> _TO_OFF, -dx >> _TO_OFF
        along_column, along_row = dx >> _TO_ALONG, dy >> _TO_ALONG
        above = canvas.y + 2 * top * y_bytes + left
        u, v = canvas.u + top * u_bytes + (left >> 1), canvas.v + top * v_bytes + (left >> 1)
        for _ in range(top, _whole(line.bottom) + 1):
            column = max(low >> (_BITS + 1), 0)
            last = min((low + reach) >> (_BITS + 1), end)
            while column <= last:
                away, at = off + 2 * column * dy, along + 2 * column * dx
                at = max(at - inside, 0) + min(at + inside, 0)
                away, at, pixel = away >> _TO_OFF, at >> _TO_ALONG, above + 2 * column
                offs, alongs = (away, off_column, off_row, wide), (at, along_column, along_row, half)
                blend_pair(pixel, pixel + y_bytes, u + column, v + column, luma, chroma, offs, alongs)
                column += CELLS // 2
            low += slope
            off -= 2 * dx
            along += 2 * dy
            above += 2 * y_bytes
            u += u_bytes
            v += v_bytes
