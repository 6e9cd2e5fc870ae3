"""Anti-aliased dots. Small ones are drawn once for each place within a pixel, and then copied."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from hprnet_rt.grouping.compiled import kernel
from hprnet_rt.render.lanes import FULL, LANES, PIXELS, Canvas, blend_cover, blend_disc

__all__ = [
    "LEAST_DOT",
    "STEPS",
    "STEP_BITS",
    "WIDEST_STAMP",
    "blend_stamp",
    "draw_dot",
    "draw_stamps",
    "inside",
]

ByteArray = npt.NDArray[np.uint8]

LEAST_DOT: Final = 2
"""Diameter of the smallest dot, px."""
WIDEST_STAMP: Final = PIXELS - 1
"""Diameter of the widest dot of which there is a stamp, px."""
STEP_BITS: Final = 4
STEPS: Final = 1 << STEP_BITS
"""Places within a pixel, along each axis, and their binary logarithm."""

_SOFT: Final = 0.5  # px on either side of an edge over which it fades


def draw_stamps() -> ByteArray:
    """Draw small dots once at all places within a pixel, to be copied.

    Returns:
        cover in 1 / FULL, (sizes, 16, 16, 5, 16) flattened: of dots of 2 px and more, at a place (y, x) in
        1/16 px, rows of five pixels, each three times, and a byte more.
    """
    sizes = range(LEAST_DOT, WIDEST_STAMP + 1)
    stamps = np.zeros((len(sizes), STEPS, STEPS, PIXELS, LANES), np.uint8)
    place, pixel = np.arange(STEPS), np.arange(PIXELS)
    for size, across in enumerate(sizes):
        middle = (STEPS // 2 * across - (STEPS // 2 - 1) + place) / STEPS
        off = pixel[None, :] - middle[:, None]  # (place, pixel)
        away = np.hypot(off[:, None, :, None], off[None, :, None, :])
        cover = np.rint(np.clip(across / 2 + _SOFT - away, 0.0, 1.0) * FULL)
        stamps[size, ..., : 3 * PIXELS] = np.repeat(cover, 3, axis=-1)
    return stamps.reshape(-1)


@kernel
def blend_stamp(address: int, row_bytes: int, cover: int, rows: int, color: int) -> None:
    """Blend a stamp into a picture, from the address of its upper left corner on."""
    for _ in range(rows):
        blend_cover(address, address + LANES, PIXELS, color, cover)
        address += row_bytes
        cover += LANES


@kernel
def inside(canvas: Canvas, x: float, y: float, across: int) -> bool:
    """Return whether a dot is within the picture: all 16 bytes of its rows are, and it ends at no border."""
    reach = across / 2 + _SOFT
    return bool(x > reach and y > reach and x < canvas.width - 1 - reach and y < canvas.height - 2 - reach)


@kernel
def draw_dot(canvas: Canvas, x: float, y: float, across: int, color: int) -> None:
    """Draw a disc with its middle at (x, y) and a diameter of `across`, px, pixel by pixel.

    `color` is an address, see `blend_band`.
    """
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
