"""Decoding a photo: its pixels, upright and on white, and what is written on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import MediaError
from hprnet_rt.video.photo.exif import orientation_of, swaps_sides, turned
from hprnet_rt.video.photo.heif import decode_heif, is_avif, is_heif
from hprnet_rt.video.photo.jpeg import has_more_jpeg, is_cut_off_jpeg, is_damaged_jpeg, read_jpeg
from hprnet_rt.video.photo.limit import too_many_pixels
from hprnet_rt.video.photo.metadata import Metadata
from hprnet_rt.video.photo.png import bare_png, hidden_grey, is_animated_png, read_png
from hprnet_rt.video.photo.tiff import has_alpha, has_pages, read_tiff
from hprnet_rt.video.photo.webp import is_animated_webp, read_webp
from hprnet_rt.video.silence import quiet

__all__ = ["Photo", "decode_photo", "on_white", "photo_damage", "suffix_of_content"]

_OPAQUE: Final = 255
_JPEG: Final = b"\xff\xd8\xff"
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG_2000: Final = (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")
_HEAD_BYTES: Final = 1 << 16  # of a file, before its pixels
_TIFF: Final = (b"II*\0", b"MM\0*")


@dataclass(frozen=True, eq=False)
class Photo:
    """A decoded photo.

    Attributes:
        image: (H, W, 3) uint8 BGR, upright; what is transparent is on white.
        bgra: (H, W, 4) uint8, upright, with the hidden colours; None for an opaque photo.
        metadata: what is written on it, as of an upright one.
        moves: the file is an animation, of which this is the first picture.
        others: the file has pages, pictures or a video beside this one.
    """

    image: npt.NDArray[np.uint8]
    bgra: npt.NDArray[np.uint8] | None
    metadata: Metadata
    moves: bool = False
    others: bool = False


def suffix_of_content(begin: bytes) -> str | None:
    """Return the suffix for a photo by the first bytes of its file; None where they are not a photo's.

    TIFF is not told by its bytes, because many raw formats of cameras begin in the same way.
    """
    if begin.startswith(_JPEG):
        return ".jpg"
    if begin.startswith(_PNG):
        return ".png"
    if begin[:4] == b"RIFF" and begin[8:12] == b"WEBP":
        return ".webp"
    if begin.startswith(_JPEG_2000):
        return ".jp2"
    if begin[:1] == b"P" and begin[1:2] in b"456" and begin[2:3].isspace():  # of Netpbm, grey ones too
        return ".ppm" if begin[1:2] == b"6" else ".png"
    if is_heif(begin):
        return ".avif" if is_avif(begin) else ".heic"
    return None


def decode_photo(data: bytes, name: str, advice: str) -> Photo:
    """Decode the bytes of a photo.

    Args:
        data: the bytes of the file.
        name: the file's name for messages.
        advice: what a message recommends for a file that is no photo, beside checking it.

    Raises:
        MediaError: the file is empty, too large or no photo.
        BackendError: the package for its kind is not installed.
    """
    if not data:
        raise MediaError(f"{name} is empty (0 bytes)")
    if is_heif(data):
        pixels, metadata, pictures = decode_heif(data, name)
        several, moving = pictures > 1, is_avif(data)
        return _photo(pixels, metadata.of_rgb(), moves=several and moving, others=several and not moving)
    if data.startswith(_JPEG):
        upright = _upright(_decoded(data, name, advice, cv2.IMREAD_COLOR), read_jpeg(data))
        return _photo(*upright, others=has_more_jpeg(data))
    if data.startswith(_PNG):
        bare = bare_png(data)
        if bare is None:
            raise MediaError(f"{name} is damaged or cut off: check the file, or copy it again")
        pixels = _decoded(bare, name, advice, cv2.IMREAD_UNCHANGED)
        return _photo(*_upright(pixels, read_png(data)), moves=is_animated_png(data))
    if data[8:12] == b"WEBP":
        pixels = _decoded(data, name, advice, cv2.IMREAD_UNCHANGED)
        return _photo(*_upright(pixels, read_webp(data)), moves=is_animated_webp(data))
    if data.startswith(_TIFF):  # OpenCV turns these as they say
        transparent = has_alpha(data)
        pixels = _decoded(data, name, advice, cv2.IMREAD_UNCHANGED if transparent else cv2.IMREAD_COLOR)
        pixels = _straight(pixels) if transparent else pixels
        return _photo(pixels, read_tiff(data).of_rgb(), others=has_pages(data))
    flag = cv2.IMREAD_UNCHANGED if data.startswith(_JPEG_2000) else cv2.IMREAD_COLOR
    return _photo(_decoded(data, name, advice, flag), Metadata())


def photo_damage(data: bytes, name: str) -> str | None:
    """Return what is wrong with a photo that could be decoded; None when nothing is known to be.

    Files of other kinds than JPEG have checksums, or cannot be decoded when they are damaged.
    """
    if not data.startswith(_JPEG):
        return None
    if is_cut_off_jpeg(data):
        return f"{name} is cut off: what is missing of it is grey in the output"
    if is_damaged_jpeg(data):
        return f"{name} is damaged: a part of the picture is wrong, in the output too"
    return None


def _decoded(data: bytes, name: str, advice: str, flag: int) -> npt.NDArray[np.uint8]:
    """Return the pixels as they are stored, (H, W, 3) BGR, or (H, W, 4) BGRA where the flag allows it."""
    packed = np.frombuffer(data, np.uint8)
    try:
        with quiet():
            image: Any = cv2.imdecode(packed, flag | cv2.IMREAD_IGNORE_ORIENTATION)
            if image is not None and (image.dtype != np.uint8 or image.ndim != 3):
                image = _in_eight_bits(image, packed)
    except cv2.error as error:
        if "MAX_IMAGE" in str(error.err):
            raise too_many_pixels(name) from error
        raise MediaError(f"{name} cannot be decoded as an image: {error.err}") from error
    if image is None and suffix_of_content(data[:_HEAD_BYTES]) is not None:
        raise MediaError(
            f"{name} cannot be decoded: it is damaged, cut off or of a rare kind; check the file, or {advice}"
        )
    if image is None:
        raise MediaError(f"{name} is not an image that can be read: check the file, or {advice}")
    return np.asarray(image, np.uint8)


def _in_eight_bits(image: npt.NDArray[Any], packed: npt.NDArray[np.uint8]) -> Any:
    """Return pixels of other depths and kinds in 8 bits with colours; None where they cannot be read so."""
    if image.dtype == np.uint16 and image.ndim == 3 and image.shape[2] == 4:
        return (image >> 8).astype(np.uint8)
    colours = cv2.imdecode(packed, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    level = hidden_grey(packed[:_HEAD_BYTES].tobytes())
    if colours is None or level is None:
        return colours
    alpha = np.where(colours[..., :1] == level, 0, _OPAQUE).astype(np.uint8)
    return np.concatenate((colours, alpha), axis=2)


def _upright(pixels: npt.NDArray[np.uint8], metadata: Metadata) -> tuple[npt.NDArray[np.uint8], Metadata]:
    """Return pixels and metadata of a photo that is turned as its EXIF says."""
    orientation = orientation_of(metadata.exif)
    upright = np.ascontiguousarray(turned(pixels, orientation))
    return upright, metadata.of_rgb().upright(on_its_side=swaps_sides(orientation))


def _straight(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return pixels whose colours have not been multiplied with their transparency, as those of TIFF are."""
    if pixels.shape[2] == 3:
        return pixels
    alpha = np.maximum(pixels[..., 3:].astype(np.uint16), 1)
    straight = np.minimum((pixels[..., :3] * np.uint16(_OPAQUE) + alpha // 2) // alpha, _OPAQUE)
    return np.concatenate((straight.astype(np.uint8), pixels[..., 3:]), axis=2)


def _photo(
    pixels: npt.NDArray[np.uint8], metadata: Metadata, *, moves: bool = False, others: bool = False
) -> Photo:
    if pixels.shape[2] == 3:
        return Photo(pixels, None, metadata, moves, others)
    if pixels[..., 3].min() == _OPAQUE:
        return Photo(np.ascontiguousarray(pixels[..., :3]), None, metadata, moves, others)
    return Photo(on_white(pixels), pixels, metadata, moves, others)


def on_white(bgra: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return transparent pixels (H, W, 4) as they look on white paper, (H, W, 3)."""
    alpha = bgra[..., 3:].astype(np.uint16)
    seen = bgra[..., :3] * alpha + (_OPAQUE - alpha) * _OPAQUE
    return np.asarray((seen + _OPAQUE // 2) // _OPAQUE, np.uint8)
