"""From planes to the network's input, without an image of the whole picture.

The numbers are those that `Letterbox.apply` makes of the image.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from hprnet_rt.geometry import Letterbox, averaged_wh, interpolated
from hprnet_rt.grouping.compiled import kernel
from hprnet_rt.types import Planes
from hprnet_rt.video.conversion import UP_BITS, bgr_of, up_factors

__all__ = ["part_of", "prepared_planes"]

ByteArray = npt.NDArray[np.uint8]
IntArray = npt.NDArray[np.int32]

_FACTORS: Final = (2, 4)
"""Sides in px of the squares whose means are made at once; they hold whole colour samples."""

_BITS, _DARK, _BRIGHT = np.int32(UP_BITS), np.int32(0), np.int32(255)


def part_of(planes: Planes, corners: tuple[int, int, int, int]) -> Planes | ByteArray:
    """Return a rectangle of planes, in the same memory; an image where it begins inside a colour sample.

    Args:
        planes: are read only.
        corners: left, top, right and bottom of the rectangle in px; the last two are just outside.
    """
    left, top, right, bottom = corners
    half = (slice(top // 2, (bottom + 1) // 2), slice(left // 2, (right + 1) // 2))
    whole = planes.y[top // 2 * 2 : bottom, left // 2 * 2 : right]
    part = Planes(whole, planes.u[half], planes.v[half], planes.luma, planes.is_full)
    return bgr_of(part)[top % 2 :, left % 2 :] if top % 2 or left % 2 else part


def prepared_planes(planes: Planes, letterbox: Letterbox) -> ByteArray:
    """Return the input (1, h, w, 3) BGR that `letterbox` makes of the planes' image."""
    height, width = planes.image_hw
    size_wh = (letterbox.inner_hw[1], letterbox.inner_hw[0])
    averaged = averaged_wh((width, height), size_wh)
    for factor in _FACTORS:
        if averaged is not None and (factor * averaged[0], factor * averaged[1]) == (width, height):
            return letterbox.place(interpolated(_means(planes, factor), size_wh))
    return letterbox.apply(bgr_of(planes))


def _means(planes: Planes, factor: int) -> ByteArray:
    """Return an image (H / factor, W / factor, 3) BGR of the means that OpenCV makes of the planes' image."""
    height, width = planes.image_hw
    colors = np.empty((3, height // factor, width // factor), np.uint8)
    y, u, v = map(np.ascontiguousarray, (planes.y, planes.u, planes.v))
    _average(y, u, v, colors, up_factors(*planes.luma, planes.is_full))
    return np.asarray(cv2.merge(tuple(colors)), np.uint8)


@kernel
def _shown(light: np.int32, color: np.int32) -> np.int32:
    """Return the level of a pixel's blue, green or red, of which 14 bits are behind the point."""
    level = np.int32(np.int32(light + color) >> _BITS)
    return min(max(level, _DARK), _BRIGHT)


@kernel
def _average(y: ByteArray, u: ByteArray, v: ByteArray, colors: ByteArray, factors: IntArray) -> None:
    """Fill colours (3, h, w) with the means of squares of 2 or 4 pixels, each pixel rounded before.

    Numbers are kept to 32 bits, for which processors have twice as many lanes as for 64.
    """
    black, scale, v_red, u_green, v_green, u_blue = factors
    half = np.int32((1 << (_BITS - 1)) - black * scale)
    rows, columns = colors.shape[1], u.shape[1]
    samples = u.shape[0] // rows
    sums = np.empty((3, columns), np.int32)
    blues, greens, reds = sums[0], sums[1], sums[2]
    for row in range(rows):
        sums[:] = 0
        for line in range(row * samples, (row + 1) * samples):
            above, below, u_line, v_line = y[2 * line], y[2 * line + 1], u[line], v[line]
            for x in range(columns):
                u_x = np.int32(np.int32(u_line[x]) - np.int32(128))
                v_x = np.int32(np.int32(v_line[x]) - np.int32(128))
                blue = np.int32(np.int32(u_blue * u_x) + half)
                green = np.int32(half - np.int32(u_green * u_x) - np.int32(v_green * v_x))
                red = np.int32(np.int32(v_red * v_x) + half)
                a, b = np.int32(above[2 * x] * scale), np.int32(above[2 * x + 1] * scale)
                c, d = np.int32(below[2 * x] * scale), np.int32(below[2 * x + 1] * scale)
                blues[x] += _shown(a, blue) + _shown(b, blue) + _shown(c, blue) + _shown(d, blue)
                greens[x] += _shown(a, green) + _shown(b, green) + _shown(c, green) + _shown(d, green)
                reds[x] += _shown(a, red) + _shown(b, red) + _shown(c, red) + _shown(d, red)
        for color in range(3):
            line_sums, means = sums[color], colors[color, row]
            if samples == 1:
                for x in range(columns):
                    means[x] = (line_sums[x] + 2) >> 2
            else:
                for x in range(columns // 2):
                    total = line_sums[2 * x] + line_sums[2 * x + 1]
                    means[x] = (total + 7 + ((total >> 4) & 1)) >> 4  # halves go to the even number
