"""Anti-aliased lines. Positions are in pixels, x before y."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hprnet_rt.grouping.compiled import kernel
from hprnet_rt.render.lanes import FULL, LANES, PIXELS, Canvas, blend_band

__all__ = ["LINE", "draw_line", "plan_line"]

_SOFT = 0.5  # px on either side of an edge over which it fades
_LONGEST = 100.0  # px from either end of a line that are counted in 16 bits; the rest is covered anyway
_BITS = 20  # binary places of a pixel, in the sums along a line
_ONE = float(1 << _BITS)
_TO_LANES = _BITS - 7  # to 1 / FULL px
_ROUND = 1 << (_TO_LANES - 1)
_LEVEL = 1e-4  # of the length; a line that rises less covers each of its rows from end to end
_EVERYWHERE = float(1 << 15)  # px

_FIELDS = "top bottom left right within dx dy along off inside middle slope reach wide half color"
LINE = np.dtype([(name, np.int64) for name in _FIELDS.split()])
"""A line that is ready to be drawn.

`top` and `bottom` are its first and last row, `left` its first column and `right` the one after the last.
`within` says that it ends before all borders, so that more than its own pixels can be read and written as
they are: those of a row that ends, and the first ones of the next.

In 1 / _ONE px: the direction (`dx`, `dy`); where column 0 of the first row is, `along` the line from its
middle and `off` it; how much of `along`, from the middle on, does not count (`inside`), which keeps it
within 16 bits; the line's column in the first row (`middle`), by how much that moves from row to row
(`slope`), and how far from there a row is covered (`reach`). In 1 / FULL px: from the middle, the distance
across (`wide`) and along (`half`) at which cover is 0. `color` is an address, see `blend_band`.
"""


@kernel
def plan_line(
    line: Any, x1: float, y1: float, x2: float, y2: float, across: int, canvas: Canvas, within: bool
) -> None:
    """Plan a line with square ends, which the dots at its ends hide: write all of a `LINE` but its colour.

    Args:
        line: written.
        x1, y1, x2, y2: the ends, which differ, with pixel i at i.
        across: its width, px.
        canvas: that it will be drawn on.
        within: see `LINE`; if not known, it is found out.
    """
    outer = across * 0.5 + _SOFT
    dx, dy = x2 - x1, y2 - y1
    length = math.sqrt(dx * dx + dy * dy)
    shrink = 1.0 / length
    dx, dy = dx * shrink, dy * shrink
    top, bottom = math.ceil(min(y1, y2) - outer), math.floor(max(y1, y2) + outer)
    left, right = math.ceil(min(x1, x2) - outer), math.floor(max(x1, x2) + outer) + 1
    if not within and canvas.width >= PIXELS:  # so that 16 bytes do not reach beyond the next row
        within = left >= 0 and right <= canvas.width and top >= 0 and bottom < canvas.height - 1
    if not within:
        top, bottom = max(0, top), min(canvas.height - 1, bottom)
        left, right = max(0, left), min(canvas.width, right)
    line.within, line.top, line.bottom, line.left, line.right = within, top, bottom, left, right
    y, inside = top - y1, max(length * 0.5 - _LONGEST, 0.0)
    line.dx, line.dy = int(_ONE * dx), int(_ONE * dy)
    line.along, line.off = int(_ONE * (y * dy - x1 * dx - length * 0.5)), int(-_ONE * (x1 * dy + y * dx))
    line.inside, line.half = int(_ONE * inside), int(FULL * (length * 0.5 - inside + _SOFT))
    line.wide = (FULL // 2) * (across + 1)
    level = abs(dy) < _LEVEL
    per_row = 1.0 / (1.0 if level else dy)
    slope, reach = (0.0, _EVERYWHERE) if level else (dx * per_row, abs(outer * per_row))
    line.slope, line.reach, line.middle = int(_ONE * slope), int(_ONE * reach), int(_ONE * (x1 + y * slope))


@kernel
def draw_line(canvas: Canvas, line: Any) -> None:
    """Draw a line that is planned, a record of `LINE`."""
    image, height, width = canvas
    top, left, dx, dy, along, off = line.top, line.left, line.dx, line.dy, line.along, line.off
    turn, step = (dy + _ROUND) >> _TO_LANES, (dx + _ROUND) >> _TO_LANES
    wide, half, inside, color = line.wide, line.half, line.inside, line.color
    if line.within and line.right - left <= PIXELS and inside == 0:  # one call covers each of its rows
        along += left * dx
        off += left * dy
        address, stop = image + 3 * (top * width + left), image + 3 * (line.bottom + 1) * width
        while address < stop:
            across_band, along_band = (off >> _TO_LANES, turn, wide), (along >> _TO_LANES, step, half)
            blend_band(address, address + LANES, PIXELS, color, across_band, along_band)
            address += 3 * width
            along += dy
            off -= dx
        return
    image_end = image + 3 * height * width
    middle, slope, reach, right, within = line.middle, line.slope, line.reach, line.right, line.within
    for row in range(top, line.bottom + 1):
        column = max(left, (middle - reach) >> _BITS)
        end = min(right, ((middle + reach) >> _BITS) + 1)
        while column < end:
            away, at = off + column * dy, along + column * dx
            at = max(at - inside, 0) + min(at + inside, 0)
            address = image + 3 * (row * width + column)
            across_band, along_band = (away >> _TO_LANES, turn, wide), (at >> _TO_LANES, step, half)
            if within:
                blend_band(address, address + LANES, PIXELS, color, across_band, along_band)
            else:
                blend_band(address, image_end, min(PIXELS, end - column), color, across_band, along_band)
            column += PIXELS
        middle += slope
        along += dy
        off -= dx
