"""Times of packets where a container's own ones do not do: of joined files, and of AVI."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import av

__all__ = ["JoinedTimes", "StoredTimes", "begins_anew", "has_stored_times"]

_BACK_S: Final = 1
"""A time that is further back than this begins a new part; frames are never reordered so far."""
_UNORDERED: Final = frozenset({"h264", "hevc"})
"""Codecs that reorder frames, and of which FFmpeg does not find out the order."""


def begins_anew(time: int, last: int, time_base: Fraction) -> bool:
    """Whether a time goes back so far that the file has been joined there."""
    return (last - time) * time_base > _BACK_S


def has_stored_times(container: av.container.InputContainer, stream: av.VideoStream) -> bool:
    """Whether the times of packets say when they are stored, not when they are shown.

    AVI has no others. Frames that are reordered then come out of the decoder with each other's times.
    """
    context = stream.codec_context
    reorders = context.codec.canonical_name in _UNORDERED and context.reorder_depth > 0
    return container.format.name == "avi" and reorders


class StoredTimes:
    """Gives the times of packets to frames in ascending order: the n-th frame gets the n-th time."""

    def __init__(self) -> None:
        self._times: list[int] = []

    def decode(self, packet: av.Packet[av.VideoStream]) -> Iterator[av.VideoFrame]:
        """The frames that come out of the decoder when it gets this packet.

        Raises:
            FFmpegError: it cannot be decoded; its time is forgotten.
        """
        if packet.pts is not None:
            heapq.heappush(self._times, packet.pts)
        try:
            frames = packet.decode()
        except av.FFmpegError:
            self._times = [time for time in self._times if time != packet.pts]
            heapq.heapify(self._times)
            raise
        for frame in frames:
            if self._times:
                frame.pts = heapq.heappop(self._times)
            yield frame


@dataclass
class _Track:
    """One stream: how far it is moved, its last own time, where it ends so far; in its time base."""

    time_base: Fraction
    shift: int = 0
    last_dts: int | None = None
    end: int = 0
    parts: int = 1


class JoinedTimes:
    """Lets times run on in a file that was joined from several, as transport streams are by `cat`.

    Where the times of a stream go back by more than a second, what follows is placed behind the end of all
    that came before; the file's other streams follow it, so that they stay in step.
    """

    def __init__(self) -> None:
        self._tracks: dict[int, _Track] = {}
        self._shift_s = Fraction(0)

    def parts_of(self, stream: av.stream.Stream) -> int:
        """Of how many parts this stream was so far."""
        track = self._tracks.get(stream.index)
        return 1 if track is None else track.parts

    def place(self, packet: av.Packet[Any]) -> None:
        """Move a packet; every one of the streams that belong together is to be given, as they come."""
        if packet.pts is None and packet.dts is None:
            return
        dts = packet.dts
        track = self._tracks.setdefault(packet.stream.index, _Track(packet.time_base))
        if dts is not None:
            if track.last_dts is not None and begins_anew(dts, track.last_dts, packet.time_base):
                self._begin(packet, track)
            track.last_dts = dts
            packet.dts = dts + track.shift
        if packet.pts is not None:
            packet.pts += track.shift
        shown = packet.dts if packet.pts is None else packet.pts
        assert shown is not None
        track.end = max(track.end, shown + (packet.duration or 0))

    def _begin(self, packet: av.Packet[Any], track: _Track) -> None:
        begin = packet.dts if packet.pts is None else packet.pts
        assert begin is not None
        begin_s, own_end_s = begin * packet.time_base, track.end * packet.time_base
        end_s = max(other.end * other.time_base for other in self._tracks.values())
        # as another stream has been moved, if that is behind this one's end and not far behind all others
        if not own_end_s - _BACK_S <= begin_s + self._shift_s <= end_s + _BACK_S:
            self._shift_s = end_s - begin_s
        track.shift = round(self._shift_s / packet.time_base)
        track.parts += 1
