"""Ids of people: white digits on black, drawn once for each size and then copied."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from hprnet_rt.grouping.compiled import kernel
from hprnet_rt.render.lanes import FULL, LANES, PIXELS, Canvas, blend_cover, lane_colors

__all__ = ["Digits", "draw_digits", "draw_ids", "place_ids"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
ByteArray = npt.NDArray[np.uint8]

_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_SCALES: Final = np.arange(4, 11) / 10
_SIZE_PX: Final = 400.0  # of a person whose id has scale 1
_EDGE: Final = 3  # px around a digit for its black outline
_FIGURES: Final = 20  # of the longest id: as many as an int64 has
_LAYERS: Final = ((4, 0), (1, 255))  # width and gray of each stroke, the outline first


class Digits(NamedTuple):
    """Digits of every size.

    Attributes:
        cover: in 1/128, (sizes, layers, 10, rows, columns, 3) flattened; no digit reaches into the last five
            columns.
        shape: the six sides of `cover`.
        inked: (sizes * layers, 4) px, xyxy around what is not empty in any of the ten.
        wide, tall: (sizes,) px that one digit takes.
        shades: (layers, 16), see `lane_colors`.
    """

    cover: ByteArray
    shape: IntArray
    inked: IntArray
    wide: IntArray
    tall: IntArray
    shades: ByteArray


def draw_digits() -> Digits:
    """Draw the digits of every size."""
    wide, tall = (
        np.array([cv2.getTextSize("0", _FONT, scale, 1)[0][axis] for scale in _SCALES], np.int64)
        for axis in (0, 1)
    )
    rows, columns = int(tall.max()) + 2 * _EDGE, int(wide.max()) + 2 * _EDGE + PIXELS
    cover = np.zeros((len(_SCALES), len(_LAYERS), 10, rows, columns, 3), np.uint8)
    inked = np.zeros((len(_SCALES), len(_LAYERS), 4), np.int64)
    for size, scale in enumerate(_SCALES):
        box = np.s_[: tall[size] + 2 * _EDGE, : wide[size] + 2 * _EDGE]
        for layer, (stroke, _) in enumerate(_LAYERS):
            for digit in range(10):
                glyph = np.zeros((rows, columns, 3), np.uint8)
                origin = (_EDGE, _EDGE + int(tall[size]))
                white = (255, 255, 255)
                cv2.putText(glyph, str(digit), origin, _FONT, scale, white, stroke, cv2.LINE_AA)
                cover[size, layer, digit][box] = np.rint(glyph * (FULL / 255))[box]
            ys, xs = np.nonzero(cover[size, layer].any(axis=(0, 3)))
            inked[size, layer] = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
    flat = np.concatenate((cover.reshape(-1), np.zeros(LANES, np.uint8)))
    shades = lane_colors(np.array([[gray] * 3 for _, gray in _LAYERS], np.uint8))
    return Digits(flat, np.array(cover.shape, np.int64), inked.reshape(-1, 4), wide, tall, shades)


@kernel
def _stamp(
    canvas: Canvas, left: int, top: int, inked: IntArray, cover: int, columns: int, color: int
) -> None:
    """Blend one layer of a digit into the canvas, with its upper left corner at (left, top).

    Args:
        canvas: changed in place.
        left, top: px.
        inked: (4,), see `Digits`.
        cover: address of (rows, columns, 3) bytes in 1/128.
        columns: of `cover`.
        color: address of the layer's shade.
    """
    image, height, width = canvas
    first, last = max(inked[0], -left), min(inked[2], width - left)
    end = image + 3 * height * width
    for row in range(max(inked[1], -top), min(inked[3], height - top)):
        at = image + 3 * ((top + row) * width + left)
        from_here = cover + 3 * row * columns
        for column in range(first, last, PIXELS):
            address, pixels = at + 3 * column, min(PIXELS, last - column)
            if address + LANES <= end and pixels == PIXELS:
                blend_cover(address, address + LANES, PIXELS, color, from_here + 3 * column)
            else:
                blend_cover(address, end, pixels, color, from_here + 3 * column)


@kernel
def place_ids(
    height: int, width: int, ids: IntArray, box: FloatArray, visible: npt.NDArray[np.bool_], digits: Digits
) -> IntArray:
    """Return where digits come, (M, 4): their layer, their number in `Digits.cover`, and x and y of a corner.

    They are in the order of drawing: the first person's last, and of each person all outlines first.
    """
    sizes, layers = len(digits.wide), len(digits.shades)
    figures = np.empty(_FIGURES, np.int64)
    placed, total = np.empty((len(ids) * layers * _FIGURES, 4), np.int64), 0
    for n in range(len(ids) - 1, -1, -1):
        if not visible[n] or ids[n] < 0 or not np.isfinite(box[n]).all():
            continue
        count, rest = 0, ids[n]
        while count == 0 or rest > 0:
            figures[count] = rest % 10
            rest //= 10
            count += 1
        person_px = max(box[n, 2] - box[n, 0], box[n, 3] - box[n, 1])
        size = math.floor(min(max(10.0 * person_px / _SIZE_PX - 4.0, 0.0), sizes - 1.0) + 0.5)
        wide, tall = digits.wide[size], digits.tall[size]
        x = math.floor(min(max(box[n, 0], 0.0), max(width - count * wide, 0)) + 0.5)
        y = math.floor(min(max(box[n, 1], tall), height) + 0.5)
        for layer in range(layers):
            for i in range(count):
                placed[total, 0] = layer
                placed[total, 1] = (size * layers + layer) * 10 + figures[count - 1 - i]
                placed[total, 2], placed[total, 3] = x + i * wide - _EDGE, y - tall - _EDGE
                total += 1
    return placed[:total]


@kernel
def draw_ids(
    image: ByteArray,
    ids: IntArray,
    box: FloatArray,
    visible: npt.NDArray[np.bool_],
    digits: Digits,
) -> None:
    """Write ids above the upper left corners of boxes, inside the image; the first person's come out on top.

    Args:
        image: (H, W, 3), contiguous, changed in place.
        ids: (N,), negative for none.
        box: (N, 4) xyxy; who has none, or one without an end, gets no id written.
        visible: (N,) whether a person's id is written.
        digits: from `draw_digits`.
    """
    canvas = Canvas(image.ctypes.data, image.shape[0], image.shape[1])
    rows, columns = digits.shape[3], digits.shape[4]
    for layer, number, left, top in place_ids(canvas.height, canvas.width, ids, box, visible, digits):
        cover = digits.cover.ctypes.data + 3 * rows * columns * number
        color, inked = digits.shades.ctypes.data + LANES * layer, digits.inked[number // 10]
        _stamp(canvas, left, top, inked, cover, columns, color)
