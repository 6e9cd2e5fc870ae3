"""Strokes on planes, cell by cell: four pixels of luma and the samples of chroma that they share.

A sample of chroma moves by the mean of what covers its pixels, which is what an encoder makes of a picture
that has a colour for every pixel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple, cast

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from hprnet_rt.grouping.compiled import kernel

__all__ = [
    "FULL",
    "PlaneCanvas",
    "Shade",
    "Stroke",
    "blend_byte",
    "dot_stroke",
    "draw_cells",
    "line_stroke",
    "load_byte",
]

_types: Any = types  # numba declares them for itself only

FULL: Final = 128
_SOFT: Final = 0.5  # px on either side of an edge over which it fades
_LEVEL: Final = 1e-4  # of the length; a line that rises less covers each of its rows from end to end


class PlaneCanvas(NamedTuple):
    """Planes to draw on.

    Attributes:
        y, u, v: addresses of their first bytes.
        y_bytes, u_bytes, v_bytes: from one row to the next.
        height, width: of luma, px.
    """

    y: int
    u: int
    v: int
    y_bytes: int
    u_bytes: int
    v_bytes: int
    height: int
    width: int


class Shade(NamedTuple):
    """A colour."""

    y: int
    u: int
    v: int


class Stroke(NamedTuple):
    """A line with square ends, or a dot.

    Attributes:
        x, y: its middle, px, with pixel i at i.
        dx, dy: the line's direction, of length 1.
        along, across: distances from the middle, along the line and across it, at which cover is 0; a dot
            has a negative `along`.
    """

    x: float
    y: float
    dx: float
    dy: float
    along: float
    across: float


@kernel
def line_stroke(x1: float, y1: float, x2: float, y2: float, width: float) -> Stroke:
    """Return the line between two points, which differ."""
    dx, dy = x2 - x1, y2 - y1
    length = math.sqrt(dx * dx + dy * dy)
    middle_x, middle_y, along = (x1 + x2) / 2, (y1 + y2) / 2, length / 2 + _SOFT
    return Stroke(middle_x, middle_y, dx / length, dy / length, along, width / 2 + _SOFT)


@kernel
def dot_stroke(x: float, y: float, width: float) -> Stroke:
    """Return a dot."""
    return Stroke(x, y, 0.0, 0.0, -1.0, width / 2 + _SOFT)


@cast(Callable[..., Callable[[int, int, int], None]], intrinsic)
def blend_byte(_typing: Any, _address: Any, _color: Any, _cover: Any) -> Any:
    """Move the byte at an address towards a colour by a cover in 1 / FULL, rounded."""
    whole = _types.int64

    def generate(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        address, color, cover = args
        place = builder.inttoptr(address, ir.IntType(8).as_pointer())
        old = builder.zext(builder.load(place), color.type)
        step = builder.mul(cover, builder.sub(color, old))
        step = builder.ashr(builder.add(step, ir.Constant(step.type, FULL // 2)), ir.Constant(step.type, 7))
        builder.store(builder.trunc(builder.add(old, step), ir.IntType(8)), place)
        return context.get_dummy_value()

    return _types.void(whole, whole, whole), generate


@cast(Callable[..., Callable[[int], int]], intrinsic)
def load_byte(_typing: Any, _address: Any) -> Any:
    """Return the byte at an address."""
    whole = _types.int64

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        place = builder.inttoptr(args[0], ir.IntType(8).as_pointer())
        return builder.zext(builder.load(place), args[0].type)

    return whole(whole), generate


@kernel
def _cover(stroke: Stroke, x: float, y: float) -> float:
    """Return how much of a pixel a stroke covers, 0 to 1."""
    x, y = x - stroke.x, y - stroke.y
    if stroke.along < 0.0:
        free = stroke.across - math.sqrt(x * x + y * y)
    else:
        along, off = abs(x * stroke.dx + y * stroke.dy), abs(x * stroke.dy - y * stroke.dx)
        free = min(stroke.across - off, stroke.along - along)
    return min(max(free, 0.0), 1.0)


@kernel
def _columns(stroke: Stroke, y: float, reach: float) -> tuple[float, float]:
    """Return between which x a stroke may cover pixels of the rows y and y + 1."""
    left, right = stroke.x - reach, stroke.x + reach
    if stroke.along >= 0.0 and abs(stroke.dy) > _LEVEL:
        slope = stroke.dx / stroke.dy
        wide = abs(stroke.across / stroke.dy)
        above, below = stroke.x + (y - stroke.y) * slope, stroke.x + (y + 1.0 - stroke.y) * slope
        left, right = max(left, min(above, below) - wide), min(right, max(above, below) + wide)
    return left, right


@kernel
def draw_cells(canvas: PlaneCanvas, stroke: Stroke, shade: Shade) -> None:
    """Draw a stroke, wherever it is; nothing outside the picture changes."""
    height, width = canvas.height, canvas.width
    rise = run = stroke.across
    if stroke.along >= 0.0:
        rise += stroke.along * abs(stroke.dy)
        run += stroke.along * abs(stroke.dx)
    top, bottom = max(0, math.ceil(stroke.y - rise)), min(height - 1, math.floor(stroke.y + rise))
    for cell_row in range(top >> 1, (bottom >> 1) + 1):
        row = 2 * cell_row
        rows = min(2, height - row)
        low, high = _columns(stroke, float(row), run)
        left, right = max(0, math.ceil(low)), min(width - 1, math.floor(high))
        for cell in range(left >> 1, (right >> 1) + 1):
            column = 2 * cell
            columns = min(2, width - column)
            total = 0.0
            for y in range(row, row + rows):
                for x in range(column, column + columns):
                    cover = _cover(stroke, float(x), float(y))
                    if cover > 0.0:
                        blend_byte(canvas.y + y * canvas.y_bytes + x, shade.y, int(FULL * cover + 0.5))
                        total += cover
            if total > 0.0:
                mean = int(FULL * total / (rows * columns) + 0.5)
                blend_byte(canvas.u + cell_row * canvas.u_bytes + cell, shade.u, mean)
                blend_byte(canvas.v + cell_row * canvas.v_bytes + cell, shade.v, mean)
