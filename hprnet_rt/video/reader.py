"""Reading a video file: every frame that can be decoded, upright, with its own timestamp."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import Any

import av

from hprnet_rt.errors import MediaError
from hprnet_rt.files import reason
from hprnet_rt.types import Frame
from hprnet_rt.video.color import Color
from hprnet_rt.video.conversion import bgr_of
from hprnet_rt.video.deinterlace import AUTO, deinterlaced, require_deinterlacing
from hprnet_rt.video.image import of_size
from hprnet_rt.video.index import Part, PartDiffers, decode_part
from hprnet_rt.video.media import MediaInfo
from hprnet_rt.video.opening import is_cut_off, open_input, other_videos, video_stream
from hprnet_rt.video.orientation import orientation, upright, upright_planes
from hprnet_rt.video.packet_times import JoinedTimes, StoredTimes, has_stored_times
from hprnet_rt.video.rate import picture_rate
from hprnet_rt.video.tags import kept_chapters, kept_tags
from hprnet_rt.video.timeline import as_fraction, read_timeline

__all__ = ["VideoSource"]

_log = logging.getLogger(__name__)

_FALLBACK_RATE = Fraction(25)
_MAX_ERRORS = 32  # in a row, after which the rest of a file is given up


class VideoSource:
    """Iterates the frames of a video file once.

    Frames are upright (the rotation stored by phones is applied). Timestamps are the file's own; a frame
    without one continues at the average rate, and one that does not increase is moved by one unit. Where
    times go back by more than a second, the file was joined from several, and the times are made continuous.
    In AVI with reordered H.264, whose times are those of storage, the n-th frame gets the n-th time.

    Args:
        path: the file, or an address as a string.
        deinterlace: one of `DEINTERLACING`.

    Attributes:
        path, deinterlace: as given.
        info: size, rate and labels.
        first_pts: timestamp of the first frame that can be decoded, None when it has none.
        damage: what could not be read, known after the iteration; None when all was well.

    Raises:
        UsageError: there is no such way to deinterlace.
        MediaError: the file cannot be opened, or has no frame that can be decoded.
    """

    def __init__(self, path: Path | str, deinterlace: str = AUTO) -> None:
        require_deinterlacing(deinterlace)
        self.deinterlace = deinterlace
        self.damage: str | None = None
        self.path = path
        self._part: Part | None = None
        self._container = open_input(path)
        try:
            self._stream = video_stream(self._container, path)
            self._errors = int(is_cut_off(self._stream, path))
            self._marked = 0  # packets that the container marks as damaged
            self._parts = 1
            self._frames = self._decode()
            try:
                self._first = next(self._frames, None)
            except av.FFmpegError as error:
                raise MediaError(f"{path} cannot be decoded: {reason(error)}") from error
            if self._first is None:
                raise MediaError(f"{path} has no frame that can be decoded")
        except MediaError:
            self._container.close()
            raise
        if others := other_videos(self._container):
            _log.warning("only one video stream of %s is read, not the other %d", path, others)
        first, stream = self._first, self._stream
        self.first_pts: int | None = first.pts
        swaps = orientation(first)[0]
        color = Color.of(first)
        if not color.is_known:
            _log.warning(
                "the colours of %s are of a kind that is not known (matrix %d): BT.601 is taken for it",
                path,
                color.matrix,
            )
        rate, self._is_paced = picture_rate(stream, path)
        self.info = MediaInfo(
            str(path),
            width=first.height if swaps else first.width,
            height=first.width if swaps else first.height,
            rate=rate,
            time_base=as_fraction(stream.time_base) or Fraction(1, 1000),
            frames=stream.frames or None,
            pixel_aspect=_pixel_aspect(stream, swaps),
            color=color,
            timeline=read_timeline(self._container, stream),
            tags=kept_tags(self._container, stream),
            chapters=kept_chapters(self._container),
        )

    def _decode(self) -> Iterator[av.VideoFrame]:
        """Yield all frames that can be decoded.

        Decoding in frame threads is fast, but an error loses frames that were decoded before it. So at the
        first sign of damage the file is read again without frame threads, from its beginning.
        """
        given = 0
        if not self._is_damaged():
            self._stream.thread_type = "AUTO"
            for frame in self._decode_packets(until_damage=True):
                given += 1
                yield frame
            if not self._is_damaged():
                return
            self._marked = 0
            self._container.close()
            self._container = open_input(self.path)
            self._stream = video_stream(self._container, self.path)
        self._stream.thread_type = "SLICE"
        yield from islice(self._decode_packets(until_damage=False), given, None)

    def _is_damaged(self) -> bool:
        return self._errors > 0 or self._marked > 0

    def _packets(self) -> Iterator[av.Packet[Any]]:
        """Return the packets of pictures and audio: the times of both show where a file was joined."""
        return self._container.demux(self._stream, *self._container.streams.audio)

    def _decode_packets(self, *, until_damage: bool) -> Iterator[av.VideoFrame]:
        """Decode the packets; errors are counted, and skipped unless `until_damage` ends the iteration."""
        in_a_row = 0
        joined = JoinedTimes()
        stored = StoredTimes() if has_stored_times(self._container, self._stream) else None
        packets = self._packets()
        while in_a_row < _MAX_ERRORS and not (until_damage and self._is_damaged()):
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                joined.place(packet)
                if packet.stream.index != self._stream.index:
                    continue
                self._marked += bool(packet.size and packet.is_corrupt)
                self._parts = joined.parts_of(self._stream)
                if until_damage and self._is_damaged():
                    return
                if stored is None:
                    yield from packet.decode()
                else:
                    yield from stored.decode(packet)
                in_a_row = 0
            except av.error.EOFError:
                return
            except av.FFmpegError as error:
                in_a_row += 1
                self._errors += 1
                _log.debug("%s: %s", self.path, error)
                packets = self._packets()

    def begin_at(self, part: Part) -> None:
        """Let the iteration begin at a key frame; the frames before it are not decoded.

        Where the file turns out to differ from its index, it is decoded from its beginning after all, and the
        iteration goes on behind the frames that were yielded. When the key frame itself is missing, all
        frames are yielded.

        Args:
            part: an open part of this file.
        """
        self._part = part

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in order of presentation, from the first one or from the part of `begin_at`.

        Every picture is the frame's own; the receiver may draw on it.
        """
        straight = enumerate(self._straight())
        numbered = straight if self._part is None else self._from_part(self._part, straight)
        count = 0
        for frame in self._timed(numbered):
            count = frame.sequence + 1
            yield frame
        self._report(count)

    def part(self, part: Part) -> Iterator[Frame]:
        """Yield the frames of one part.

        Raises:
            PartDiffers: a frame differs from the index; the frames that were yielded before are right.
        """
        if not isinstance(self.path, Path):
            raise PartDiffers
        yield from self._timed(enumerate(self._decoded(part), part.number))

    def _straight(self) -> Iterator[av.VideoFrame]:
        first, self._first = self._first, None
        try:
            yield from deinterlaced(chain(() if first is None else (first,), self._frames), self.deinterlace)
        except av.FFmpegError as error:
            raise MediaError(f"{self.path} cannot be deinterlaced: {reason(error)}") from error

    def _decoded(self, part: Part) -> Iterator[av.VideoFrame]:
        """Decode a part; a frame to be deinterlaced depends on the one before, which the part has not."""
        assert isinstance(self.path, Path)  # an address has no index
        for frame in decode_part(self.path, part):
            if self.deinterlace == "on" or (self.deinterlace == AUTO and frame.interlaced_frame):
                raise PartDiffers
            yield frame

    def _from_part(
        self, part: Part, straight: Iterator[tuple[int, av.VideoFrame]]
    ) -> Iterator[tuple[int, av.VideoFrame]]:
        """Yield the frames of a part; where decoding it fails, those of `straight` behind that place."""
        number, pts = -1, None
        try:
            for number, frame in enumerate(self._decoded(part), part.number):
                pts = frame.pts
                yield number, frame
        except PartDiffers:
            _log.debug("%s differs from its index: it is decoded from its beginning", self.path)
            for counted, frame in straight:
                if pts is None or (frame.pts is not None and frame.pts > pts):
                    number = max(counted, number + 1)
                    yield number, frame

    def _timed(self, numbered: Iterator[tuple[int, av.VideoFrame]]) -> Iterator[Frame]:
        """Yield the frames upright, in one size, with ascending timestamps."""
        base, size_hw = self.info.time_base, (self.info.height, self.info.width)
        step = max(1, round(1 / ((self.info.rate or _FALLBACK_RATE) * base)))
        last: int | None = None
        for number, frame in numbered:
            pts = frame.pts
            if pts is None:
                pts = 0 if last is None else last + step
            if last is not None and pts <= last:
                pts = last + 1
            last = pts
            duration = frame.duration if self._is_paced else 0
            planes = upright_planes(frame)
            if planes is not None and planes.image_hw == size_hw:
                yield Frame.of_planes(number, planes, bgr_of, time.perf_counter(), pts, base, duration)
            else:
                image = of_size(upright(frame), *reversed(size_hw))
                yield Frame(number, image, time.perf_counter(), pts, base, duration)

    def _report(self, decoded: int) -> None:
        """Set `damage`, or warn of a joined file."""
        if not self._errors and self._marked < self._parts:  # a seam marks the packet before it
            if self._parts > 1:
                _log.warning(
                    "%s was joined from %d parts that begin anew: their times run on", self.path, self._parts
                )
            return
        listed = f" of the {self.info.frames} that its index lists" if self.info.frames else ""
        self.damage = (
            f"{self.path} is damaged or cut off: {decoded} frames{listed} could be read and are in the "
            "output; the rest is lost in the file itself"
        )

    def close(self) -> None:
        """Close the file; further calls do nothing."""
        self._container.close()


def _pixel_aspect(stream: av.VideoStream, swaps: bool) -> Fraction | None:
    aspect = as_fraction(stream.sample_aspect_ratio)
    if not aspect or aspect == 1:
        return None
    return 1 / aspect if swaps else aspect
