"""Blending of 16 bytes of an image at once: five pixels and the first byte of a sixth, which does not change.

Numba does not turn loops over colours and pixels into vector instructions; these are vectors from the start,
for any processor. They take addresses, because passing an array would take longer than the blending itself.
Cover is in 1/128: 128 is the colour alone. The kernels that use them, and are kept on disk, are not compiled
again when this file changes (see `hprnet_rt.grouping.compiled`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, cast

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["FULL", "LANES", "PIXELS", "Canvas", "blend_band", "blend_cover", "blend_disc", "lane_colors"]

_types: Any = types  # numba declares them for itself only
_code: Any = cgutils

LANES: Final = 16
PIXELS: Final = LANES // 3
"""Pixels that one call blends at most."""
FULL: Final = 128

_PIXEL_OF_LANE: Final = [lane // 3 for lane in range(LANES)]
_BYTES: Final = ir.VectorType(ir.IntType(8), LANES)
_SHORTS: Final = ir.VectorType(ir.IntType(16), LANES)
_INTS: Final = ir.VectorType(ir.IntType(32), LANES)
_FLOATS: Final = ir.VectorType(ir.FloatType(), LANES)


class Canvas(NamedTuple):
    """An image to draw on.

    Attributes:
        address: of its bytes, (height, width, 3).
        height, width: in pixels.
    """

    address: int
    height: int
    width: int


def lane_colors(colors: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Repeat colours (N, 3) over all lanes: (N, 16)."""
    return np.ascontiguousarray(np.tile(colors, (1, PIXELS + 1))[:, :LANES])


def _instruction(function: Callable[..., Any]) -> Callable[..., None]:
    """Let kernels call `function`: its instructions become part of theirs."""
    return cast(Callable[..., None], intrinsic(function))


def _constant(kind: Any, value: float) -> Any:
    return ir.Constant(kind, [value] * LANES)


def _spread(builder: Any, scalar: Any, kind: Any) -> Any:
    """Return a vector whose lanes all hold `scalar`; an integer is cut to the lanes' width."""
    if kind is _SHORTS:
        scalar = builder.trunc(scalar, kind.element)
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, undefined, _constant(_INTS, 0))


def _clamped(builder: Any, cover: Any) -> Any:
    """Clamp to between 0 and 128."""
    for sign, limit in (("<", FULL), (">", 0)):
        edge = _constant(_SHORTS, limit)
        cover = builder.select(builder.icmp_signed(sign, cover, edge), cover, edge)
    return cover


def _loaded(builder: Any, pointer: Any) -> Any:
    """Load 16 bytes as 16-bit numbers."""
    loaded = builder.load(pointer)
    loaded.align = 1
    return builder.zext(loaded, _SHORTS)


def _at(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, _BYTES.as_pointer())


def _blend(builder: Any, address: Any, end: Any, pixels: Any, cover: Any, color: Any) -> None:
    """Move each byte of the first `pixels` pixels towards `color` by `cover`, rounded.

    Where fewer than 16 bytes are left before `end`, they are copied to where there is room, and back.
    """
    lanes = builder.mul(_spread(builder, pixels, _SHORTS), _constant(_SHORTS, 3))
    inside = builder.icmp_signed("<", ir.Constant(_SHORTS, list(range(LANES))), lanes)
    cover = builder.select(inside, cover, _constant(_SHORTS, 0))
    left = builder.sub(end, address)
    short = builder.icmp_signed("<", left, ir.Constant(left.type, LANES))
    room = _code.alloca_once(builder, _BYTES)
    image = _at(builder, address)
    with builder.if_then(short, likely=False):
        _code.raw_memcpy(builder, room, image, left, 1)
    pointer = builder.select(short, room, image)
    old = _loaded(builder, pointer)
    step = builder.mul(cover, builder.sub(color, old))  # within 16 bits: 128 * 255 + 64
    step = builder.ashr(builder.add(step, _constant(_SHORTS, FULL // 2)), _constant(_SHORTS, 7))
    builder.store(builder.trunc(builder.add(old, step), _BYTES), pointer).align = 1
    with builder.if_then(short, likely=False):
        _code.raw_memcpy(builder, image, room, left, 1)


@_instruction
def blend_band(
    _typing: Any, _address: Any, _end: Any, _pixels: Any, _color: Any, _across: Any, _along: Any
) -> Any:
    """Blend the pixels that a band covers.

    Args:
        address: of the first of 16 bytes that are read and written.
        end: the address after the image's last byte.
        pixels: how many of the 5 may change.
        color: address of one of `lane_colors`.
        across: (distance of the first pixel from the middle of the band, its step from pixel to pixel,
            distance at which cover is 0), in 1/128 px within 16 bits.
        along: likewise, along the band.
    """
    whole = _types.int64
    signature = _types.void(whole, whole, whole, whole, *2 * [_types.UniTuple(whole, 3)])

    def generate(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        address, end, pixels, color, *directions = args
        pixel = ir.Constant(_SHORTS, _PIXEL_OF_LANE)
        least = _constant(_SHORTS, FULL)
        for direction in directions:
            first, step, reach = (
                _spread(builder, builder.extract_value(direction, i), _SHORTS) for i in range(3)
            )
            off = builder.add(first, builder.mul(step, pixel))
            other = builder.sub(_constant(_SHORTS, 0), off)
            away = builder.select(builder.icmp_signed(">", off, other), off, other)
            cover = builder.sub(reach, away)
            least = builder.select(builder.icmp_signed("<", cover, least), cover, least)
        cover = _clamped(builder, least)
        _blend(builder, address, end, pixels, cover, _loaded(builder, _at(builder, color)))
        return context.get_dummy_value()

    return signature, generate


@_instruction
def blend_disc(
    _typing: Any, _address: Any, _end: Any, _pixels: Any, _color: Any, _x: Any, _squared: Any, _outer: Any
) -> Any:
    """Blend the pixels that a disc covers; `blend_band` has the first arguments too; lengths are in px.

    Args:
        x: of the first pixel, from the disc's centre.
        squared: the square of the row's distance from the centre.
        outer: distance from the centre at which cover is 0.
    """
    whole, real = _types.int64, _types.float32
    signature = _types.void(whole, whole, whole, whole, real, real, real)

    def generate(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        address, end, pixels, color, *reals = args
        left, squared, reach = (_spread(builder, value, _FLOATS) for value in reals)
        off = builder.fadd(left, ir.Constant(_FLOATS, [float(p) for p in _PIXEL_OF_LANE]))
        root = _code.get_or_insert_function(
            builder.module, ir.FunctionType(_FLOATS, [_FLOATS]), f"llvm.sqrt.v{LANES}f32"
        )
        away = builder.call(root, [builder.fadd(builder.fmul(off, off), squared)])
        cover = builder.fmul(builder.fsub(reach, away), _constant(_FLOATS, float(FULL)))
        rounded = builder.trunc(builder.fptosi(cover, _INTS), _SHORTS)
        cover = _clamped(builder, rounded)
        _blend(builder, address, end, pixels, cover, _loaded(builder, _at(builder, color)))
        return context.get_dummy_value()

    return signature, generate


@_instruction
def blend_cover(_typing: Any, _address: Any, _end: Any, _pixels: Any, _color: Any, _cover: Any) -> Any:
    """Blend by a given cover; `blend_band` has the first arguments too.

    Args:
        cover: address of 16 bytes, one for each byte of the image.
    """
    whole = _types.int64
    signature = _types.void(whole, whole, whole, whole, whole)

    def generate(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        address, end, pixels, color, cover = args
        given, shade = (_loaded(builder, _at(builder, place)) for place in (cover, color))
        _blend(builder, address, end, pixels, given, shade)
        return context.get_dummy_value()

    return signature, generate
