"""The tags of a TIFF file that say something of the photo."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

from hprnet_rt.video.photo.metadata import Metadata

__all__ = ["TIFF", "has_alpha", "has_pages", "read_tiff", "write_tiff"]

TIFF: Final = "TIFF"

_ORDERS: Final = {b"II": "<", b"MM": ">"}
_MAGIC: Final = 42
_HEADER: Final = b"II*\0" + struct.pack("<I", 8)
_ENTRY_BYTES: Final = 12
_INLINE_BYTES: Final = 4
_ITEM_BYTES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 1, 7: 1, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8}
"""Of each type of values, the bytes that change places between the two orders."""
_FRACTIONS: Final = (5, 10)  # two items each
_BYTES, _SHORT, _LONG = 7, 3, 4
_XMP, _ICC = 700, 34675
_SAMPLES, _MORE_SAMPLES = 277, 338
_WITH_ALPHA: Final = 4
_PREMULTIPLIED, _STRAIGHT = 1, 2  # kinds of transparency
_DIRECTORIES: Final = (0x8769, 0x8825)  # EXIF's details, the place
_DEPTH: Final = 2
_TELLING: Final = frozenset(
    {
        270,
        271,
        272,
        282,
        283,
        285,
        296,
        305,
        306,
        315,
        316,
        33432,
        33723,
        *_DIRECTORIES,
        *range(0x9C9B, 0x9CA0),
    }
)
"""Tags of the first directory that say something: description, maker, resolution, author, rights, IPTC; the
others tell where and how the pixels are stored."""


@dataclass
class _Directory:
    """Tags with their types and their values, as bytes in the order of Intel, or as directories."""

    values: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    inner: dict[int, _Directory] = field(default_factory=dict)


def _head(data: bytes) -> tuple[str, int]:
    """Return the order of the bytes and the place of the first directory.

    Raises:
        ValueError: it is no TIFF.
    """
    order = _ORDERS.get(data[:2])
    if order is None or len(data) < len(_HEADER) or struct.unpack_from(f"{order}H", data, 2)[0] != _MAGIC:
        raise ValueError
    return order, struct.unpack_from(f"{order}I", data, 4)[0]


def _read(data: bytes, order: str, place: int, depth: int = _DEPTH) -> _Directory:
    """Return a directory; values that are cut off are left out.

    Raises:
        struct.error: the directory itself is cut off.
    """
    found = _Directory()
    (count,) = struct.unpack_from(f"{order}H", data, place)
    for entry in range(place + 2, place + 2 + count * _ENTRY_BYTES, _ENTRY_BYTES):
        tag, type_, number = struct.unpack_from(f"{order}HHI", data, entry)
        item = _ITEM_BYTES.get(type_, 1)
        size = number * item * (2 if type_ in _FRACTIONS else 1)
        (there,) = struct.unpack_from(f"{order}I", data, entry + 8)
        if tag in _DIRECTORIES:
            if depth:
                found.inner[tag] = _read(data, order, there, depth - 1)
            continue
        value = data[entry + 8 : entry + 8 + size] if size <= _INLINE_BYTES else data[there : there + size]
        if len(value) == size:
            found.values[tag] = type_, value if order == "<" else _swapped(value, item)
    return found


def _swapped(value: bytes, item: int) -> bytes:
    return b"".join(value[at : at + item][::-1] for at in range(0, len(value), item))


def _pack(directory: _Directory, at: int, following: int = 0) -> bytes:
    """Return a directory as it stands at a place of a file, with its values behind it."""
    tags = sorted({*directory.values, *directory.inner})
    entries, body = [], b""
    begin = at + 2 + len(tags) * _ENTRY_BYTES + 4
    for tag in tags:
        if tag in directory.inner:
            place = begin + len(body)
            entries.append(struct.pack("<HHII", tag, _LONG, 1, place))
            body += _pack(directory.inner[tag], place)
            continue
        type_, value = directory.values[tag]
        number = len(value) // (_ITEM_BYTES.get(type_, 1) * (2 if type_ in _FRACTIONS else 1))
        if len(value) <= _INLINE_BYTES:
            there = value.ljust(_INLINE_BYTES, b"\0")
        else:
            there = struct.pack("<I", begin + len(body))
            body += value + bytes(len(value) % 2)
        entries.append(struct.pack("<HHI", tag, type_, number) + there)
    return struct.pack("<H", len(tags)) + b"".join(entries) + struct.pack("<I", following) + body


def _telling(directory: _Directory) -> _Directory:
    return _Directory({t: v for t, v in directory.values.items() if t in _TELLING}, directory.inner)


def read_tiff(data: bytes) -> Metadata:
    """Return what is written on a TIFF file, without its orientation."""
    try:
        directory = _read(data, *_head(data))
    except (ValueError, struct.error):
        return Metadata()
    telling = _telling(directory)
    exif = _HEADER + _pack(telling, len(_HEADER)) if telling.values or telling.inner else b""
    xmp, icc = (directory.values.get(tag, (0, b""))[1] for tag in (_XMP, _ICC))
    return Metadata(exif, xmp, icc, (), TIFF)


def write_tiff(data: bytes, metadata: Metadata) -> tuple[bytes, tuple[str, ...]]:
    """Return a TIFF file with this written on it, and the names of what could not be.

    Args:
        data: the file as an encoder has made it, of one picture.
        metadata: what it shall say.
    """
    more = _Directory()
    lost: tuple[str, ...] = ()
    if metadata.exif:
        try:
            more = _telling(_read(metadata.exif, *_head(metadata.exif)))
        except (ValueError, struct.error):
            lost = ("EXIF",)
    if metadata.xmp:
        more.values[_XMP] = 1, metadata.xmp
    if metadata.icc:
        more.values[_ICC] = _BYTES, metadata.icc
    try:
        order, first = _head(data)
        own = _read(data, order, first)
    except (ValueError, struct.error):
        return data, metadata.names()
    if order != "<":
        return data, metadata.names()
    if _number(own, _SAMPLES) == _WITH_ALPHA:  # the encoder does not say what the fourth is
        more.values[_MORE_SAMPLES] = _SHORT, struct.pack("<H", _STRAIGHT)
    if not (more.values or more.inner):
        return data, lost
    at = len(data) + len(data) % 2
    merged = _Directory({**more.values, **own.values}, more.inner)
    return data[:4] + struct.pack("<I", at) + data[8:].ljust(at - 8, b"\0") + _pack(merged, at), lost


def _number(directory: _Directory, tag: int) -> int:
    """Return the value of a tag that is one whole number, 0 where it is absent."""
    return int.from_bytes(directory.values.get(tag, (0, b""))[1], "little")


def has_alpha(data: bytes) -> bool:
    """Return whether the fourth value of each pixel of a TIFF file is its transparency."""
    try:
        return _number(_read(data, *_head(data)), _MORE_SAMPLES) in (_PREMULTIPLIED, _STRAIGHT)
    except (ValueError, struct.error):
        return False


def has_pages(data: bytes) -> bool:
    """Return whether a TIFF file has several pictures: its first directory points to a next one."""
    try:
        order, first = _head(data)
        (entries,) = struct.unpack_from(f"{order}H", data, first)
        (following,) = struct.unpack_from(f"{order}I", data, first + 2 + entries * _ENTRY_BYTES)
    except (ValueError, struct.error):
        return False
    return bool(following)
