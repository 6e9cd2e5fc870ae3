"""The index of a video: the times of its frames and its key frames, read without decoding."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import MediaError
from hprnet_rt.video.key_frames import begins_exactly, length_bytes
from hprnet_rt.video.opening import is_cut_off, open_input, video_stream
from hprnet_rt.video.packet_times import begins_anew, has_stored_times

__all__ = ["SEEKABLE", "Entry", "Part", "PartDiffers", "VideoIndex", "decode_part", "read_index"]

IntArray = npt.NDArray[np.int64]

SEEKABLE: Final = frozenset(
    {"av1", "ffv1", "h264", "hevc", "mjpeg", "mpeg2video", "mpeg4", "prores", "rawvideo", "vp9"}
)
"""Codecs whose packets are frames, and whose frames behind a key frame need nothing from before it."""
_PROGRAM_STREAM: Final = "mpeg"  # .mpg: after a seek the first frame arrives in pieces
_FIELDS: Final = 2  # FFmpeg's numbers from here on are interlaced orders: H.264 may have a packet per field


class PartDiffers(Exception):
    """The decoded frames differ from the index: the file must be read from its beginning."""


@dataclass(frozen=True)
class Entry:
    """The packet of a key frame.

    Attributes:
        pts, dts: in the stream's time base.
        size: in bytes.
        pos: its place in the file in bytes, None when unknown.
    """

    pts: int
    dts: int
    size: int
    pos: int | None


@dataclass(frozen=True, eq=False)
class Part:
    """Consecutive frames of a video that can be decoded without those before them.

    Attributes:
        number: the first frame's number in the file.
        pts: (N,) times of the frames, ascending.
        entry: the key frame at which decoding begins; None for the beginning of the file.
        is_open: the part goes on to the end of the file; `pts` has only its first frames.
    """

    number: int
    pts: IntArray
    entry: Entry | None
    is_open: bool = False


@dataclass(frozen=True, eq=False)
class VideoIndex:
    """The times and key frames of a video whose packets show no damage.

    Attributes:
        pts: (N,) times of all frames in the stream's time base, ascending; with `until` of `read_index`, only
            of the frames up to that time.
        entries: the numbers of key frames with their packets, ascending, without the first frame.
    """

    pts: IntArray
    entries: tuple[tuple[int, Entry], ...]

    def parts(self, least: int) -> list[Part]:
        """Return all frames in parts of at least `least` frames; the last part may be smaller."""
        begins: list[tuple[int, Entry | None]] = [(0, None)]
        begins += [(number, entry) for number, entry in self.entries if number > 0]
        chosen = begins[:1]
        for begin in begins[1:]:
            if begin[0] - chosen[-1][0] >= least:
                chosen.append(begin)
        ends = [number for number, _ in chosen[1:]] + [len(self.pts)]
        return [
            Part(number, self.pts[number:end], entry)
            for (number, entry), end in zip(chosen, ends, strict=True)
        ]

    def from_time(self, pts: int) -> Part | None:
        """Return the frames from the last key frame at or before a time; None if that is the first frame."""
        last = bisect_right([entry.pts for _, entry in self.entries], pts) - 1
        if last < 0:
            return None
        number, entry = self.entries[last]
        return Part(number, self.pts[number:], entry, is_open=True)


def read_index(path: Path | str, until: int | None = None) -> VideoIndex | None:
    """Read the index of a file from its packets, without decoding any.

    Args:
        path: the file.
        until: read only the packets up to this time, in units of the stream's time base.

    Returns:
        the index; None where a packet may not be a frame with its own time, or decoding may not be possible
        from the middle: codecs outside `SEEKABLE`, addresses, missing or repeated times, times of storage
        instead of presentation, signs of damage. Damage inside a packet is not noticed here.

    Raises:
        MediaError: it cannot be opened.
    """
    if isinstance(path, str):
        return None
    with open_input(path) as container:
        stream = video_stream(container, path)
        context = stream.codec_context
        codec = context.codec.canonical_name
        interlaced = codec == "h264" and context.field_order >= _FIELDS
        if codec not in SEEKABLE or interlaced or container.format.name == _PROGRAM_STREAM:
            return None
        if is_cut_off(stream, path) or has_stored_times(container, stream):
            return None
        try:
            return _read(container, stream, codec, until)
        except av.FFmpegError:
            return None


def _read(
    container: av.container.InputContainer, stream: av.VideoStream, codec: str, until: int | None
) -> VideoIndex | None:
    lengths = length_bytes(codec, stream.codec_context.extradata)
    times: list[int] = []
    entries: list[Entry] = []
    first: int | None = None
    last_dts: int | None = None
    latest = -(1 << 63)
    for packet in container.demux(stream):
        pts, dts, size = packet.pts, packet.dts, packet.size
        if pts is None and not size:
            break  # the end
        if pts is None or not size or packet.is_corrupt:
            return None
        if dts is None:  # the first ones of Matroska have none
            if last_dts is not None:
                return None
        elif dts > pts or (last_dts is not None and dts <= last_dts):
            return None
        last_dts = dts
        exact = packet.is_keyframe and begins_exactly(codec, bytes(packet), lengths)
        if first is None:
            if not exact:
                return None
            first = pts
        if pts < first:
            return None  # of a picture before the first one: the decoder may not give it
        if until is not None and dts is not None and dts > until:
            break
        if not packet.is_discard:
            if exact and pts > latest:
                entries.append(Entry(pts, pts if dts is None else dts, size, packet.pos))
            times.append(pts)
        latest = max(latest, pts)
    pts_of = np.sort(np.asarray(times, np.int64))
    if until is not None:
        pts_of = pts_of[pts_of <= until]
        entries = [entry for entry in entries if entry.pts <= until]
    if not len(pts_of) or np.any(np.diff(pts_of) == 0):
        return None
    numbers = np.searchsorted(pts_of, [entry.pts for entry in entries])
    numbered = zip(map(int, numbers), entries, strict=True)
    return VideoIndex(pts_of, tuple((number, entry) for number, entry in numbered if number > 0))


def decode_part(path: Path, part: Part) -> Iterator[av.VideoFrame]:
    """Decode the frames of a part, and compare each with the part's times.

    Raises:
        PartDiffers: decoding failed, or a frame is damaged or differs from the index. The frames that were
            yielded before are right.
    """
    given = 0
    try:
        with open_input(path) as container:
            stream = video_stream(container, path)
            stream.thread_type = "AUTO"
            # a picture may depend on one that is shown after it, and is found to be damaged only there
            ahead = stream.codec_context.reorder_depth
            for frame in _delayed(_checked(_decode_from(container, stream, part.entry), part), ahead):
                given += 1
                yield frame
                if given == len(part.pts) and not part.is_open:
                    return
    except (MediaError, av.FFmpegError) as error:
        raise PartDiffers from error
    if given < len(part.pts):
        raise PartDiffers


def _decode_from(
    container: av.container.InputContainer, stream: av.VideoStream, entry: Entry | None
) -> Iterator[av.VideoFrame]:
    """Decode all packets from a key frame on."""
    if entry is not None:
        # Matroska seeks by presentation time, other containers by decoding time
        is_matroska = "matroska" in container.format.name
        container.seek(entry.pts if is_matroska else entry.dts, stream=stream, backward=True)
    inside = entry is None
    for packet in container.demux(stream):
        if not inside and entry is not None:
            inside = (packet.pts, packet.size, packet.pos) == (entry.pts, entry.size, entry.pos)
            if packet.pts is None or (packet.is_keyframe and packet.pts > entry.pts):
                raise PartDiffers
        if inside:
            if packet.size and packet.is_corrupt:
                raise PartDiffers
            yield from packet.decode()


def _checked(frames: Iterator[av.VideoFrame], part: Part) -> Iterator[av.VideoFrame]:
    """Yield the frames of a part and behind it, without those that are shown before its key frame."""
    expected = iter(part.pts.tolist())
    last: int | None = None
    for frame in frames:
        if frame.pts is not None and frame.time_base is not None:
            if last is not None and begins_anew(frame.pts, last, frame.time_base):
                raise PartDiffers  # a joined file, whose times run on when it is read from its beginning
            last = frame.pts
        if part.entry is not None and frame.pts is not None and frame.pts < part.entry.pts:
            continue  # it belongs to the part before
        if frame.is_corrupt or frame.pts != next(expected, frame.pts):
            raise PartDiffers
        yield frame


def _delayed(frames: Iterator[av.VideoFrame], ahead: int) -> Iterator[av.VideoFrame]:
    """Yield the same frames, each after `ahead` further ones have been decoded."""
    held: deque[av.VideoFrame] = deque()
    for frame in frames:
        held.append(frame)
        if len(held) > ahead:
            yield held.popleft()
    yield from held
