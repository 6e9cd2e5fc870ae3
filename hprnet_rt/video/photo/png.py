"""The chunks of a PNG file that say something of the photo."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final

from hprnet_rt.video.photo.metadata import Metadata

__all__ = ["PNG", "bare_png", "hidden_grey", "is_animated_png", "read_png", "write_png"]

PNG: Final = "PNG"

_BEGIN: Final = b"\x89PNG\r\n\x1a\n"
_HEADER_BYTES: Final = len(_BEGIN) + 25  # with the first chunk, the picture's header
_DEPTH, _COLOURS = 24, 25  # places of the bits of a sample and of the kind of colours
_CHUNK_BYTES: Final = 12  # length, name and checksum
_PIXELS: Final = b"IDAT"
_LAST: Final = b"IEND"
_NEEDED: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", _PIXELS, _LAST})
_OWN: Final = frozenset({b"gAMA", b"cHRM", b"sRGB", b"cICP", b"pHYs", b"tIME", b"tEXt", b"zTXt", b"iTXt"})
_XMP: Final = b"XML:com.adobe.xmp\0"
_PLAIN: Final = bytes(4)  # not compressed, no language, no translated keyword
_MOST_UNPACKED_BYTES: Final = 1 << 26


def _places(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, place and length with all that belongs to it of each chunk; none that is cut off."""
    place = len(_BEGIN)
    while place + _CHUNK_BYTES <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        if place + _CHUNK_BYTES + length > len(data):
            return
        yield name, place, _CHUNK_BYTES + length
        place += _CHUNK_BYTES + length


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and contents of all chunks but those of the pixels."""
    for name, place, length in _places(data):
        if name != _PIXELS:
            yield name, data[place + 8 : place + length - 4]


def bare_png(data: bytes) -> bytes | None:
    """Return a PNG file with nothing but its pixels, of which libpng has nothing to say on stderr.

    Returns:
        None where it is damaged or cut off.
    """
    parts = [_BEGIN]
    for name, place, length in _places(data):
        if name in _NEEDED:
            (stored,) = struct.unpack_from(">I", data, place + length - 4)
            if zlib.crc32(memoryview(data)[place + 4 : place + length - 4]) != stored:
                return None
            parts.append(data[place : place + length])
        if name == _LAST:
            return b"".join(parts)
    return None


def read_png(data: bytes) -> Metadata:
    """Return what is written on a PNG file."""
    exif = xmp = icc = b""
    own: list[bytes] = []
    for name, part in _chunks(data):
        if name == b"eXIf":
            exif = part
        elif name == b"iCCP":
            icc = _unpacked(part.partition(b"\0")[2][1:])
        elif name == b"iTXt" and part.startswith(_XMP):
            xmp = _xmp(part)
        elif name in _OWN:
            own.append(_chunk(name, part))
    return Metadata(exif, xmp, icc, tuple(own), PNG)


def _xmp(part: bytes) -> bytes:
    """Return the document in an iTXt chunk."""
    packed, rest = part[len(_XMP) : len(_XMP) + 1], part[len(_XMP) + 2 :]
    text = rest.split(b"\0", 2)[-1]
    return _unpacked(text) if packed == b"\1" else text


def _unpacked(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, _MOST_UNPACKED_BYTES)
    except zlib.error:
        return b""


def write_png(data: bytes, metadata: Metadata) -> bytes:
    """Return a PNG file with this written on it.

    Args:
        data: the file as an encoder has made it.
        metadata: what it shall say.
    """
    parts = list(metadata.own) if metadata.kind == PNG else []
    if metadata.icc:
        parts = [part for part in parts if part[4:8] != b"sRGB"]
        parts.insert(0, _chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc)))
    if metadata.exif:
        parts.append(_chunk(b"eXIf", metadata.exif))
    if metadata.xmp:
        parts.append(_chunk(b"iTXt", _XMP + _PLAIN + metadata.xmp))
    return data[:_HEADER_BYTES] + b"".join(parts) + data[_HEADER_BYTES:]


def _chunk(name: bytes, part: bytes) -> bytes:
    return struct.pack(">I", len(part)) + name + part + struct.pack(">I", zlib.crc32(name + part))


def hidden_grey(data: bytes) -> int | None:
    """Return the level, of 255, that is transparent in a grey PNG file; None where there is none."""
    if not data.startswith(_BEGIN) or len(data) < _HEADER_BYTES or data[_COLOURS] != 0:
        return None
    part = next((part for name, part in _chunks(data) if name == b"tRNS"), b"")
    if len(part) != 2:
        return None
    depth = data[_DEPTH]
    level = int.from_bytes(part, "big")
    return level >> 8 if depth == 16 else level * 255 // ((1 << depth) - 1)


def is_animated_png(data: bytes) -> bool:
    """Return whether a PNG file is an animation."""
    return b"acTL" in data[: data.find(_PIXELS)]
