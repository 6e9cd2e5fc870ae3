"""Corrected times of packets where the container's own are wrong: in joined files, and in AVI."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final

import av

from hprnet_rt.video.timeline import as_fraction

__all__ = ["JoinedTimes", "StoredTimes", "begins_anew", "has_stored_times"]

_JUMP_S: Final = 1
"""Decoding times further apart than this belong to different parts of a joined file, or are wrong."""
_UNORDERED: Final = frozenset({"h264", "hevc"})
"""Codecs that reorder frames, and whose order FFmpeg does not find out in AVI."""


def begins_anew(time: int, last: int, time_base: Any) -> bool:
    """Return whether a time goes back so far that the file must have been joined there."""
    back_s: Fraction = (last - time) * time_base
    return back_s > _JUMP_S


def has_stored_times(container: av.container.InputContainer, stream: av.VideoStream) -> bool:
    """Return whether the times of packets are those of storage, not of presentation.

    AVI has no others. The decoder then gives reordered frames each other's times.
    """
    context = stream.codec_context
    reorders = context.codec.canonical_name in _UNORDERED and context.reorder_depth > 0
    return container.format.name == "avi" and reorders


class StoredTimes:
    """Gives the times of packets to frames in ascending order: the n-th frame gets the n-th time."""

    def __init__(self) -> None:
        self._times: list[int] = []

    def decode(self, packet: av.Packet[av.VideoStream]) -> Iterator[av.VideoFrame]:
        """Decode a packet, and yield the frames that come out of the decoder.

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
    """The state of one stream behind some packet; times are in units of its time base.

    Attributes:
        time_base: seconds per unit.
        begin_dts, last_dts: the stream's own decoding times since the last jump.
        shift: how far packets are moved.
        end: the end of all packets so far, after they were moved.
        parts: the number of joined parts so far.
        before: the state before the last jump.
    """

    time_base: Fraction
    begin_dts: int
    last_dts: int
    shift: int = 0
    end: int = 0
    parts: int = 1
    before: _Track | None = None

    def slipped(self, dts: int) -> bool:
        """Return whether a time continues those before the last jump, which was short: a sign of damage."""
        if self.before is None or (self.last_dts - self.begin_dts) * self.time_base > _JUMP_S:
            return False
        return 0 <= (dts - self.before.last_dts) * self.time_base <= _JUMP_S


class JoinedTimes:
    """Makes times continuous in a file that was joined from several, as `cat` joins transport streams.

    Where the times of a stream go back by more than a second, the following packets are moved behind the end
    of all earlier ones; the file's other streams are moved alike, so that they stay in step. When times
    return to the old course within a second, they were wrong, and later packets are not moved.
    """

    def __init__(self) -> None:
        self._tracks: dict[int, _Track] = {}
        self._shift_s = Fraction(0)

    def parts_of(self, stream: av.stream.Stream) -> int:
        """Return the number of joined parts of a stream so far."""
        track = self._tracks.get(stream.index)
        return 1 if track is None else track.parts

    def place(self, packet: av.Packet[Any]) -> None:
        """Correct the times of a packet; call it for every packet of all streams, in their order."""
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
        # keep the shift of another stream if this part then begins behind its own end, not far behind all
        if not own_end_s - _JUMP_S <= begin_s + self._shift_s <= end_s + _JUMP_S:
            self._shift_s = end_s - begin_s
        return replace(behind, shift=round(self._shift_s / track.time_base), parts=track.parts + 1)
