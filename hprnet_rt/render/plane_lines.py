"""Anti-aliased lines on planes, two rows of luma and one of chroma at a time."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from hprnet_rt.grouping.compiled import kernel
from hprnet_rt.render.cells import PlaneCanvas
from hprnet_rt.render.lanes import FULL
from hprnet_rt.render.plane_lanes import CELLS, OFF_BITS, blend_pair

__all__ = ["PLANE_LINE", "draw_plane_line", "plan_plane_line"]

_SOFT: Final = 0.5  # px on either side of an edge over which it fades
_LONGEST: Final = (
    100.0  # px from either end of a line that are counted in 16 bits; the rest is covered anyway
)
_BITS: Final = 16  # binary places of a pixel, in the sums along a line
_ONE: Final = float(1 << _BITS)
_TO_OFF: Final = _BITS - OFF_BITS
_TO_ALONG: Final = _BITS - 7  # to 1 / FULL px
_LEVEL: Final = 1 / 128  # of the length; a line that rises less covers each of its rows from end to end
_EVERYWHERE: Final = float(1 << 13)  # px

_FIELDS: Final = "left end top bottom low slope reach dx dy off along inside wide half y u v"
PLANE_LINE: Final = np.dtype([(name, np.int32) for name in _FIELDS.split()])
"""A line that is ready to be drawn.

`top` and `bottom` are its first and last row of cells, `left` the even column from which columns are counted,
and `end` its last column of cells. In 1 / _ONE px: its direction (`dx`, `dy`); where column 0 of the first row
is, `along` the line from its middle and `off` it; how much of `along`, from the middle on, does not count
(`inside`), which keeps it within 16 bits; the first column that the first two rows cover (`low`), by how much
that moves from row to row (`slope`), and how far it is to the last one (`reach`). From the middle, the distance
across (`wide`, in 1 / 2^OFF_BITS px) and along (`half`, in 1 / FULL px) at which cover is 0. `y`, `u` and `v` are
its colour.
"""


@kernel
def plan_plane_line(
    line: Any, x1: float, y1: float, x2: float, y2: float, across: int
) -> tuple[int, int, int, int]:
    """Plan a line with square ends, which the dots at its ends hide: write all of it but its colour.

    Args:
        line: written.
        x1, y1, x2, y2: the ends, which differ, with pixel i at i.
        across: its width, px.

    Returns:
        the first and last column and row of pixels that it covers: left, top, right, bottom.
    """
    outer = across * 0.5 + _SOFT
    dx, dy = x2 - x1, y2 - y1
    length = math.sqrt(dx * dx + dy * dy)
    shrink = 1.0 / length
    dx, dy = dx * shrink, dy * shrink
    wide, high = abs(dx), abs(dy)
    x, y, half = (x1 + x2) * 0.5, (y1 + y2) * 0.5, length * 0.5
    run, rise = (half + _SOFT) * wide + outer * high, (half + _SOFT) * high + outer * wide
    left, right = math.ceil(x - run), math.floor(x + run)
    top, bottom = math.ceil(y - rise), math.floor(y + rise)
    first = left & -2
    first = left & -2
    line.left, line.end, line.top, line.bottom = first, (right - first) >> 1, top >> 1, bottom >> 1
    x, y = first - x, (top & -2) - y  # from here on, of column 0 and the first row, from the middle
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
    return left, top, right, bottom


@kernel
def draw_plane_line(canvas: PlaneCanvas, line: Any) -> None:
    """Draw a line that is planned and within the picture; there must be room for what is beside it."""
    left, end, top = np.int64(line.left), np.int64(line.end), np.int64(line.top)
    low, slope, reach = np.int64(line.low), 2 * np.int64(line.slope), np.int64(line.reach)
    dx, dy, inside = np.int64(line.dx), np.int64(line.dy), np.int64(line.inside)
    off, along = np.int64(line.off), np.int64(line.along)
    wide, half = np.int64(line.wide), np.int64(line.half)
    luma, chroma = np.int64(line.y), (np.int64(line.u), np.int64(line.v))
    off_column, off_row = dy >> _TO_OFF, -dx >> _TO_OFF
    along_column, along_row = dx >> _TO_ALONG, dy >> _TO_ALONG
    y_bytes, u_bytes, v_bytes = canvas.y_bytes, canvas.u_bytes, canvas.v_bytes
    above = canvas.y + 2 * top * y_bytes + left
    u, v = canvas.u + top * u_bytes + (left >> 1), canvas.v + top * v_bytes + (left >> 1)
    for _ in range(top, np.int64(line.bottom) + 1):
        column = max(low >> (_BITS + 1), 0)
        last = min((low + reach) >> (_BITS + 1), end)
        while column <= last:
            away, at = off + 2 * column * dy, along + 2 * column * dx
            at = max(at - inside, 0) + min(at + inside, 0)
            place = above + 2 * column
            blend_pair(
                place,
                place + y_bytes,
                u + column,
                v + column,
                luma,
                chroma,
                (away >> _TO_OFF, off_column, off_row, wide),
                (at >> _TO_ALONG, along_column, along_row, half),
            )
            column += CELLS // 2
        low += slope
        off -= 2 * dx
        along += 2 * dy
        above += 2 * y_bytes
        u += u_bytes
        v += v_bytes
