"""The chunks of a WebP file that say something of the photo."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from hprnet_rt.video.photo.metadata import Metadata

__all__ = ["WEBP", "is_animated_webp", "read_webp", "write_webp"]

WEBP: Final = "WebP"

_BEGIN_BYTES: Final = 12  # RIFF, the length, WEBP
_EXTENDED: Final = b"VP8X"
_MOVES, _HAS_XMP, _HAS_EXIF, _HAS_ALPHA, _HAS_ICC = 0x02, 0x04, 0x08, 0x10, 0x20
_EXIF_PREFIX: Final = b"Exif\0\0"
_SIDE: Final = 0x3FFF  # the bits of a side


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and contents of all chunks; what is cut off is left out."""
    place = _BEGIN_BYTES
    while place + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, place)
        if place + 8 + length > len(data):
            return
        yield name, data[place + 8 : place + 8 + length]
        place += 8 + length + length % 2


def read_webp(data: bytes) -> Metadata:
    """Return what is written on a WebP file."""
    parts = dict(_chunks(data))
    exif = parts.get(b"EXIF", b"").removeprefix(_EXIF_PREFIX)  # some writers put it there
    return Metadata(exif, parts.get(b"XMP ", b""), parts.get(b"ICCP", b""), (), WEBP)


def write_webp(data: bytes, metadata: Metadata) -> bytes:
    """Return a WebP file with this written on it.

    Args:
        data: the file as an encoder has made it, of one picture.
        metadata: what it shall say.
    """
    if not (metadata.exif or metadata.xmp or metadata.icc):
        return data
    picture = [(name, part) for name, part in _chunks(data) if name in (b"ALPH", b"VP8 ", b"VP8L")]
    width, height, has_alpha = _facts(picture)
    flags = _HAS_ALPHA * has_alpha
    flags |= _HAS_ICC * bool(metadata.icc) | _HAS_EXIF * bool(metadata.exif) | _HAS_XMP * bool(metadata.xmp)
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunks = [(_EXTENDED, bytes((flags, 0, 0, 0)) + sides), (b"ICCP", metadata.icc), *picture]
    chunks += [(b"EXIF", metadata.exif), (b"XMP ", metadata.xmp)]
    body = b"WEBP" + b"".join(
        name + struct.pack("<I", len(part)) + part + bytes(len(part) % 2) for name, part in chunks if part
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _facts(picture: list[tuple[bytes, bytes]]) -> tuple[int, int, bool]:
    """Return width, height and whether there is transparency."""
    name, part = picture[-1]
    if name == b"VP8L":
        (bits,) = struct.unpack_from("<I", part, 1)
        return (bits & _SIDE) + 1, (bits >> 14 & _SIDE) + 1, bool(bits >> 28 & 1)
    width, height = struct.unpack_from("<HH", part, 6)
    return width & _SIDE, height & _SIDE, len(picture) > 1


def is_animated_webp(data: bytes) -> bool:
    """Return whether a WebP file is an animation."""
    return data[12:16] == _EXTENDED and bool(data[20:21] and data[20] & _MOVES)
