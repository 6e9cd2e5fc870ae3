"""The lengths that a file states of its own parts, by which one that was cut off is known."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Final

__all__ = ["ends_inside_a_part"]

_BOX_BYTES: Final = 8  # length and name
_LONG_BOX: Final = 1  # in place of a length that follows the name
_FRAGMENT: Final = b"moof"
_OF_FRAGMENTS: Final = frozenset({_FRAGMENT, b"mdat", b"mfra", b"sidx", b"styp"})
_EBML: Final = b"\x1a\x45\xdf\xa3"
_SEGMENT: Final = b"\x18\x53\x80\x67"
_HEAD_BYTES: Final = 4096


def ends_inside_a_part(path: Path, size_bytes: int) -> bool:
    """Return whether a file ends inside a part that says how long it is.

    Looked at are the fragments of .mp4 and .mov, which no index lists, and the whole of Matroska and WebM. A
    recording that was never completed does not state its length there, and is not called cut off.

    Args:
        path: the file.
        size_bytes: its length.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            if head.startswith(_EBML):
                return (_matroska_end(head) or 0) > size_bytes
            return head[4:8] == b"ftyp" and _fragments_end(file) > size_bytes
    except OSError:
        return False


def _fragments_end(file: BinaryIO) -> int:
    """Return where the last fragment of an .mp4 ends by its own length, 0 where there is none."""
    place = end = 0
    inside = False
    while True:
        file.seek(place)
        head = file.read(2 * _BOX_BYTES)
        length, name = int.from_bytes(head[:4], "big"), head[4:_BOX_BYTES]
        if length == _LONG_BOX:
            length = int.from_bytes(head[_BOX_BYTES:], "big")
        inside = inside or name == _FRAGMENT
        if length < _BOX_BYTES or (inside and name not in _OF_FRAGMENTS):
            return end
        place += length
        end = place if inside else 0


def _matroska_end(head: bytes) -> int | None:
    """Return where the contents of a Matroska file end by its own length, None where it is not known."""
    header_bytes, place = _number(head, len(_EBML))
    place += header_bytes or 0
    if head[place : place + len(_SEGMENT)] != _SEGMENT:
        return None
    length, place = _number(head, place + len(_SEGMENT))
    return None if length is None else place + length


def _number(data: bytes, place: int) -> tuple[int | None, int]:
    """Return a number of variable length, None for "unknown", and the place behind it (RFC 8794, 4)."""
    length = 9 - int.from_bytes(data[place : place + 1], "big").bit_length()
    most = (1 << 7 * length) - 1
    number = int.from_bytes(data[place : place + length], "big") & most
    return (None if number == most else number), place + length
