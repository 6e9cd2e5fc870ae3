"""Live pictures of a camera."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

import cv2
import numpy as np

from hprnet_rt.errors import MediaError
from hprnet_rt.types import Frame, ImageArray
from hprnet_rt.video.capture.device import configure, open_device, why_closed
from hprnet_rt.video.capture.latest import LatestReader
from hprnet_rt.video.capture.source import LIVE_TIME_BASE, LiveFrames, LiveOptions
from hprnet_rt.video.media import MediaInfo
from hprnet_rt.video.silence import quiet

__all__ = ["CameraSource"]

_log = logging.getLogger(__name__)

_LOOK_S: Final = 0.25  # how often the status is renewed while no picture comes
_SILENT_S: Final = 1.0  # without a picture, after which the status says so
_JOIN_S: Final = 0.5
_BAD_READS: Final = 10  # in a row; single pictures that arrive damaged are left out
_RETRY_S: Final = 0.02


class CameraSource:
    """The newest picture of a camera, each time one is taken.

    The device is opened, read and freed in one thread of its own. A read that blocks for ever is left to that
    thread, which frees the device should it ever return.

    Args:
        device: "0" for the first camera, "1" ...; on Linux also a path such as /dev/video0.
        options: width, height, fps and mjpg are asked of the camera; `info` says what it gives.

    Attributes:
        info: size of the pictures, and the rate that the camera states, None when it states none.
        status: "" while pictures come, otherwise for how long none has come.

    Raises:
        MediaError: there is no such camera, it may not be used, or it gives no picture within `timeout_s`.
    """

    info: MediaInfo
    status: str

    def __init__(self, device: str, options: LiveOptions) -> None:
        self.status = ""
        self._device = device
        self._options = options
        self._rate: Fraction | None = None
        self._closed = False
        self._seen = False  # a picture has come
        self._last_s = time.perf_counter()  # of the last picture
        self._reader = LatestReader[tuple[ImageArray, float]]("hprnet-camera", self._read)
        try:
            first = self._reader.take(options.timeout_s, keep=True)
        except TimeoutError:
            self.close()
            raise self._gone(f"none came within {options.timeout_s:g} s") from None
        except BaseException:  # Ctrl-C too
            self.close()
            raise
        assert first is not None  # only `stop` and an end without a picture give None
        height, width = first[0].shape[:2]
        self.info = MediaInfo(f"camera {device}", width, height, rate=self._rate, time_base=LIVE_TIME_BASE)
        self._compare()

    def _compare(self) -> None:
        """Tell where the camera gives something else than was asked for."""
        asked, info = self._options, self.info
        fps = None if info.rate is None else float(info.rate)
        wanted = [
            f"{value:g} {unit}"
            for value, given, unit in (
                (asked.width, info.width, "px wide"),
                (asked.height, info.height, "px high"),
                (asked.fps, fps, "frames a second"),
            )
            if value is not None and (given is None or abs(value - given) > 0.5)
        ]
        if wanted:
            gives = f"{info.width}x{info.height}" + ("" if fps is None else f" at {fps:g} frames a second")
            _log.info("%s was asked for %s; it gives %s", info.source, ", ".join(wanted), gives)

    def _read(self, reader: LatestReader[tuple[ImageArray, float]]) -> None:
        """The reader thread: everything that touches the device."""
        with quiet():
            device = open_device(self._device)
            try:
                if not device.isOpened():
                    raise MediaError(f"camera {self._device} {why_closed(self._device)}")
                fps = configure(device, self._options).fps
                self._rate = Fraction(fps).limit_denominator(1001) if fps else None
                failed = 0
                while not reader.stopping.is_set():
                    good, image = device.read()
                    captured_s = time.perf_counter()
                    if good and image is not None and image.size:
                        failed = 0
                        self._last_s, self._seen = captured_s, True
                        reader.put((np.asarray(image, np.uint8), captured_s))
                        continue
                    failed += 1
                    if failed == _BAD_READS:
                        raise self._gone("reading from it fails")
                    reader.stopping.wait(_RETRY_S)
            except cv2.error as error:
                raise self._gone(error.err) from error
            finally:
                device.release()

    def _gone(self, why: str) -> MediaError:
        what = "stopped giving" if self._seen else "gives no"
        return MediaError(
            f"camera {self._device} {what} pictures ({why}): see that it is plugged in and that no other "
            "program uses it"
        )

    def __iter__(self) -> Iterator[Frame]:
        """Yield the newest picture each time, until interrupted.

        Raises:
            MediaError: no picture came for `timeout_s`, or the camera cannot be read any more.
        """
        frames = LiveFrames()
        timeout_s = self._options.timeout_s
        while True:
            try:
                taken = self._reader.take(min(_LOOK_S, timeout_s))
            except TimeoutError:
                silent_s = time.perf_counter() - self._last_s
                if silent_s >= timeout_s:
                    raise self._gone(f"none came for {timeout_s:g} s") from None
                self.status = f"no picture for {silent_s:.0f} s" if silent_s >= _SILENT_S else ""
                continue
            if taken is None:
                return
            self.status = ""
            yield frames.make(*taken)

    def interrupt(self) -> None:
        """From any thread: the iteration ends at once, also while the device blocks."""
        self._reader.stop()

    def pause(self, paused: bool) -> None:
        """A camera does not stand still."""

    def close(self) -> None:
        """Free the device; further calls do nothing."""
        self._reader.stop()
        if not self._closed and not self._reader.join(_JOIN_S):
            _log.warning("camera %s does not answer; it is freed when it does", self._device)
        self._closed = True
