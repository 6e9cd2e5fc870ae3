"""Blending of 16 bytes of planes at once, in two or four places, as vectors; see `lanes` for why.

A lane is a byte. Covers and colours are as in `lanes`: a cover of 128 is the colour alone. Places are
addresses; bytes that a stroke does not cover are read and written as they are, so there must be room.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from hprnet_rt.render.lanes import FULL, LANES

__all__ = ["CELLS", "OFF_BITS", "blend_covers", "blend_pair", "blend_spot"]

_types: Any = types  # numba declares them for itself only

CELLS: Final = 8
"""Bytes of a row that one call blends."""
OFF_BITS: Final = 9
"""Binary places of a pixel, of distances from the middle of a line."""

_HALF: Final = LANES // 2
_BYTES: Final = ir.VectorType(ir.IntType(8), LANES)
_SHORTS: Final = ir.VectorType(ir.IntType(16), LANES)
_LONG, _WORD = ir.IntType(64), ir.IntType(32)
_COLUMN: Final = [lane % CELLS for lane in range(LANES)]
_ROW: Final = [lane // CELLS for lane in range(LANES)]
_SEVEN: Final = 7  # binary places of FULL


def _instruction(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let kernels call `function`: its instructions become part of theirs."""
    return cast(Callable[..., Any], intrinsic(function))


def _constant(value: int | list[int], lanes: int = LANES) -> Any:
    values = value if isinstance(value, list) else [value] * lanes
    return ir.Constant(ir.VectorType(ir.IntType(16), lanes), values)


def _spread(builder: Any, scalar: Any, lanes: int = LANES) -> Any:
    """Return a vector whose lanes all hold `scalar`, cut to 16 bits."""
    kind = ir.VectorType(ir.IntType(16), lanes)
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, builder.trunc(scalar, kind.element), ir.Constant(_WORD, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_WORD, lanes), [0] * lanes))


def _least(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.icmp_signed("<", a, b), a, b)


def _size(builder: Any, a: Any) -> Any:
    other = builder.sub(_constant(0), a)
    return builder.select(builder.icmp_signed(">", a, other), a, other)


def _gathered(builder: Any, places: list[Any], kind: Any) -> Any:
    """Load what lies at some places into one vector of 16-bit lanes, one for each byte."""
    vector = ir.Constant(ir.VectorType(kind, len(places)), ir.Undefined)
    for n, place in enumerate(places):
        value = builder.load(builder.inttoptr(place, kind.as_pointer()))
        value.align = 1
        vector = builder.insert_element(vector, value, ir.Constant(_WORD, n))
    lanes = len(places) * kind.width // 8
    loaded = builder.bitcast(vector, ir.VectorType(ir.IntType(8), lanes))
    return builder.zext(loaded, ir.VectorType(ir.IntType(16), lanes))


def _scattered(builder: Any, lanes: Any, places: list[Any], kind: Any) -> None:
    """Store lanes as bytes at some places; the last lanes may be left."""
    count = lanes.type.count
    vector = builder.trunc(lanes, ir.VectorType(ir.IntType(8), count))
    vector = builder.bitcast(vector, ir.VectorType(kind, count * 8 // kind.width))
    for n, place in enumerate(places):
        value = builder.extract_element(vector, ir.Constant(_WORD, n))
        builder.store(value, builder.inttoptr(place, kind.as_pointer())).align = 1


def _moved(builder: Any, old: Any, color: Any, cover: Any) -> Any:
    """Move lanes towards a colour by a cover, rounded."""
    lanes = old.type.count
    step = builder.mul(cover, builder.sub(color, old))  # within 16 bits: 128 * 255 + 64
    step = builder.ashr(builder.add(step, _constant(FULL // 2, lanes)), _constant(_SEVEN, lanes))
    return builder.add(old, step)


@_instruction
def blend_pair(
    _typing: Any, _above: Any, _below: Any, _u: Any, _v: Any, _luma: Any, _chroma: Any, _off: Any, _along: Any
) -> Any:
    """Blend eight pixels of each of two rows, and their four cells, by a line's cover.

    Args:
        above, below: addresses of the rows' first pixels of luma, which begin a cell.
        u, v: addresses of the first cell.
        luma: the colour's Y.
        chroma: its (Cb, Cr).
        off: (distance of the first pixel from the middle of the line, its step from column to column and from
            row to row, distance at which cover is 0), in 1 / 2^OFF_BITS px within 16 bits.
        along: likewise, from the middle along the line, in 1 / FULL px.
    """
    whole = _types.int64
    two, four = _types.UniTuple(whole, 2), _types.UniTuple(whole, 4)

    def generate(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        above, below, u, v, luma, chroma, *directions = args
        covers = []
        for direction in directions:
            first, column, row, reach = (builder.extract_value(direction, i) for i in range(4))
            step = builder.mul(_spread(builder, column), _constant(_COLUMN))
            step = builder.add(step, builder.mul(_spread(builder, row), _constant(_ROW)))
            away = _size(builder, builder.add(step, _spread(builder, first)))
            covers.append(builder.sub(_spread(builder, reach), away))
        across = builder.ashr(covers[0], _constant(OFF_BITS - _SEVEN))
        cover = _least(builder, _least(builder, across, covers[1]), _constant(FULL))
        cover = builder.select(builder.icmp_signed(">", cover, _constant(0)), cover, _constant(0))
        old = _gathered(builder, [above, below], _LONG)
        old_cells = _gathered(builder, [u, v], _WORD)
        mean = _cell_means(builder, cover)
        color = builder.shuffle_vector(
            *(_spread(builder, builder.extract_value(chroma, i), CELLS) for i in range(2)),
            ir.Constant(ir.VectorType(_WORD, CELLS), [0] * 4 + [CELLS] * 4),
        )
        _scattered(builder, _moved(builder, old, _spread(builder, luma), cover), [above, below], _LONG)
        _scattered(builder, _moved(builder, old_cells, color, mean), [u, v], _WORD)
        return context.get_dummy_value()

    return _types.void(whole, whole, whole, whole, whole, two, four, four), generate


def _cell_means(builder: Any, cover: Any) -> Any:
    """Return mean covers of the four cells of two rows of eight pixels, twice."""
    undefined = ir.Constant(cover.type, ir.Undefined)
    above, below = (
        builder.shuffle_vector(
            cover, undefined, ir.Constant(ir.VectorType(_WORD, CELLS), list(range(first, first + CELLS)))
        )
        for first in (0, CELLS)
    )
    pairs = builder.bitcast(builder.add(above, below), ir.VectorType(_WORD, CELLS // 2))
    lower = builder.and_(pairs, ir.Constant(pairs.type, [0xFFFF] * (CELLS // 2)))
    upper = builder.lshr(pairs, ir.Constant(pairs.type, [16] * (CELLS // 2)))
    total = builder.add(builder.add(lower, upper), ir.Constant(pairs.type, [2] * (CELLS // 2)))
    mean = builder.lshr(total, ir.Constant(pairs.type, [2] * (CELLS // 2)))
    twice = ir.Constant(ir.VectorType(_WORD, CELLS), 2 * list(range(CELLS // 2)))
    both = builder.shuffle_vector(mean, ir.Constant(mean.type, ir.Undefined), twice)
    return builder.trunc(both, ir.VectorType(ir.IntType(16), CELLS))


def _vector_at(builder: Any, address: Any) -> Any:
    loaded = builder.load(builder.inttoptr(address, _BYTES.as_pointer()))
    loaded.align = 1
    return loaded


@_instruction
def blend_covers(
    _typing: Any, _first: Any, _second: Any, _colors: Any, _first_cover: Any, _second_cover: Any
) -> Any:
    """Blend eight bytes in each of two places by given covers.

    Args:
        first, second: addresses.
        colors: address of 16 bytes, eight for each place.
        first_cover, second_cover: addresses of eight bytes.
    """
    whole = _types.int64

    def generate(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        first, second, colors, *covers = args
        color = builder.zext(_vector_at(builder, colors), _SHORTS)
        cover = _gathered(builder, covers, _LONG)
        moved = _moved(builder, _gathered(builder, [first, second], _LONG), color, cover)
        _scattered(builder, moved, [first, second], _LONG)
        return context.get_dummy_value()

    return _types.void(whole, whole, whole, whole, whole), generate


@_instruction
def blend_spot(
    _typing: Any,
    _y: Any,
    _y_bytes: Any,
    _u: Any,
    _v: Any,
    _c_bytes: Any,
    _colors: Any,
    _cover: Any,
    _mean: Any,
) -> Any:
    """Blend a dot of three rows of luma and two of chroma, of which four bytes each are read and written.

    Args:
        y, u, v: addresses of the upper left corners.
        y_bytes: from row to row of luma.
        c_bytes: likewise of u, and of v.
        colors: address of 32 bytes: 16 times luma, eight times u and v.
        cover: address of 16 bytes, a row of luma after the other; the last four are 0.
        mean: address of 8 bytes, a row of chroma after the other.
    """
    whole = _types.int64
    two = _types.UniTuple(whole, 2)

    def generate(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        y, y_bytes, u, v, c_bytes, colors, cover, mean = args
        below = builder.add(y, y_bytes)
        rows = [y, below, builder.add(below, y_bytes), y]
        u_below = builder.add(u, builder.extract_value(c_bytes, 0))
        v_below = builder.add(v, builder.extract_value(c_bytes, 1))
        cells = [u, u_below, v, v_below]
        more = builder.add(colors, ir.Constant(colors.type, LANES))
        luma = builder.zext(_vector_at(builder, colors), _SHORTS)
        chroma = builder.zext(_vector_at(builder, more), _SHORTS)
        means = _gathered(builder, [mean, mean], _LONG)
        covers = builder.zext(_vector_at(builder, cover), _SHORTS)
        old_rows, old_cells = (_gathered(builder, places, _WORD) for places in (rows, cells))
        _scattered(builder, _moved(builder, old_rows, luma, covers), rows[:3], _WORD)
        _scattered(builder, _moved(builder, old_cells, chroma, means), cells, _WORD)
        return context.get_dummy_value()

    return _types.void(whole, whole, whole, whole, two, whole, whole, whole), generate
