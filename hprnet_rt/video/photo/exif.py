"""The orientation in EXIF and XMP: how a photo is to be turned, and that it has been."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["UPRIGHT", "orientation_of", "reset_orientation", "reset_xmp_orientation", "swaps_sides", "turned"]

UPRIGHT: Final = 1
_ON_ITS_SIDE: Final = frozenset({5, 6, 7, 8})

_ORDERS: Final = {b"II": "<", b"MM": ">"}
_ENTRY_BYTES: Final = 12
_SHORT, _LONG = 3, 4
_ORIENTATION: Final = 0x0112
_EXIF_DIRECTORY: Final = 0x8769
_PIXEL_WIDTH, _PIXEL_HEIGHT = 0xA002, 0xA003
_XMP_ORIENTATION: Final = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>)\s*)[2-8]")


def orientation_of(exif: bytes) -> int:
    """Return the orientation, 1 (upright) to 8, 1 where there is none or it makes no sense."""
    try:
        order, first = _head(exif)
        for tag, type_, value in _entries(exif, order, first):
            if tag == _ORIENTATION and type_ == _SHORT:
                (number,) = struct.unpack_from(f"{order}H", exif, value)
                return number if UPRIGHT <= number <= max(_ON_ITS_SIDE) else UPRIGHT
    except (KeyError, struct.error):
        pass
    return UPRIGHT


def swaps_sides(orientation: int) -> bool:
    """Return whether a photo of this orientation is stored on its side: its width is its height."""
    return orientation in _ON_ITS_SIDE


def turned(image: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Return pixels (H, W) or (H, W, C) turned and mirrored to be upright, themselves where they are."""
    if swaps_sides(orientation):
        image = np.asarray(cv2.transpose(image))
    # after the transposition of 5 to 8: which sides are swapped
    flips_x, flips_y = orientation in (2, 3, 6, 7), orientation in (3, 4, 7, 8)
    if not (flips_x or flips_y):
        return image
    return np.asarray(cv2.flip(image, -1 if flips_x and flips_y else int(flips_x)))


def reset_orientation(exif: bytes, *, swap: bool) -> bytes:
    """Return EXIF that says the photo is upright; the rest stays where it is.

    Its little picture, which is turned as the photo was, is left out where the photo was not upright.

    Args:
        exif: a TIFF structure; one that makes no sense is returned as it is.
        swap: exchange the width and the height that it states.
    """
    if orientation_of(exif) == UPRIGHT:
        return exif
    data = bytearray(exif)
    order, first = _head(exif)
    details: int | None = None
    try:
        for tag, type_, value in _entries(exif, order, first):
            if tag == _ORIENTATION:
                struct.pack_into(f"{order}H", data, value, UPRIGHT)
            if tag == _EXIF_DIRECTORY and type_ == _LONG:
                (details,) = struct.unpack_from(f"{order}I", exif, value)
        (count,) = struct.unpack_from(f"{order}H", exif, first)
        struct.pack_into(
            f"{order}I", data, first + 2 + count * _ENTRY_BYTES, 0
        )  # where the little picture is
        if swap and details is not None:
            _swap_sizes(data, order, details)
    except struct.error:  # it is cut off behind the orientation
        pass
    return bytes(data)


def reset_xmp_orientation(xmp: bytes) -> bytes:
    """Return XMP that says the photo is upright, where it says anything of it."""
    return _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)


def _swap_sizes(data: bytearray, order: str, directory: int) -> None:
    """Exchange the width and the height in the directory of details, if both are there."""
    place = {tag: value - 6 for tag, _, value in _entries(bytes(data), order, directory)}
    if _PIXEL_WIDTH in place and _PIXEL_HEIGHT in place:
        # type, count and value: one may be of two bytes, the other of four
        width, height = (slice(place[tag], place[tag] + 10) for tag in (_PIXEL_WIDTH, _PIXEL_HEIGHT))
        data[width], data[height] = data[height], data[width]


def _head(exif: bytes) -> tuple[str, int]:
    """Return the byte order and the place of the first directory.

    Raises:
        KeyError, struct.error: it is no TIFF structure.
    """
    order = _ORDERS[bytes(exif[:2])]
    return order, struct.unpack_from(f"{order}I", exif, 4)[0]


def _entries(exif: bytes, order: str, directory: int) -> Iterator[tuple[int, int, int]]:
    """Yield tag, type and the place of the value of each entry of a directory.

    Raises:
        struct.error: the directory is cut off.
    """
    (count,) = struct.unpack_from(f"{order}H", exif, directory)
    for place in range(directory + 2, directory + 2 + count * _ENTRY_BYTES, _ENTRY_BYTES):
        tag, type_ = struct.unpack_from(f"{order}HHI4x", exif, place)[:2]
        yield tag, type_, place + 8
