"""One connection to a network stream, from opening it until it is lost."""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final, Self

import av
from av.codec.context import Flags

from hprnet_rt.files import reason
from hprnet_rt.video.capture.source import LiveOptions
from hprnet_rt.video.opening import open_any
from hprnet_rt.video.timeline import as_fraction

__all__ = ["Connection", "Lost"]

_log = logging.getLogger(__name__)

_OPTIONS: Final = {
    "analyzeduration": "1000000",  # microseconds
    "probesize": "1000000",  # bytes
    "rtsp_transport": "tcp",
    "overrun_nonfatal": "1",  # of the buffer for udp
}
_SEGMENTED: Final = ("hls", "dash")  # arrive in pieces of seconds
_ADRIFT_S: Final = 2.0  # distance from the clock at which the clock is set again
_ENDED: Final = 0.9  # share of the duration that a file states, which may be an estimate


class Lost(Exception):
    """The connection failed, ended or stalled; its message is the reason, in one clause."""


class Connection:
    """Iterates the decoded pictures of a stream as they arrive.

    Files, and streams that come in pieces of seconds, are slowed down to their own clock.

    Args:
        url: an address that FFmpeg opens.
        options: `timeout_s` for opening and for the next picture; `realtime` for files.
        stopping: ends the iteration at the next picture when it is set.

    Attributes:
        rate: average pictures a second, None when unknown.

    Raises:
        Lost: the stream cannot be opened, or has no pictures.
    """

    def __init__(self, url: str, options: LiveOptions, stopping: threading.Event) -> None:
        self._timeout_s = options.timeout_s
        self._stopping = stopping
        self._called_s = time.perf_counter()  # when FFmpeg was last called
        try:
            self._container = open_any(url, options=_OPTIONS, timeout=options.timeout_s)
        except (av.FFmpegError, OSError) as error:
            raise self._lost(error) from error
        if not self._container.streams.video:
            self.close()
            raise Lost("there are no pictures in it")
        self._stream = self._container.streams.video[0]
        # Threads that decode whole frames hold one back for each thread.
        self._stream.thread_type = "SLICE"
        self._stream.codec_context.flags |= Flags.low_delay
        self.rate = as_fraction(self._stream.average_rate) or as_fraction(self._stream.guessed_rate)
        duration = self._container.duration
        self._duration_s = None if not duration else duration / av.time_base
        self._is_file = self._duration_s is not None or (self._container.size or 0) > 0
        segmented = self._container.format.name.startswith(_SEGMENTED)
        self._paced = options.realtime and (segmented or self._is_file)
        self._zero_s: float | None = None  # our time at the zero of the stream's clock

    def _lost(self, error: Exception) -> Lost:
        waited_s = time.perf_counter() - self._called_s
        if isinstance(error, av.error.ExitError) or waited_s >= self._timeout_s:  # rtsp has another error
            return Lost(f"no answer for {self._timeout_s:g} s")
        if isinstance(error, av.error.InvalidDataError):
            return Lost("what comes from there is no video")
        if getattr(error, "errno", None) == errno.EIO:  # what FFmpeg makes of an unknown host, among others
            return Lost("no such host, or the connection broke")
        return Lost(reason(error))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect; further calls do nothing."""
        self._container.close()

    def __iter__(self) -> Iterator[av.VideoFrame]:
        """Yield the pictures until the end of a file, or until `stopping` is set.

        Raises:
            Lost: the stream ended otherwise, or gave no picture for `timeout_s`.
        """
        last_s = time.perf_counter()
        media_s: float | None = None
        packets = self._container.demux()  # all streams: sound that goes on alone must not hide a stall
        while True:
            self._called_s = time.perf_counter()
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError) as error:
                raise self._lost(error) from error
            if packet is None:
                break
            if packet.stream_index == self._stream.index:
                for frame in self._decode(packet):
                    media_s = frame.time
                    self._pace(media_s)
                    if self._stopping.is_set():
                        return
                    yield frame
                    last_s = time.perf_counter()
            if self._stopping.is_set():
                return
            if time.perf_counter() - last_s > self._timeout_s:
                raise Lost(f"no picture in what came for {self._timeout_s:g} s")
        if not self._is_file or media_s is None:
            raise Lost("the stream has ended")
        length_s = media_s - (self._container.start_time or 0) / av.time_base
        if self._duration_s is not None and length_s < _ENDED * self._duration_s - 1:
            raise Lost("the stream has ended too early")

    def _decode(self, packet: av.Packet[Any]) -> list[av.VideoFrame]:
        try:
            return [frame for frame in packet.decode() if isinstance(frame, av.VideoFrame)]
        except av.FFmpegError as error:  # after a lost packet; decoding recovers at the next key frame
            _log.debug("a packet that cannot be decoded: %s", error)
            return []

    def _pace(self, media_s: float | None) -> None:
        """Wait until a picture is due; the clock is set at the first picture, and after gaps."""
        if not self._paced or media_s is None:
            return
        now_s = time.perf_counter()
        if self._zero_s is None or abs(self._zero_s + media_s - now_s) > _ADRIFT_S:
            self._zero_s = now_s - media_s
        self._stopping.wait(max(0.0, self._zero_s + media_s - now_s))
