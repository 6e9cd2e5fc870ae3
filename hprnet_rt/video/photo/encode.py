"""Encoding a drawn photo in the kind of its file's name, with what was written on it."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import OutputError
from hprnet_rt.video.photo.decode import on_white
from hprnet_rt.video.photo.heif import HEIF_SUFFIXES, encode_heif
from hprnet_rt.video.photo.jpeg import write_jpeg
from hprnet_rt.video.photo.metadata import Metadata
from hprnet_rt.video.photo.png import write_png
from hprnet_rt.video.photo.tiff import write_tiff
from hprnet_rt.video.photo.webp import write_webp
from hprnet_rt.video.silence import quiet

__all__ = ["JPEG_SUFFIXES", "encode_photo", "with_drawing"]

JPEG_SUFFIXES: Final = frozenset({".jfif", ".jif", ".jpe", ".jpeg", ".jpg"})
_TRANSPARENT: Final = frozenset({".png", ".tif", ".tiff", ".webp", *HEIF_SUFFIXES})
_OPAQUE: Final = 255


def with_drawing(
    drawn: npt.NDArray[np.uint8], bgra: npt.NDArray[np.uint8] | None, suffix: str
) -> npt.NDArray[np.uint8]:
    """Return the picture to write: transparent where the photo was and nothing is drawn.

    Args:
        drawn: (H, W, 3), the photo on white with the drawing on it.
        bgra: (H, W, 4), the photo; None for an opaque one.
        suffix: of the file that is written; a kind without transparency gets `drawn`.
    """
    if bgra is None or suffix not in _TRANSPARENT:
        return drawn
    changed = (drawn != on_white(bgra)).any(axis=2)
    picture = bgra.copy()
    picture[changed, :3] = drawn[changed]
    picture[changed, 3] = _OPAQUE
    return picture


def encode_photo(
    image: npt.NDArray[np.uint8], suffix: str, metadata: Metadata, name: str
) -> tuple[bytes, tuple[str, ...]]:
    """Encode a picture, and write on it what was written on the photo that it was made of.

    Args:
        image: (H, W, 3) BGR, or (H, W, 4) BGRA for a kind with transparency.
        suffix: of its kind, in lower case.
        metadata: what is written on it.
        name: of the file, for messages.

    Returns:
        the bytes of the file, and the names of what a file of this kind cannot hold ("EXIF").

    Raises:
        OutputError: it cannot be encoded.
        BackendError: the package for its kind is not installed.
    """
    if suffix in HEIF_SUFFIXES:
        return encode_heif(image, suffix, metadata, name), ()
    is_jpeg = suffix in JPEG_SUFFIXES
    try:
        with quiet():
            is_encoded, packed = cv2.imencode(".jpg" if is_jpeg else suffix, image)
    except cv2.error:
        is_encoded = False
    if not is_encoded:
        raise OutputError(f"cannot encode {name}: use a .png or .jpg name")
    data = packed.tobytes()
    if is_jpeg:
        return write_jpeg(data, metadata)
    if suffix == ".png":
        return write_png(data, metadata), ()
    if suffix == ".webp":
        return write_webp(data, metadata), ()
    if suffix in (".tif", ".tiff"):
        return write_tiff(data, metadata)
    return data, metadata.names()
