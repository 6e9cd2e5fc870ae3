"""Times of packets where a container's own ones do not do: of joined files, and of AVI."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final

import av

from hprnet_rt.video.media import as_fraction

__all__ = ["JoinedTimes", "StoredTimes", "begins_anew", "has_stored_times"]

_JUMP_S: Final = 1
"""Decoding times that are further apart than this do not follow each other; back they never go otherwise."""
_UNORDERED: Final = frozenset({"h264", "hevc"})
"""Codecs that reorder frames, and of which FFmpeg does not find out the order."""


def begins_anew(time: int, last: int, time_base: Any) -> bool:
    """Whether a time goes back so far that the file has been joined there."""
    back_s: Fraction = (last - time) * time_base
    return back_s > _JUMP_S


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


@dataclass(frozen=True)
class _Track:
    """One stream up to some packet, in its time base.

    Attributes:
        shift: how far packets are moved.
        end: of what came so far, moved.
        parts: of how many it was so far.
        begin_dts, last_dts: own times behind the last jump.
        before: up to the last jump.
    """

    time_base: Fraction
    begin_dts: int
    last_dts: int
    shift: int = 0
    end: int = 0
    parts: int = 1
    before: _Track | None = None

    def slipped(self, dts: int) -> bool:
        """Whether this time goes on where the last jump was, and what lies between was short: damage."""
        if self.before is None or (self.last_dts - self.begin_dts) * self.time_base > _JUMP_S:
            return False
        return 0 <= (dts - self.before.last_dts) * self.time_base <= _JUMP_S


class JoinedTimes:
    """Lets times run on in a file that was joined from several, as transport streams are by `cat`.

    Where the times of a stream go back by more than a second, what follows is placed behind the end of all
    that came before; the file's other streams follow it, so that they stay in step. Times that come back
    within a second were wrong ones, and change nothing behind them.
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
        dts = packet.dts
        track = self._tracks.get(packet.stream.index)
        base = as_fraction(packet.time_base) if track is None else None
        if dts is not None and base is not None:
            track = _Track(base, dts, dts)
        if track is None:
            return
        if dts is not None:
            if abs(dts - track.last_dts) * track.time_base > _JUMP_S:
                track = self._behind_jump(packet, dts, track)
            packet.dts = dts + track.shift
        if packet.pts is not None:
            packet.pts += track.shift
        shown = packet.dts if packet.pts is None else packet.pts
        if shown is not None:
            end = max(track.end, shown + (packet.duration or 0))
            last_dts = track.last_dts if dts is None else dts
            self._tracks[packet.stream.index] = replace(track, end=end, last_dts=last_dts)

    def _behind_jump(self, packet: av.Packet[Any], dts: int, track: _Track) -> _Track:
        if track.before is not None and track.slipped(dts):
            return track.before
        behind = replace(track, begin_dts=dts, before=replace(track, before=None))
        if dts > track.last_dts:
            return behind
        begin_s = (dts if packet.pts is None else packet.pts) * track.time_base
        own_end_s = track.end * track.time_base
        end_s = max(other.end * other.time_base for other in self._tracks.values())
        # as another stream has been moved, if that is behind this one's end and not far behind all others
        if not own_end_s - _JUMP_S <= begin_s + self._shift_s <= end_s + _JUMP_S:
            self._shift_s = end_s - begin_s
        return replace(behind, shift=round(self._shift_s / track.time_base), parts=track.parts + 1)
