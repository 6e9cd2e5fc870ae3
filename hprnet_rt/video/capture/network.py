"""Live pictures of a network stream."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from typing import Final

import av
import cv2
import numpy as np

from hprnet_rt.errors import MediaError
from hprnet_rt.types import Frame
from hprnet_rt.video.capture.connection import Connection, Lost
from hprnet_rt.video.capture.latest import LatestReader
from hprnet_rt.video.capture.source import LIVE_TIME_BASE, LiveFrames, LiveKind, LiveOptions
from hprnet_rt.video.color import Color
from hprnet_rt.video.media import MediaInfo
from hprnet_rt.video.orientation import upright

__all__ = ["NETWORK", "StreamSource"]

_log = logging.getLogger(__name__)

_STATUS_S: Final = 0.25  # how often the status is renewed while no picture comes
_SILENT_S: Final = 1.0  # without a picture, after which the status says so
_JOIN_S: Final = 0.2
_GRACE_S: Final = 1.0  # for a connection to notice itself that its time is over
_BACK_OFF_S: Final = (0.5, 8.0)  # the first wait before trying again, doubled each time, and the longest
_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # one letter alone is a drive of Windows


class StreamSource:
    """Yields the newest picture of a network stream.

    A thread of its own reads and decodes the whole stream, so that a slow taker misses pictures but never
    lags. A stream that is lost, or that stalls for `timeout_s`, is connected to again at growing intervals,
    until it has been silent for `give_up_s`; the pictures of a new connection are scaled to the size of the
    first. A file on a web server is played by its own clock, and its end ends the iteration.

    Args:
        url: rtsp:// (over TCP), http://, https://, udp://, tcp://, srt:// and what else FFmpeg reads.
        options: `timeout_s`, `give_up_s`, and `realtime` for files on web servers.

    Attributes:
        info: of the first connection; a password in `info.source` is masked.
        status: "" while pictures come, otherwise what is wrong and for how long.

    Raises:
        MediaError: no picture came within `timeout_s`; the first connection is tried once.
    """

    info: MediaInfo
    status: str

    def __init__(self, url: str, options: LiveOptions) -> None:
        self.status = ""
        self._url = url
        self._name = _masked(url)
        self._options = options
        self._connection: Connection | None = None
        self._last_s = time.perf_counter()  # of the last picture
        self._loss: str | None = None  # why the connection is lost, None while it is not
        self._reader = LatestReader[tuple[av.VideoFrame, float]]("hprnet-stream", self._read)
        try:
            taken = self._reader.take(options.timeout_s, keep=True)
        except TimeoutError:
            self.close()
            raise MediaError(
                f"no picture came from {self._name} within {options.timeout_s:g} s: check the address, and "
                "that something is sent there"
            ) from None
        except BaseException:  # Ctrl-C too
            self.close()
            raise
        assert taken is not None  # only `stop` and an end without a picture give None
        self.info = self._describe(taken[0])

    def _describe(self, first: av.VideoFrame) -> MediaInfo:
        height, width = upright(first).shape[:2]
        rate = None if self._connection is None else self._connection.rate
        return MediaInfo(
            self._name, width, height, rate=rate, time_base=LIVE_TIME_BASE, color=Color.of(first)
        )

    def _read(self, reader: LatestReader[tuple[av.VideoFrame, float]]) -> None:
        """Connect, decode and connect again in the reader thread, until it is stopped."""
        wait_s, longest_s = _BACK_OFF_S
        has_given = False
        while not reader.stopping.is_set():
            connected_s = time.perf_counter()
            try:
                with Connection(self._url, self._options, reader.stopping) as self._connection:
                    for frame in self._connection:
                        self._last_s = time.perf_counter()
                        if self._loss is not None:
                            _log.info("%s gives pictures again", self._name)
                        self._loss = None
                        has_given = True
                        reader.put((frame, self._last_s))
                return
            except Lost as loss:
                if not has_given:
                    raise MediaError(f"cannot open {self._name}: {loss}") from loss
                if self._loss is None:
                    _log.warning("%s is lost (%s), trying again", self._name, loss)
                self._loss = str(loss)
                self.status = self._status()
            if self._last_s - connected_s > longest_s:  # it was well for a while
                wait_s = _BACK_OFF_S[0]
            reader.stopping.wait(wait_s)
            wait_s = min(2 * wait_s, longest_s)

    def _status(self) -> str:
        """Return what is wrong and for how long, "" while pictures come."""
        silent_s = time.perf_counter() - self._last_s
        if self._loss is not None:
            return f"{self._loss}, no picture for {silent_s:.0f} s, trying again"
        return f"no picture for {silent_s:.0f} s" if silent_s >= _SILENT_S else ""

    def __iter__(self) -> Iterator[Frame]:
        """Yield the newest picture that was not yet taken, until interrupted or at the end of a file.

        Raises:
            MediaError: the stream has been lost for `give_up_s`.
        """
        frames = LiveFrames()
        size = (self.info.width, self.info.height)
        while True:
            try:
                taken = self._reader.take(_STATUS_S)
            except TimeoutError:
                self._give_up_or_wait()
                continue
            if taken is None:
                return
            self.status = self._status()
            decoded, captured_s = taken
            image = upright(decoded)
            if (image.shape[1], image.shape[0]) != size:
                image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
            yield frames.make(image, captured_s)

    def _give_up_or_wait(self) -> None:
        """Renew the status while no picture comes.

        Raises:
            MediaError: it is time to give up, because the stream is lost or the reader hangs.
        """
        silent_s = time.perf_counter() - self._last_s
        options = self._options
        hangs = silent_s >= max(options.timeout_s, options.give_up_s) + _GRACE_S
        if hangs or (self._loss is not None and silent_s >= options.give_up_s):
            raise MediaError(
                f"{self._name} gave no picture for {silent_s:.0f} s ({self._loss or 'no answer'}): check the "
                "network and the sender, then start again"
            )
        self.status = self._status()

    def interrupt(self) -> None:
        """End the iteration at once, whatever the network does; callable from any thread."""
        self._reader.stop()

    def pause(self, paused: bool) -> None:
        """Do nothing: a live stream cannot be paused."""

    def close(self) -> None:
        """Disconnect; further calls do nothing. A read that blocks ends by itself after `timeout_s`."""
        self._reader.stop()
        self._reader.join(_JOIN_S)


def _masked(url: str) -> str:
    """Return the address with its password masked."""
    return re.sub(r"(://[^/?#@:]*):[^/?#]*@", r"\1:***@", url, count=1)


def _matches(text: str) -> bool:
    return _ADDRESS.match(text) is not None


NETWORK: Final = LiveKind(
    name="network",
    summary="an address (rtsp://, http://, udp://)",
    matches=_matches,
    open=StreamSource,
)
