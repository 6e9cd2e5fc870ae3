"""The sound of a source, copied as it is: which container holds it, and its packets beside the pictures."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import av

from hprnet_rt.errors import MediaError
from hprnet_rt.video.media import is_sequence
from hprnet_rt.video.opening import open_input, video_stream
from hprnet_rt.video.packet_times import JoinedTimes

__all__ = ["AudioCopy", "suffix_for_audio"]

_log = logging.getLogger(__name__)

_CONTAINERS: Final = {".m4v": "ipod", ".mkv": "matroska", ".mov": "mov", ".mp4": "mp4"}


def suffix_for_audio(source: Path | str, suffix: str) -> str:
    """The suffix of a container that holds all of the source's audio as it is: this one, .mkv or .mov.

    This one also where none does: then some of it is left out.

    Raises:
        MediaError: the source cannot be opened.
    """
    if is_sequence(source):
        return suffix
    with open_input(source) as container:
        known = [stream for stream in container.streams.audio if stream.codec_context]
        for each in (suffix, ".mkv", ".mov"):
            if all(_holds(_CONTAINERS[each], stream) for stream in known):
                return each
    return suffix


def _holds(container_name: str, stream: av.AudioStream) -> bool:
    context = stream.codec_context
    if context.codec.canonical_name not in _supported(container_name):
        return False
    if not context.channels or not context.sample_rate:
        return False  # it begins too late for FFmpeg to find out more
    # the only one that asks for the place of each channel
    is_raw = container_name in ("mp4", "ipod") and context.codec.canonical_name.startswith("pcm_")
    return not is_raw or _is_placed(_layout(context))


@functools.cache
def _supported(container_name: str) -> frozenset[str]:
    """Canonical names of the codecs that a container format can hold."""
    with av.open("unused", "w", format=container_name) as output:
        return frozenset(av.Codec(codec).canonical_name for codec in _decodable(output.supported_codecs))


def _decodable(names: set[str]) -> Iterator[str]:
    for name in names:
        try:
            av.Codec(name)
        except av.codec.codec.UnknownCodecError:
            continue
        yield name


def _is_placed(layout: av.AudioLayout) -> bool:
    return layout.name != f"{layout.nb_channels} channels"


def _layout(context: av.AudioCodecContext) -> av.AudioLayout:
    """Where the channels are; as usual for so many, where the source does not say it."""
    return context.layout if _is_placed(context.layout) else av.AudioLayout(f"{context.channels}c")


class AudioCopy:
    """Hands the source's audio packets to the output, in step with the pictures.

    Tracks that the output cannot hold, or that FFmpeg does not know, are left out with a warning.

    Args:
        source: the file.
        output: gets a stream for each track; nothing has been written to it.
    """

    def __init__(self, source: Path | str, output: av.container.OutputContainer) -> None:
        self._source = source
        self._container = open_input(source)
        self._output = output
        audio = self._container.streams.audio
        self._copies: dict[int, av.AudioStream] = {}
        for number, stream in enumerate(audio, 1):
            if stream.codec_context is not None and _holds(output.format.name, stream):
                self._copies[stream.index] = self._copy(stream)
            else:
                name = "an unknown codec" if stream.codec_context is None else stream.codec_context.name
                _log.warning(
                    "audio track %d of %s (%s) cannot be copied and is left out", number, source, name
                )
        # AAC of transport streams has a header before each packet, which other containers must not have
        self._unwrap = {
            stream.index: av.BitStreamFilterContext("aac_adtstoasc", stream)
            for stream in audio
            if stream.index in self._copies
            and stream.codec_context.name == "aac"
            and not stream.codec_context.extradata
        }
        self._joined = JoinedTimes()
        self._packets: Iterator[av.Packet[Any]] = iter(())
        if self._copies:  # pictures tell where a file was joined
            self._packets = self._container.demux(self._pictures(), *audio)
        self._waiting: av.Packet[Any] | None = None
        self._holds_equal = output.format.name == "matroska"
        self._last_dts: dict[int, int] = {}
        self._dropped = 0
        self.start_s = 0.0

    def _copy(self, stream: av.AudioStream) -> av.AudioStream:
        copy = self._output.add_stream_from_template(stream)
        copy.codec_context.layout = _layout(stream.codec_context)
        copy.disposition = stream.disposition
        said = stream.metadata
        about = {"language": said.get("language"), "title": said.get("title") or said.get("name")}
        copy.metadata.update({key: value for key, value in about.items() if value})
        return copy

    def _pictures(self) -> tuple[av.VideoStream, ...]:
        try:
            return (video_stream(self._container, self._source),)
        except MediaError:
            return ()

    def copy_until(self, seconds: float | None) -> None:
        """Write the packets that start before `seconds` of the output; all that are left when None.

        What lies before `start_s` of the source is left out, and that is the output's beginning.
        """
        while True:
            packet = self._waiting or self._next()
            self._waiting = None
            if packet is None:
                return
            assert packet.dts is not None
            at_s = float(packet.dts * packet.time_base) - self.start_s
            if seconds is not None and at_s > seconds:
                self._waiting = packet
                return
            if self.start_s:
                if at_s < 0.0:
                    continue
                shift = round(self.start_s / packet.time_base)
                packet.dts -= shift
                packet.pts = None if packet.pts is None else packet.pts - shift
            index = packet.stream.index
            for copy in self._unwrap[index].filter(packet) if index in self._unwrap else (packet,):
                copy.stream = self._copies[index]
                self._output.mux(copy)

    def _next(self) -> av.Packet[Any] | None:
        try:
            for packet in self._packets:
                self._joined.place(packet)
                index, dts = packet.stream.index, packet.dts
                if dts is None or index not in self._copies:
                    continue
                last = self._last_dts.get(index)
                # no container holds packets whose times go back, and only this one equal times
                if last is not None and (dts < last or (dts == last and not self._holds_equal)):
                    self._dropped += 1
                    continue
                self._last_dts[index] = dts
                return packet
        except av.FFmpegError as error:
            _log.debug("audio ends early: %s", error)
        return None

    def close(self) -> None:
        """Close the source; further calls do nothing."""
        self._container.close()
        if self._dropped:
            _log.warning(
                *(
                    "the audio of %s goes back in time: %d of its packets are left out",
                    self._source,
                    self._dropped,
                )
            )
            self._dropped = 0
