"""Anti-aliased dots on planes: small ones are drawn once for each place within a pixel, and then copied."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from hprnet_rt.grouping.compiled import kernel
from hprnet_rt.render.cells import PlaneCanvas, Shade, dot_stroke, draw_cells
from hprnet_rt.render.lanes import FULL
from hprnet_rt.render.plane_lanes import CELLS, blend_covers, blend_spot
from hprnet_rt.render.strokes import SAME_DOT

__all__ = ["LEAST_PLANE_DOT", "STEPS", "WIDEST_PLANE_STAMP", "draw_dots", "draw_plane_stamps"]

ByteArray = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

LEAST_PLANE_DOT: Final = 2
"""Diameter of the smallest dot, px."""
WIDEST_PLANE_STAMP: Final = CELLS - 1
"""Diameter of the widest dot of which there is a stamp, px."""
STEPS: Final = 16
"""Places within a pixel, or within a cell, along each axis."""

_STEP_BITS: Final = 4
_SAME_DOT: Final = np.float32(SAME_DOT)
_STEPS: Final = np.float32(STEPS)
_HALF: Final = np.float32(0.5)
_MARGIN: Final = np.float32(1.5)  # px around a dot that its stamp may reach
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
    return np.asarray(pixels.reshape(STEPS, STEPS, CELLS, 2, CELLS, 2).mean(axis=(3, 5)))


def draw_plane_stamps() -> ByteArray:
    """Draw small dots at all places within a pixel, to be copied.

    Returns:
        covers in 1 / FULL by the place (y, x) of a dot's middle within a pixel of luma or within a cell, one
        array after the other: of the smallest dots (16, 16, 4, 4), the last row empty, and their mean covers
        of cells (16, 16, 2, 4); of wider ones (sizes, 16, 16, 8, 8) and (sizes, 16, 16, rows, 8).
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
def draw_dots(
    canvas: PlaneCanvas,
    xs: FloatArray,
    ys: FloatArray,
    shown: BoolArray,
    dots: IntArray,
    free_wh: tuple[int, int],
    shades: IntArray,
    tints: IntArray,
    lanes: int,
    stamps: int,
) -> None:
    """Draw a person's points.

    Args:
        xs, ys: (P,) x and y, with pixel i at i.
        shown: (P,) which are drawn.
        dots: (P,) diameters, px.
        free_wh: within how much of the picture pixels can be drawn several at a time.
        shades: (P, 3) Y, Cb and Cr.
        tints: (P,) a number for each colour.
        lanes: address of 32 bytes for each point: 16 times Y, eight times Cb and Cr.
        stamps: address of what `draw_plane_stamps` returns.
    """
    last_x, last_y, last_across, last_tint = np.float32(np.inf), np.float32(0.0), 0, 0
    right, bottom = np.float32(free_wh[0]), np.float32(free_wh[1])
    c_bytes = (canvas.u_bytes, canvas.v_bytes)
    for p in range(len(shown)):
        x, y, across, tint = xs[p], ys[p], dots[p], tints[p]
        same = (across == last_across) & (tint == last_tint)
        same &= (abs(x - last_x) < _SAME_DOT) & (abs(y - last_y) < _SAME_DOT)
        if same | (not shown[p]):
            continue
        last_x, last_y, last_across, last_tint = x, y, across, tint
        reach = np.float32(across) * _HALF + _MARGIN
        quick = (x > reach) & (y > reach) & (x < right - reach) & (y < bottom - reach)
        if not (quick & (across <= WIDEST_PLANE_STAMP)):
            draw_cells(canvas, dot_stroke(x, y, across), Shade(shades[p, 0], shades[p, 1], shades[p, 2]))
            continue
        # from the middle to the first pixel of the stamp, in 1/16 px, and of its first cell, in 1/8 px
        first, first_cell = STEPS // 2 * across - (STEPS // 2 - 1), STEPS // 4 * (across - 1)
        x_step, y_step = int(_STEPS * x + _HALF), int(_STEPS * y + _HALF)
        x_cell, y_cell = ((x_step + 1) >> 1) - first_cell, ((y_step + 1) >> 1) - first_cell
        x_step, y_step = x_step - first, y_step - first
        at = canvas.y + (y_step >> _STEP_BITS) * canvas.y_bytes + (x_step >> _STEP_BITS)
        u = canvas.u + (y_cell >> _STEP_BITS) * canvas.u_bytes + (x_cell >> _STEP_BITS)
        v = canvas.v + (y_cell >> _STEP_BITS) * canvas.v_bytes + (x_cell >> _STEP_BITS)
        stamp = (y_step & (STEPS - 1)) * STEPS + (x_step & (STEPS - 1))
        means = (y_cell & (STEPS - 1)) * STEPS + (x_cell & (STEPS - 1))
        color = lanes + 32 * p
        if across == LEAST_PLANE_DOT:
            cover, mean = stamps + _SPOT * stamp, stamps + _SPOT_MEANS + _MEAN * means
            blend_spot(at, canvas.y_bytes, u, v, c_bytes, color, cover, mean)
        else:
            size = (across - LEAST_PLANE_DOT - 1) * STEPS * STEPS
            cover = stamps + _DOTS + CELLS * CELLS * (size + stamp)
            mean = stamps + _DOT_MEANS + _CELL_ROWS * CELLS * (size + means)
            _draw_stamp(at, canvas.y_bytes, u, v, c_bytes, across, color, cover, mean)


@kernel
def _draw_stamp(
    at: int,
    y_bytes: int,
    u: int,
    v: int,
    c_bytes: tuple[int, int],
    across: int,
    color: int,
    cover: int,
    mean: int,
) -> None:
    """Blend a stamp of a wider dot; all but strides and `across` are addresses."""
    for _ in range((across >> 1) + 1):
        blend_covers(at, at + y_bytes, color, cover, cover + CELLS)
        at += 2 * y_bytes
        cover += 2 * CELLS
    for _ in range(((across + 1) >> 1) + 1):
        blend_covers(u, v, color + 2 * CELLS, mean, mean)
        u += c_bytes[0]
        v += c_bytes[1]
        mean += CELLS
