"""Whether decoding can begin at what a container calls a key frame, with exact pictures behind it."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["begins_exactly", "length_bytes"]

_START_CODE = b"\0\0\1"
_AVCC, _HVCC = 4, 21  # where the length of lengths is, in the two forms of a header that is no stream
_RECOVERY_POINT = 6


def length_bytes(codec: str, extradata: bytes | None) -> int | None:
    """Bytes of the length before each unit of H.264 or HEVC; None where start codes are between them."""
    where = _HVCC if codec == "hevc" else _AVCC
    if not extradata or extradata[0] != 1 or len(extradata) <= where:
        return None
    return (extradata[where] & 3) + 1


def begins_exactly(codec: str, data: bytes, lengths: int | None) -> bool:
    """Whether everything that is shown from this key frame on decodes exactly without what lies before it.

    H.264 has key frames that promise less: the picture may be refreshed little by little from there on. So
    there an IDR picture is asked for, or a recovery point that is exact at once (ITU-T H.264, D.2.8). In HEVC
    it is any IRAP picture (ITU-T H.265, 3.74). In the other codecs of `SEEKABLE` it is every key frame.

    Args:
        codec: FFmpeg's name.
        data: of the packet.
        lengths: from `length_bytes`.
    """
    if codec == "h264":
        return _h264_begins(_units(data, lengths))
    if codec == "hevc":
        kinds = (unit[0] >> 1 & 63 for unit in _units(data, lengths))
        return 16 <= next((kind for kind in kinds if kind < 32), 0) <= 23
    return True


def _units(data: bytes, lengths: int | None) -> Iterator[bytes]:
    """The network abstraction layer units of a packet that are not empty."""
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
    """Whether supplemental information says: a recovery point, after 0 frames, and an exact match."""
    at = 0
    while at + 2 < len(message):
        kind, at = _number(message, at)
        size, at = _number(message, at)
        if kind == _RECOVERY_POINT:
            return message[at : at + 1] >= b"\xc0"  # 1: ue(v) of 0; 1: exact_match_flag
        at += size
    return False


def _number(message: bytes, at: int) -> tuple[int, int]:
    """A number in bytes of which all but the last are 255, and where it ends."""
    total = 0
    while at < len(message) and message[at] == 255:
        total, at = total + 255, at + 1
    return total + (message[at] if at < len(message) else 0), at + 1
