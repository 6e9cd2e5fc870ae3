"""Pictures between the decoder's or encoder's planes and BGR, each number rounded to the nearest.

Those of 4:2:0, which nearly all videos are, stay in planes of 8 bits, and come out as they went in, but for
what is drawn on them. Where an image is wanted they are converted here: swscale's fast conversions cut digits
off, so that white loses a level, grey gets a tint, and each pass darkens. Four pixels share a colour sample,
and their mean is that sample again.
"""

from __future__ import annotations

import functools
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Colorspace, Interpolation

from hprnet_rt.grouping.compiled import kernel
from hprnet_rt.types import Planes
from hprnet_rt.video.color import RGB, Color

__all__ = ["UP_BITS", "bgr_of", "planes_of", "planes_to_picture", "to_bgr", "to_picture", "up_factors"]

ByteArray = npt.NDArray[np.uint8]
IntArray = npt.NDArray[np.int32]

_PLANAR: Final = "yuv420p"
_PLANAR_NAMES: Final = (_PLANAR, "yuvj420p")
_PAIRED_NAMES: Final = ("nv12", "p010le", "p012le", "p016le")  # both colours in one plane, by turns
_DEEP_NAMES: Final = ("yuv420p10le", "yuv420p12le", "yuv420p14le", "yuv420p16le")
_ACCURATE: Final = Interpolation.POINT | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
UP_BITS: Final = 14
_DOWN_BITS = 15


def to_bgr(frame: av.VideoFrame) -> ByteArray:
    """Return a decoded frame as a new (H, W, 3) BGR image.

    The label of its matrix and range counts; BT.601 is taken for a matrix that is not known.
    """
    color = Color.of(frame)
    arrays = _eight_bit_planes(frame, is_full=color.is_full)
    if arrays is not None:
        return _image_of(*arrays, frame.height, frame.width, up_factors(*color.luma, color.is_full))
    meant: dict[str, Any] = {}
    if not color.is_known:
        meant = {"src_colorspace": Colorspace.ITU601, "dst_colorspace": Colorspace.ITU601}
    accurate = None if color.matrix == RGB else _ACCURATE
    return np.asarray(frame.to_ndarray(format="bgr24", interpolation=accurate, **meant), np.uint8)


def planes_of(frame: av.VideoFrame) -> Planes | None:
    """Return the planes of a decoded 4:2:0 picture, each number rounded to 8 bits; None for other pictures.

    They lie in the decoder's memory where they can, and are to be read only. BT.601 is taken for a matrix
    that is not known.
    """
    color = Color.of(frame)
    arrays = _eight_bit_planes(frame, is_full=color.is_full)
    if arrays is None:
        return None
    height, width = frame.height, frame.width
    y, u, v = arrays
    half = (slice((height + 1) // 2), slice((width + 1) // 2))
    return Planes(y[:height, :width], u[half], v[half], color.luma, color.is_full)


def bgr_of(planes: Planes) -> ByteArray:
    """Return planes as a new (H, W, 3) BGR image."""
    y, u, v = map(np.ascontiguousarray, (planes.y, planes.u, planes.v))
    return _image_of(y, u, v, *planes.image_hw, up_factors(*planes.luma, planes.is_full))


def _image_of(
    y: ByteArray, u: ByteArray, v: ByteArray, height: int, width: int, factors: IntArray
) -> ByteArray:
    """Return an image of planes whose lines may be longer than the picture's, each in one block of memory."""
    image = np.empty((height, width, 3), np.uint8)
    _to_bgr(y, u, v, image.reshape(height, -1), factors)
    return image


def planes_to_picture(planes: Planes, color: Color, pix_fmt: str = _PLANAR) -> av.VideoFrame | None:
    """Return a copy of planes as a labelled picture of even sides for an encoder.

    The last line and column are repeated where a side is odd.

    Args:
        planes: are read only.
        color: what the picture is labelled as, see `Color.written`.
        pix_fmt: an 8-bit 4:2:0 format.

    Returns:
        None where the numbers of the planes do not mean that.
    """
    if (planes.luma, planes.is_full) != (color.luma, color.is_full):
        return None
    height, width = planes.image_hw
    picture = av.VideoFrame(width + width % 2, height + height % 2, _PLANAR)
    for plane, given in zip(picture.planes, (planes.y, planes.u, planes.v), strict=True):
        into, (rows, columns) = _plane_array(plane), given.shape
        into[:rows, :columns] = given
        into[:rows, columns : plane.width] = given[:, -1:]
        into[rows:] = into[rows - 1]
    return _labelled(picture, color, pix_fmt)


def to_picture(image: ByteArray, color: Color, pix_fmt: str = _PLANAR) -> av.VideoFrame:
    """Return a BGR image (H, W, 3) of even sides as a labelled picture for an encoder.

    Args:
        image: is read only.
        color: what to convert to, see `Color.written`.
        pix_fmt: an 8-bit 4:2:0 format.
    """
    height, width = image.shape[:2]
    picture = av.VideoFrame(width, height, _PLANAR)
    factors = _down_factors(*color.luma, color.is_full)
    y, u, v = map(_plane_array, picture.planes)
    _to_planes(np.ascontiguousarray(image).reshape(height, -1), y, u, v, width, factors)
    return _labelled(picture, color, pix_fmt)


def _labelled(picture: av.VideoFrame, color: Color, pix_fmt: str) -> av.VideoFrame:
    """Return a planar picture with labels, in the format that an encoder takes."""
    picture.color_range, picture.colorspace = color.range, color.matrix
    picture.color_primaries, picture.color_trc = color.primaries, color.transfer
    return picture if pix_fmt == _PLANAR else picture.reformat(format=pix_fmt)


def _eight_bit_planes(
    frame: av.VideoFrame, *, is_full: bool
) -> tuple[ByteArray, ByteArray, ByteArray] | None:
    """Return Y, Cb and Cr of a 4:2:0 picture, each number rounded to 8 bits; None for other pictures."""
    name = frame.format.name
    if name not in (*_PLANAR_NAMES, *_DEEP_NAMES, *_PAIRED_NAMES):
        return None
    if any(plane.line_size < 0 for plane in frame.planes):
        return None
    y, *colors = map(_plane_array, frame.planes)
    bits = frame.format.components[0].bits
    if bits > 8:
        unused = 16 - bits if name in _PAIRED_NAMES else 0  # lower bits
        y = _rounded(y, unused, _eight_bits(bits, 0, is_full=is_full))
        colors = [_rounded(each, unused, _eight_bits(bits, 128, is_full=is_full)) for each in colors]
    if name in _PAIRED_NAMES:
        colors = [np.ascontiguousarray(colors[0][:, first::2]) for first in (0, 1)]
    u, v = colors
    return y, u, v


@functools.lru_cache
def _eight_bits(bits: int, zero: int, *, is_full: bool) -> ByteArray:
    """Return for each number of so many bits that of 8 bits, `zero` of which is no light or no colour.

    Source: ITU-T H.273, equations 29 to 37: limited ranges have their ends at the same bits, full ones not.
    """
    most = (1 << bits) - 1
    scale = 255 / most if is_full else 256 / (most + 1)
    numbers = (np.arange(most + 1) - (zero << (bits - 8))) * scale + zero
    return np.asarray(np.clip(np.floor(numbers + 0.5), 0, 255), np.uint8)


def _rounded(pairs: ByteArray, unused: int, table: ByteArray) -> ByteArray:
    """Return by a table numbers that are pairs of bytes, without so many lower bits."""
    return table.take(pairs.view("<u2") >> unused, mode="clip")


def _plane_array(plane: Any) -> ByteArray:
    """Return a plane (height, bytes a line) without copying; lines may be longer than the picture."""
    return np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)


@functools.lru_cache
def up_factors(red: float, blue: float, is_full: bool) -> IntArray:
    """Return black's level and the factors Y->all, Cr->red, Cb->green, Cr->green, Cb->blue.

    Source: ITU-T H.273, equations 38 to 40 and their inverse.
    """
    green = 1 - red - blue
    luma, chroma = (1.0, 1.0) if is_full else (255 / 219, 255 / 224)
    shares = [
        luma,
        2 * (1 - red) * chroma,
        2 * (1 - blue) * blue / green * chroma,
        2 * (1 - red) * red / green * chroma,
        2 * (1 - blue) * chroma,
    ]
    return np.array([0 if is_full else 16, *(round(share * (1 << UP_BITS)) for share in shares)], np.int32)


@functools.lru_cache
def _down_factors(red: float, blue: float, is_full: bool) -> IntArray:
    """Return black's level and the factors of blue, green and red for Y, Cb and Cr.

    Those of Y add up to white exactly, those of Cb and Cr to 0, so that grey has no tint.
    """
    luma, chroma = (1.0, 1.0) if is_full else (219 / 255, 224 / 255)
    unit = 1 << _DOWN_BITS
    y_blue, y_red = round(luma * blue * unit), round(luma * red * unit)
    y_green = round(luma * unit) - y_blue - y_red
    half = round(chroma / 2 * unit)
    u_red = round(-chroma / 2 * red / (1 - blue) * unit)
    v_blue = round(-chroma / 2 * blue / (1 - red) * unit)
    rows = [y_blue, y_green, y_red, half, -half - u_red, u_red, v_blue, -half - v_blue, half]
    return np.array([0 if is_full else 16, *rows], np.int32)


@kernel
def _to_bgr(y: ByteArray, u: ByteArray, v: ByteArray, image: ByteArray, factors: IntArray) -> None:
    """Fill an image (H, 3 W) from its planes."""
    height, width = image.shape[0], image.shape[1] // 3
    black, scale, v_red, u_green, v_green, u_blue = factors
    half = np.int32((1 << (UP_BITS - 1)) - black * scale)
    blue = np.empty(width + 1, np.int32)  # what the colour adds to a line; one more for an odd width
    green = np.empty(width + 1, np.int32)
    red = np.empty(width + 1, np.int32)
    for pair in range((height + 1) // 2):
        u_line, v_line = u[pair], v[pair]
        for x in range((width + 1) // 2):
            u_x, v_x = np.int32(u_line[x]) - np.int32(128), np.int32(v_line[x]) - np.int32(128)
            blue[2 * x] = blue[2 * x + 1] = u_blue * u_x + half
            green[2 * x] = green[2 * x + 1] = half - u_green * u_x - v_green * v_x
            red[2 * x] = red[2 * x + 1] = v_red * v_x + half
        for line in range(2 * pair, min(2 * pair + 2, height)):
            y_line, pixels = y[line], image[line]
            for x in range(width):
                light = np.int32(y_line[x]) * scale
                pixels[3 * x] = min(max((light + blue[x]) >> UP_BITS, 0), 255)
                pixels[3 * x + 1] = min(max((light + green[x]) >> UP_BITS, 0), 255)
                pixels[3 * x + 2] = min(max((light + red[x]) >> UP_BITS, 0), 255)


@kernel
def _sum_of_four(above: ByteArray, below: ByteArray, at: int) -> np.int32:
    """Add up a colour of two neighbours in two lines (3 W)."""
    return np.int32(above[at]) + np.int32(above[at + 3]) + np.int32(below[at]) + np.int32(below[at + 3])


@kernel
def _to_planes(
    image: ByteArray, y: ByteArray, u: ByteArray, v: ByteArray, width: int, factors: IntArray
) -> None:
    """Fill the planes of an image (H, 3 W) with even sides."""
    black, y_blue, y_green, y_red, u_blue, u_green, u_red, v_blue, v_green, v_red = factors
    y_zero = np.int32((black << _DOWN_BITS) + (1 << (_DOWN_BITS - 1)))
    colorless = np.int32((128 << (_DOWN_BITS + 2)) + (1 << (_DOWN_BITS + 1)))  # for sums of four pixels
    for line in range(image.shape[0]):
        pixels, y_line = image[line], y[line]
        for x in range(width):
            blue, green, red = pixels[3 * x], pixels[3 * x + 1], pixels[3 * x + 2]
            light = y_blue * np.int32(blue) + y_green * np.int32(green) + y_red * np.int32(red)
            y_line[x] = (light + y_zero) >> _DOWN_BITS
    for line in range(image.shape[0] // 2):
        above, below = image[2 * line], image[2 * line + 1]
        u_line, v_line = u[line], v[line]
        for x in range(width // 2):
            blue = _sum_of_four(above, below, 6 * x)
            green = _sum_of_four(above, below, 6 * x + 1)
            red = _sum_of_four(above, below, 6 * x + 2)
            u_x = (u_blue * blue + u_green * green + u_red * red + colorless) >> (_DOWN_BITS + 2)
            v_x = (v_blue * blue + v_green * green + v_red * red + colorless) >> (_DOWN_BITS + 2)
            u_line[x], v_line[x] = min(max(u_x, 0), 255), min(max(v_x, 0), 255)
