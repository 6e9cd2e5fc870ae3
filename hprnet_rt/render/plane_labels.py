"""Ids of people on planes, of the same digits as on images."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from hprnet_rt.grouping.compiled import kernel
from hprnet_rt.render.cells import PlaneCanvas, blend_byte, load_byte
from hprnet_rt.render.labels import Digits, place_ids
from hprnet_rt.render.plane_lanes import CELLS, blend_covers

__all__ = ["PlaneDigits", "draw_ids_on_planes", "plane_digits"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
ByteArray = npt.NDArray[np.uint8]

_PARITIES: Final = 4
_GRAY: Final = 128  # chroma without colour


class PlaneDigits(NamedTuple):
    """Digits of every size for planes; of the numbers of `Digits.cover`.

    Attributes:
        cover: one after the other, of each number: its rows of luma, and then, for each place (y, x) of its
            corner within a cell, its rows of mean covers. Digits have none, as their outlines have taken all
            colour from where they are.
        where: (numbers, 7) where its covers begin in `cover`; x and y of its first pixel, from the corner of
            `Digits`; rows and columns of luma; rows and columns of cells.
    """

    cover: ByteArray
    where: IntArray


def plane_digits(digits: Digits) -> PlaneDigits:
    """Bring digits into the form for planes."""
    plain = digits.cover[: digits.shape.prod()].reshape(-1, *digits.shape[3:])[..., 0]
    layers = int(digits.shape[1])
    pieces, where, total = [], np.zeros((len(plain), 7), np.int64), 0
    for number, glyph in enumerate(plain):
        left, top, right, bottom = digits.inked[number // 10]
        rows, columns = _multiple(bottom - top, 2), _multiple(right - left, CELLS)
        luma = np.zeros((rows, columns), np.uint8)
        luma[: bottom - top, : right - left] = glyph[top:bottom, left:right]
        is_outline = number // 10 % layers == 0
        cell_rows, cell_columns = rows // 2 + 1, _multiple((right - left) // 2 + 1, CELLS)
        where[number] = total, left, top, rows, columns, cell_rows if is_outline else 0, cell_columns
        total += luma.size
        pieces.append(luma.reshape(-1))
        for y, x in np.ndindex(2, 2) if is_outline else ():
            shifted = np.zeros((2 * cell_rows, 2 * cell_columns))
            shifted[y : y + bottom - top, x : x + right - left] = glyph[top:bottom, left:right]
            means = np.rint(shifted.reshape(cell_rows, 2, cell_columns, 2).mean(axis=(1, 3)))
            total += means.size
            pieces.append(means.astype(np.uint8).reshape(-1))
    return PlaneDigits(np.concatenate(pieces), where)


def _multiple(size: int, of: int) -> int:
    """Return the least multiple that is not smaller."""
    return -(-int(size) // of) * of


@kernel
def _draw_digit(
    canvas: PlaneCanvas,
    x: int,
    y: int,
    shape: tuple[int, int, int, int],
    cover: int,
    lanes: int,
) -> None:
    """Draw a layer of a digit within the picture; there must be room for what is beside it.

    Args:
        x, y: of its upper left pixel.
        shape: rows and columns of luma and of cells.
        cover: address of its covers.
        lanes: address of 32 bytes, 16 times luma and 16 times no colour.
    """
    rows, columns, cell_rows, cell_columns = shape
    means = cover + rows * columns + (2 * (y & 1) + (x & 1)) * cell_rows * cell_columns
    at = canvas.y + y * canvas.y_bytes + x
    for _ in range(rows >> 1):
        for column in range(0, columns, CELLS):
            here = cover + column
            blend_covers(at + column, at + column + canvas.y_bytes, lanes, here, here + columns)
        at += 2 * canvas.y_bytes
        cover += 2 * columns
    u, v = canvas.u + (y >> 1) * canvas.u_bytes + (x >> 1), canvas.v + (y >> 1) * canvas.v_bytes + (x >> 1)
    for _ in range(cell_rows):
        for column in range(0, cell_columns, CELLS):
            here = means + column
            blend_covers(u + column, v + column, lanes + 2 * CELLS, here, here)
        u += canvas.u_bytes
        v += canvas.v_bytes
        means += cell_columns


@kernel
def _draw_digit_cells(
    canvas: PlaneCanvas, left: int, top: int, rows: int, columns: int, cover: int, luma: int
) -> None:
    """Draw a layer of a digit, wherever it is, as `_draw_digit` does; nothing outside the picture changes."""
    for row in range(max(top, 0) >> 1, (min(top + rows, canvas.height) + 1) >> 1):
        for cell in range(max(left, 0) >> 1, (min(left + columns, canvas.width) + 1) >> 1):
            total, pixels = 0, 0
            for y in range(2 * row, min(2 * row + 2, canvas.height)):
                for x in range(2 * cell, min(2 * cell + 2, canvas.width)):
                    pixels += 1
                    if 0 <= y - top < rows and 0 <= x - left < columns:
                        share = load_byte(cover + (y - top) * columns + x - left)
                        blend_byte(canvas.y + y * canvas.y_bytes + x, luma, share)
                        total += share
            mean = (2 * total + pixels) // (2 * pixels)
            blend_byte(canvas.u + row * canvas.u_bytes + cell, _GRAY, mean)
            blend_byte(canvas.v + row * canvas.v_bytes + cell, _GRAY, mean)


@kernel
def draw_ids_on_planes(
    canvas: PlaneCanvas,
    ids: IntArray,
    box: FloatArray,
    visible: npt.NDArray[np.bool_],
    digits: Digits,
    on_planes: PlaneDigits,
    shades: ByteArray,
) -> None:
    """Write ids on planes as `draw_ids` does on an image.

    Args:
        on_planes: of the same digits.
        shades: (2, 32) of outlines and digits, 16 times luma and 16 times no colour.
    """
    covers, lanes, where = on_planes.cover.ctypes.data, shades.ctypes.data, on_planes.where
    placed = place_ids(canvas.height, canvas.width, ids, box, visible, digits)
    for i in range(len(placed)):
        layer, number = placed[i, 0], placed[i, 1]
        left, top = placed[i, 2] + where[number, 1], placed[i, 3] + where[number, 2]
        rows, columns, cell_rows, cell_columns = (
            where[number, 3],
            where[number, 4],
            where[number, 5],
            where[number, 6],
        )
        cover, inside = covers + where[number, 0], left >= 0 and top >= 0
        inside &= left + max(columns, 2 * cell_columns) < canvas.width and top + rows + 4 < canvas.height
        if inside:
            shape = (rows, columns, cell_rows, cell_columns)
            _draw_digit(canvas, left, top, shape, cover, lanes + 4 * CELLS * layer)
        else:
            _draw_digit_cells(canvas, left, top, rows, columns, cover, shades[layer, 0])
