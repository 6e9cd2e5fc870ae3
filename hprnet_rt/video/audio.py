"""Audio copied without re-encoding: the container that holds it, its packets in step with the pictures."""

from __future__ import annotations

import functools
import logging
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av

from hprnet_rt.errors import MediaError
from hprnet_rt.files import reason
from hprnet_rt.video.media import is_sequence
from hprnet_rt.video.opening import open_input, video_stream
from hprnet_rt.video.packet_times import JoinedTimes
from hprnet_rt.video.timeline import as_fraction
from hprnet_rt.words import counted

__all__ = ["UNWRITABLE", "AudioCopy", "Heard", "suffix_for_audio"]

_log = logging.getLogger(__name__)

UNWRITABLE: Final = (av.error.InvalidDataError, av.error.PatchWelcomeError)
"""FFmpeg's errors where what a packet holds cannot be written, wherever to."""
_CONTAINERS: Final = {".m4v": "ipod", ".mkv": "matroska", ".mov": "mov", ".mp4": "mp4"}


def suffix_for_audio(source: Path | str, suffix: str) -> str:
    """Return the suffix of a container that holds all of the source's audio without re-encoding.

    That is the given suffix, .mkv or .mov, the first that fits. Where none fits it is the given one, and some
    of the audio is left out.

    Raises:
        MediaError: the source cannot be opened.
    """
    if is_sequence(source):
        return suffix
    with open_input(source) as container:
        known = [stream for stream in container.streams.audio if stream.codec_context]
        for candidate in (suffix, ".mkv", ".mov"):
            if all(_can_hold(_CONTAINERS[candidate], stream) for stream in known):
                return candidate
    return suffix


def _can_hold(container_name: str, stream: av.AudioStream) -> bool:
    context = stream.codec_context
    if context.codec.canonical_name not in _supported(container_name):
        return False
    if not context.channels or not context.sample_rate:
        return False  # it begins too late for FFmpeg to find out more
    # only these need the place of each channel
    is_raw = container_name in ("mp4", "ipod") and context.codec.canonical_name.startswith("pcm_")
    return not is_raw or _has_places(_layout(context))


@functools.cache
def _supported(container_name: str) -> frozenset[str]:
    """Return the canonical names of the codecs that a container format can hold."""
    with av.open("unused", "w", format=container_name) as output:
        return frozenset(av.Codec(codec).canonical_name for codec in _with_decoders(output.supported_codecs))


def _with_decoders(names: set[str]) -> Iterator[str]:
    for name in names:
        try:
            av.Codec(name)
        except av.codec.codec.UnknownCodecError:
            continue
        yield name


def _has_places(layout: av.AudioLayout) -> bool:
    """Return whether a layout says where its channels are, not only how many there are."""
    return layout.name != f"{layout.nb_channels} channels"


def _layout(context: av.AudioCodecContext) -> av.AudioLayout:
    """Return where the channels are; the usual layout of their number where the source does not say it."""
    return context.layout if _has_places(context.layout) else av.AudioLayout(f"{context.channels}c")


@dataclass
class Heard:
    """What of a track a player plays.

    Attributes:
        packets, size_bytes: that it plays at least in part.
    """

    packets: int = 0
    size_bytes: int = 0

    def add(self, size_bytes: int) -> None:
        """Count a packet."""
        self.packets += 1
        self.size_bytes += size_bytes

    def is_less_than(self, other: Heard) -> bool:
        """Return whether something is missing; containers may cut the same bytes into other packets."""
        return self.packets < other.packets and self.size_bytes < other.size_bytes


class AudioCopy:
    """Copies the source's audio packets to the output, in step with the pictures.

    Tracks that the output cannot hold, or that FFmpeg does not know, are left out with a warning.

    Args:
        source: the file or address.
        output: gets a stream for each track; nothing may have been written to it.
        with_titles: tracks keep their titles, not only their languages.

    Attributes:
        heard: what of each track that was copied a player must play, by the track's number in the output.
    """

    def __init__(
        self, source: Path | str, output: av.container.OutputContainer, *, with_titles: bool = True
    ) -> None:
        self._source = source
        self._with_titles = with_titles
        self.heard: defaultdict[int, Heard] = defaultdict(Heard)
        self._container = open_input(source)
        self._output = output
        audio = self._container.streams.audio
        self._copies: dict[int, av.AudioStream] = {}
        for number, stream in enumerate(audio, 1):
            if stream.codec_context is not None and _can_hold(output.format.name, stream):
                self._copies[stream.index] = self._copy(stream)
            else:
                name = "an unknown codec" if stream.codec_context is None else stream.codec_context.name
                _log.warning(
                    "audio track %d of %s (%s) cannot be copied and is left out", number, source, name
                )
        # AAC of transport streams has a header before each packet, which other containers forbid
        self._header_filters = {
            stream.index: av.BitStreamFilterContext("aac_adtstoasc", stream)
            for stream in audio
            if stream.index in self._copies
            and stream.codec_context.name == "aac"
            and not stream.codec_context.extradata
        }
        if subtitles := len(self._container.streams.subtitles):
            _log.warning("%s of %s: left out", counted(subtitles, "subtitle track"), source)
        self._joined = JoinedTimes()
        self._packets: Iterator[av.Packet[Any]] = iter(())
        if self._copies:  # the times of pictures show where a file was joined
            self._packets = self._container.demux(self._pictures(), *audio)
        self._waiting: av.Packet[Any] | None = None
        self._takes_equal_times = output.format.name == "matroska"
        self._last_dts: dict[int, int] = {}
        self._dropped = self._damaged = 0
        self._parts = 1
        self._failure: str | None = None
        self._origin_s = Fraction(0)
        self._cuts = False

    def _copy(self, stream: av.AudioStream) -> av.AudioStream:
        copy = self._output.add_stream_from_template(stream)
        copy.codec_context.layout = _layout(stream.codec_context)
        copy.disposition = stream.disposition
        metadata = stream.metadata
        kept = {"language": metadata.get("language")}
        if self._with_titles:
            kept["title"] = metadata.get("title") or metadata.get("name")
        copy.metadata.update({key: value for key, value in kept.items() if value})
        return copy

    def _pictures(self) -> tuple[av.VideoStream, ...]:
        try:
            return (video_stream(self._container, self._source),)
        except MediaError:
            return ()

    def begin(self, origin_s: Fraction, *, cuts: bool) -> None:
        """Let the output begin at a time of the source; call it before anything is copied.

        Args:
            origin_s: the time that becomes 0.
            cuts: leave out what is before it.
        """
        self._origin_s, self._cuts = origin_s, cuts

    def copy_until(self, seconds: float | None) -> None:
        """Write the packets that start before a time of the output.

        Args:
            seconds: the time; None writes all packets that are left.
        """
        while True:
            packet = self._waiting or self._next()
            self._waiting = None
            if packet is None:
                return
            assert packet.dts is not None
            base = as_fraction(packet.time_base) or Fraction(1)
            at_s = packet.dts * base - self._origin_s
            if seconds is not None and at_s > seconds:
                self._waiting = packet
                return
            if self._cuts and at_s < 0:
                continue
            if self._origin_s:
                shift = round(self._origin_s / base)
                packet.dts -= shift
                packet.pts = None if packet.pts is None else packet.pts - shift
            self._write(packet)

    def _write(self, packet: av.Packet[Any]) -> None:
        index = packet.stream.index
        header_filter = self._header_filters.get(index)
        shown = packet.dts if packet.pts is None else packet.pts
        is_heard = not packet.is_discard and (shown or 0) + (packet.duration or 0) > 0
        try:
            copies = [packet] if header_filter is None else header_filter.filter(packet)
        except UNWRITABLE:
            self._damaged += 1
            return
        for copy in copies:
            copy.stream = self._copies[index]
            if is_heard:
                self.heard[copy.stream.index].add(copy.size)
            self._output.mux(copy)

    def _next(self) -> av.Packet[Any] | None:
        try:
            for packet in self._packets:
                self._joined.place(packet)
                self._parts = max(self._parts, self._joined.parts_of(packet.stream))
                index, dts = packet.stream.index, packet.dts
                if dts is None or index not in self._copies:
                    continue
                last = self._last_dts.get(index)
                # no container takes packets whose times go back, and only Matroska takes equal times
                if last is not None and (dts < last or (dts == last and not self._takes_equal_times)):
                    self._dropped += 1
                    continue
                self._last_dts[index] = dts
                return packet
        except av.FFmpegError as error:
            self._failure = reason(error)
        return None

    @property
    def lost(self) -> str | None:
        """What could not be copied, known at the end; None when all was."""
        if self._failure is not None:
            return f"the audio of {self._source} ends where it cannot be read: {self._failure}"
        if self._damaged:
            return f"the audio of {self._source} is damaged; packets left out: {self._damaged}"
        if self._dropped and self._parts == 1:
            return f"the audio of {self._source} goes back in time; packets left out: {self._dropped}"
        return None

    def close(self) -> None:
        """Close the source; further calls do nothing."""
        self._container.close()
        if self._dropped and self._parts > 1:  # the end of a part overlaps the beginning of the next one
            _log.warning(
                "%s was joined: %d packets of its audio overlap others and are left out",
                self._source,
                self._dropped,
            )
            self._dropped = 0
