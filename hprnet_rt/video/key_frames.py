"""Finding the key frames at which decoding gives exact pictures: not all that a container marks do."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["begins_exactly", "length_bytes"]

_START_CODE = b"\0\0\1"
_AVCC, _HVCC = 4, 21  # byte with the size of length fields, in headers of H.264 and HEVC
_RECOVERY_POINT = 6


def length_bytes(codec: str, extradata: bytes | None) -> int | None:
    """Return the size in bytes of the length field before each H.264 or HEVC unit, None with start codes."""
    where = _HVCC if codec == "hevc" else _AVCC
    if not extradata or extradata[0] != 1 or len(extradata) <= where:
        return None
    return (extradata[where] & 3) + 1


def begins_exactly(codec: str, data: bytes, lengths: int | None) -> bool:
    """Return whether all pictures shown from this key frame on decode exactly without those before it.

    Some key frames of H.264 promise less: the picture is refreshed gradually from there on. It must be an IDR
    picture, or a recovery point that is exact at once (ITU-T H.264, D.2.8). In HEVC any IRAP picture will do
    (ITU-T H.265, 3.74), in the other codecs of `SEEKABLE` any key frame.

    Args:
        codec: FFmpeg's name.
        data: the packet.
        lengths: from `length_bytes`.
    """
    if codec == "h264":
        return _h264_begins(_units(data, lengths))
    if codec == "hevc":
        kinds = (unit[0] >> 1 & 63 for unit in _units(data, lengths))
        return 16 <= next((kind for kind in kinds if kind < 32), 0) <= 23
    return True


def _units(data: bytes, lengths: int | None) -> Iterator[bytes]:
    """Yield the network abstraction layer units of a packet that are not empty."""
    if lengths is None:
        yield from filter(None, data.split(_START_CODE)[1:])
        return
    at = 0
    while at + lengths < len(data):
        begin = at + lengths
        at = begin + int.from_bytes(data[at:begin], "big")
        if data[begin:at]:
            yield data[begin:at]


def _h264_begins(units: Iterator[bytes]) -> bool:
    exact = False
    for unit in units:
        kind = unit[0] & 31
        if kind == 5:
            return True
        if kind in (1, 2):
            return exact
        if kind == 6:
            exact = exact or _recovers_at_once(unit[1:].replace(b"\0\0\3", b"\0\0"))
    return False


def _recovers_at_once(message: bytes) -> bool:
    """Return whether supplemental information marks a recovery point after 0 frames with an exact match."""
    at = 0
    while at + 2 < len(message):
        kind, at = _number(message, at)
        size, at = _number(message, at)
        if kind == _RECOVERY_POINT:
            return message[at : at + 1] >= b"\xc0"  # 1: ue(v) of 0; 1: exact_match_flag
        at += size
    return False


def _number(message: bytes, at: int) -> tuple[int, int]:
    """Return a number, whose bytes but the last are 255, and the place behind it."""
    total = 0
    while at < len(message) and message[at] == 255:
        total, at = total + 255, at + 1
    return total + (message[at] if at < len(message) else 0), at + 1
