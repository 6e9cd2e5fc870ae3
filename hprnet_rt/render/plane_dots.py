"""Anti-aliased dots on planes: small ones are drawn once for each place within a pixel, and then copied."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from hprnet_rt.grouping.compiled import kernel
from hprnet_rt.render.cells import PlaneCanvas
from hprnet_rt.render.lanes import FULL
from hprnet_rt.render.plane_lanes import CELLS, blend_covers, blend_spot

__all__ = ["LEAST_PLANE_DOT", "STEPS", "WIDEST_PLANE_STAMP", "draw_plane_stamp", "draw_plane_stamps"]

ByteArray = npt.NDArray[np.uint8]

LEAST_PLANE_DOT: Final = 2
"""Diameter of the smallest dot, px."""
WIDEST_PLANE_STAMP: Final = CELLS - 1
"""Diameter of the widest dot of which there is a stamp, px."""
STEPS: Final = 16
"""Places within a pixel, or within a cell, along each axis."""

_STEP_BITS: Final = 4
_SOFT: Final = 0.5  # px on either side of an edge over which it fades
_WORD: Final = 4  # bytes in a row of the smallest dots
_SPOT: Final = 4 * _WORD  # bytes of a stamp of the smallest dot
_MEAN: Final = 2 * _WORD  # likewise of its mean covers
_CELL_ROWS: Final = WIDEST_PLANE_STAMP // 2 + 2  # rows of chroma of the widest stamp, at most
_SPOT_MEANS: Final = STEPS * STEPS * _SPOT  # where mean covers of the smallest dots begin
_DOTS: Final = _SPOT_MEANS + STEPS * STEPS * _MEAN  # where covers of wider dots begin, and their means
_DOT_MEANS: Final = _DOTS + (WIDEST_PLANE_STAMP - LEAST_PLANE_DOT) * STEPS * STEPS * CELLS * CELLS


def _covers(across: int, middle: npt.NDArray[np.float64], pixels: int) -> npt.NDArray[np.float64]:
    """Return covers (places, places, pixels, pixels), 0 to 1, of a dot with its middle at places in px."""
    off = np.arange(pixels) - middle[:, None]
    away = np.hypot(off[:, None, :, None], off[None, :, None, :])
    return np.clip(across / 2 + _SOFT - away, 0.0, 1.0)


def _luma(across: int) -> npt.NDArray[np.float64]:
    first = STEPS // 2 * across - (STEPS // 2 - 1)
    return _covers(across, (first + np.arange(STEPS)) / STEPS, CELLS)


def _chroma(across: int) -> npt.NDArray[np.float64]:
    first = STEPS // 4 * (across - 1)
    pixels = _covers(across, (first + np.arange(STEPS)) * 2 / STEPS, 2 * CELLS)
    return pixels.reshape(STEPS, STEPS, CELLS, 2, CELLS, 2).mean(axis=(3, 5))


def draw_plane_stamps() -> ByteArray:
    """Draw small dots at all places within a pixel, to be copied.

    Returns:
        covers in 1 / FULL by the place (y, x) of a dot's middle within a pixel of luma or within a cell, one
        array after the other: of the smallest dots (16, 16, 4, 4), the last row empty, and their mean covers of
        cells (16, 16, 2, 4); of wider ones (sizes, 16, 16, 8, 8) and (sizes, 16, 16, rows, 8).
    """
    wider = range(LEAST_PLANE_DOT + 1, WIDEST_PLANE_STAMP + 1)
    small = LEAST_PLANE_DOT
    covers = (
        _luma(small)[:, :, :_WORD, :_WORD],
        _chroma(small)[:, :, :2, :_WORD],
        np.stack([_luma(across) for across in wider]),
        np.stack([_chroma(across)[:, :, :_CELL_ROWS] for across in wider]),
    )
    return np.concatenate([np.rint(each * FULL).astype(np.uint8).reshape(-1) for each in covers])


@kernel
def draw_plane_stamp(canvas: PlaneCanvas, x: int, y: int, across: int, colors: int, stamps: int) -> None:
    """Draw a dot of at most WIDEST_PLANE_STAMP px within the picture; there must be room for what is beside it.

    Args:
        x, y: its middle, in 1/16 px, with pixel i at i.
        colors: address of 32 bytes: 16 times luma, eight times u and v.
        stamps: address of what `draw_plane_stamps` returns.
    """
    # from the middle to the first pixel of the stamp, and of its first cell
    first, first_cell = STEPS // 2 * across - (STEPS // 2 - 1), STEPS // 4 * (across - 1)
    cell_x, cell_y = ((x + 1) >> 1) - first_cell, ((y + 1) >> 1) - first_cell
    x, y = x - first, y - first
    at = canvas.y + (y >> _STEP_BITS) * canvas.y_bytes + (x >> _STEP_BITS)
    u = canvas.u + (cell_y >> _STEP_BITS) * canvas.u_bytes + (cell_x >> _STEP_BITS)
    v = canvas.v + (cell_y >> _STEP_BITS) * canvas.v_bytes + (cell_x >> _STEP_BITS)
    place = (y & (STEPS - 1)) * STEPS + (x & (STEPS - 1))
    cell_place = (cell_y & (STEPS - 1)) * STEPS + (cell_x & (STEPS - 1))
    if across == LEAST_PLANE_DOT:
        cover, mean = stamps + _SPOT * place, stamps + _SPOT_MEANS + _MEAN * cell_place
        blend_spot(at, canvas.y_bytes, u, v, (canvas.u_bytes, canvas.v_bytes), colors, cover, mean)
        return
    size = (across - LEAST_PLANE_DOT - 1) * STEPS * STEPS
    cover = stamps + _DOTS + CELLS * CELLS * (size + place)
    for _ in range((across >> 1) + 1):
        blend_covers(at, at + canvas.y_bytes, colors, cover, cover + CELLS)
        at += 2 * canvas.y_bytes
        cover += 2 * CELLS
    mean = stamps + _DOT_MEANS + _CELL_ROWS * CELLS * (size + cell_place)
    for _ in range(((across + 1) >> 1) + 1):
        blend_covers(u, v, colors + 2 * CELLS, mean, mean)
        u += canvas.u_bytes
        v += canvas.v_bytes
        mean += CELLS
