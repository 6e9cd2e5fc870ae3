"""HEIC and AVIF photos, as phones write them, through Pillow (extra: photos)."""

from __future__ import annotations

import io
import warnings
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import BackendError, MediaError, OutputError
from hprnet_rt.files import reason
from hprnet_rt.video.photo.exif import UPRIGHT, orientation_of, swaps_sides, turned
from hprnet_rt.video.photo.limit import require_pixels
from hprnet_rt.video.photo.metadata import Metadata

__all__ = ["HEIF_SUFFIXES", "decode_heif", "encode_heif", "is_avif", "is_heif"]

AVIF_SUFFIX: Final = ".avif"
HEIF_SUFFIXES: Final = frozenset({AVIF_SUFFIX, ".heic", ".heif", ".hif"})
"""Suffixes of what this module reads and writes; all but the first are HEIC."""

_QUALITY: Final = 90
_X265: Final = "x265"
_HEIC_PRESET: Final = "ultrafast"
_AVIF_SPEED: Final = 9
"""Of the encoders. Their own choices take 6 and 10 times as long (4 s for 3 million pixels), for files that
are a seventh smaller and no nearer to the picture."""
_AVIF_BRANDS: Final = (b"avif", b"avis")
_HEIC_BRANDS: Final = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_EXIF_PREFIX: Final = b"Exif\0\0"


def _brands(data: bytes) -> list[bytes]:
    """Return the brands in the first box of a file; none where it has no such box."""
    if data[4:8] != b"ftyp":
        return []
    end = min(int.from_bytes(data[:4], "big"), len(data))
    return [data[8:12], *(data[at : at + 4] for at in range(16, end, 4))]


def is_avif(data: bytes) -> bool:
    """Return whether the beginning of a file is that of an AVIF."""
    return any(brand in _AVIF_BRANDS for brand in _brands(data))


def is_heif(data: bytes) -> bool:
    """Return whether the beginning of a file is that of a HEIC or AVIF."""
    first, *_ = _brands(data) or [b""]
    return first in (*_AVIF_BRANDS, *_HEIC_BRANDS)


def _require(name: str) -> tuple[Any, Any]:
    """Return Pillow's modules for HEIC and for AVIF.

    Raises:
        BackendError: they are not installed.
    """
    try:
        import pillow_heif
        from PIL import AvifImagePlugin
    except ImportError as error:
        raise BackendError(
            f'{name} is a photo of a kind (HEIC, AVIF) that needs a package: pip install "hprnet-rt[photos]"'
        ) from error
    # of EXIF that makes no sense, which is handed on as it is
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")
    return pillow_heif, AvifImagePlugin


def decode_heif(data: bytes, name: str) -> tuple[npt.NDArray[np.uint8], Metadata, int]:
    """Decode a HEIC or AVIF file.

    Args:
        data: the bytes of the file.
        name: of the file, for messages.

    Returns:
        the picture, upright, (H, W, 3) BGR or (H, W, 4) BGRA; what is written on it, as of an upright one;
        and the number of pictures in the file.

    Raises:
        BackendError: the package for it is not installed.
        MediaError: the file cannot be decoded, or is too large.
    """
    heif, avif = _require(name)
    has_avif = is_avif(data)
    try:
        # not Image.open, whose own limit is below what phones have
        opened = avif.AvifImageFile(io.BytesIO(data)) if has_avif else heif.open_heif(io.BytesIO(data))
        pictures = opened.n_frames if has_avif else len(opened)
        require_pixels(name, *opened.size)
        metadata = Metadata(
            exif=_bytes(opened.info.get("exif")).removeprefix(_EXIF_PREFIX),
            xmp=_bytes(opened.info.get("xmp")),
            icc=_bytes(opened.info.get("icc_profile")),
        )
        image = opened if has_avif else opened.to_pillow()
        pixels = np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))
    except MediaError:
        raise
    except (OSError, ValueError, SyntaxError, RuntimeError, EOFError) as error:
        why = " ".join(reason(error).split())
        raise MediaError(f"{name} cannot be decoded: {why}; check the file, or save it as JPEG") from error
    code = cv2.COLOR_RGBA2BGRA if pixels.shape[2] == 4 else cv2.COLOR_RGB2BGR
    bgr = np.asarray(cv2.cvtColor(pixels, code), np.uint8)
    # libheif turns HEIC itself, whatever its EXIF says; Pillow puts the turn of AVIF into its EXIF
    orientation = orientation_of(metadata.exif) if has_avif else UPRIGHT
    upright = np.ascontiguousarray(turned(bgr, orientation))
    return upright, metadata.upright(on_its_side=swaps_sides(orientation)), pictures


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""


def encode_heif(image: npt.NDArray[np.uint8], suffix: str, metadata: Metadata, name: str) -> bytes:
    """Encode a picture.

    Args:
        image: (H, W, 3) BGR or (H, W, 4) BGRA.
        suffix: one of `HEIF_SUFFIXES`.
        metadata: what is written on it.
        name: of the file, for messages.

    Raises:
        BackendError: the package for it is not installed.
        OutputError: it cannot be encoded.
    """
    heif, _ = _require(name)
    from PIL import Image

    code = cv2.COLOR_BGRA2RGBA if image.shape[2] == 4 else cv2.COLOR_BGR2RGB
    picture = Image.fromarray(cv2.cvtColor(image, code))
    named = (("exif", metadata.exif), ("xmp", metadata.xmp), ("icc_profile", metadata.icc))
    written: dict[str, Any] = {name: part for name, part in named if part}
    file = io.BytesIO()
    try:
        if suffix == AVIF_SUFFIX:
            picture.save(file, "AVIF", quality=_QUALITY, speed=_AVIF_SPEED, **written)
        else:
            if _X265 in heif.libheif_info()["encoders"]:
                written["enc_params"] = {"preset": _HEIC_PRESET}
            heif.from_pillow(picture).save(file, quality=_QUALITY, **written)
    except (OSError, ValueError, RuntimeError) as error:
        raise OutputError(f"cannot encode {name}: {reason(error)}; use a .png or .jpg name") from error
    return file.getvalue()
