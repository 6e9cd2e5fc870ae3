"""The segments of a JPEG file that say something of the photo."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

import av

from hprnet_rt.video.photo.metadata import Metadata

__all__ = ["JPEG", "has_more_jpeg", "is_cut_off_jpeg", "is_damaged_jpeg", "read_jpeg", "write_jpeg"]

JPEG: Final = "JPEG"

_BEGIN: Final = b"\xff\xd8"
_APP0, _APP1, _APP2, _APP13, _COMMENT = 0xE0, 0xE1, 0xE2, 0xED, 0xFE
_SCAN, _END = 0xDA, 0xD9
_ABOUT: Final = frozenset({*range(0xE0, 0xEE), 0xEF, _COMMENT})
"""Segments that say something about the picture; that of Adobe (0xEE) says how its colours are stored."""
_WITHOUT_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xD8)})
_MOST_BYTES: Final = 65_533  # in a segment
_EXIF: Final = b"Exif\0\0"
_XMP: Final = b"http://ns.adobe.com/xap/1.0/\0"
_MORE_XMP: Final = b"http://ns.adobe.com/xmp/extension/\0"
_ICC: Final = b"ICC_PROFILE\0"
_JFIF: Final = b"JFIF\0"
_JFIF_BYTES: Final = 14  # without a little picture


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield marker and contents of the segments before the pixels; what is cut off is left out."""
    return ((marker, part) for _, marker, part in _placed_segments(data) if marker != _SCAN)


def _placed_segments(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield place, marker and contents of the segments until that with which the pixels begin."""
    place = len(_BEGIN)
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xFF or marker in _WITHOUT_LENGTH:
            place += 1 if marker == 0xFF else 2
            continue
        if marker == _END:
            return
        (length,) = struct.unpack_from(">H", data, place + 2)
        yield place, marker, data[place + 4 : place + 2 + length]
        if marker == _SCAN:
            return
        place += 2 + max(2, length)


def read_jpeg(data: bytes) -> Metadata:
    """Return what is written on a JPEG file."""
    exif = xmp = b""
    icc: dict[int, bytes] = {}
    own: list[bytes] = []
    for marker, part in _segments(data):
        if marker == _APP0 and part.startswith(_JFIF) and len(part) >= _JFIF_BYTES:
            own.insert(0, _segment(marker, part[: _JFIF_BYTES - 2] + bytes(2)))
        elif marker == _APP1 and part.startswith(_EXIF):
            exif = exif or part[len(_EXIF) :]
        elif marker == _APP1 and part.startswith(_XMP):
            xmp = xmp or part[len(_XMP) :]
        elif marker == _APP2 and part.startswith(_ICC):
            icc.setdefault(part[len(_ICC)] if len(part) > len(_ICC) else 0, part[len(_ICC) + 2 :])
        elif marker in (_APP13, _COMMENT) or (marker == _APP1 and part.startswith(_MORE_XMP)):
            own.append(_segment(marker, part))
    return Metadata(exif, xmp, b"".join(icc[number] for number in sorted(icc)), tuple(own), JPEG)


def write_jpeg(data: bytes, metadata: Metadata) -> tuple[bytes, tuple[str, ...]]:
    """Return a JPEG file with this written on it, and the names of what is too long for it.

    Args:
        data: the file as an encoder has made it.
        metadata: what it shall say.
    """
    own = metadata.own if metadata.kind == JPEG else ()
    parts: list[bytes] = list(own[:1]) if own and own[0][1] == _APP0 else []
    rest = data[len(_BEGIN) :]
    if parts:  # it takes the place of the encoder's, which is the first segment
        ((marker, first), *_) = _segments(data)
        rest = rest[4 + len(first) :] if marker == _APP0 else rest
    lost = []
    for name, begin, part in (("EXIF", _EXIF, metadata.exif), ("XMP", _XMP, metadata.xmp)):
        if len(begin) + len(part) > _MOST_BYTES:
            lost.append(name)
        elif part:
            parts.append(_segment(_APP1, begin + part))
    most = _MOST_BYTES - len(_ICC) - 2
    pieces = [metadata.icc[at : at + most] for at in range(0, len(metadata.icc), most)]
    if len(pieces) > 0xFF:
        lost.append("colour profile")
        pieces = []
    parts += [
        _segment(_APP2, _ICC + bytes((number, len(pieces))) + piece)
        for number, piece in enumerate(pieces, start=1)
    ]
    parts += [each for each in own if each[1] != _APP0]
    return _BEGIN + b"".join(parts) + rest, tuple(lost)


def is_damaged_jpeg(data: bytes) -> bool:
    """Return whether FFmpeg finds the pixels damaged, of which OpenCV tells nobody but stderr.

    Only what the pixels need is looked at. A kind that FFmpeg does not know is taken for whole.

    Args:
        data: the bytes of the file, which is not cut off.
    """
    begin = _pixels_at(data)
    end = data.find(bytes((0xFF, _END)), begin) + 2  # other pictures may follow
    needed = [_segment(marker, part) for marker, part in _segments(data) if marker not in _ABOUT]
    decoder = av.CodecContext.create("mjpeg", "r")
    decoder.options = {"err_detect": "explode"}
    try:
        decoder.decode(av.Packet(_BEGIN + b"".join(needed) + data[begin:end]))
    except av.error.InvalidDataError:
        return True
    except av.FFmpegError:
        return False
    return False


def is_cut_off_jpeg(data: bytes) -> bool:
    """Return whether nothing behind the beginning of the pixels says that they end."""
    return data.find(bytes((0xFF, _END)), _pixels_at(data)) < 0


def has_more_jpeg(data: bytes) -> bool:
    """Return whether behind its picture a file has another one (MPO), or a video (a phone's moving photo)."""
    end = data.find(bytes((0xFF, _END)), _pixels_at(data))
    return end >= 0 and any(data.find(begin, end) >= 0 for begin in (_BEGIN + b"\xff", b"ftyp"))


def _pixels_at(data: bytes) -> int:
    """Return where the pixels begin: the place of the first scan, or the end of the last whole segment."""
    place = len(_BEGIN)
    for at, marker, part in _placed_segments(data):
        place = at + 4 + len(part)
        if marker == _SCAN:
            return at
    return place


def _segment(marker: int, part: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(part) + 2) + part
