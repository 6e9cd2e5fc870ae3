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
from hprnet_rt.video.capture.source import LIVE_TIME_BASE, LiveFrames, LiveKind, LiveOptions
from hprnet_rt.video.media import MediaInfo
from hprnet_rt.video.silence import quiet

__all__ = ["CAMERA", "CameraSource"]

_log = logging.getLogger(__name__)

_STATUS_S: Final = 0.25  # how often the status is renewed while no picture comes
_SILENT_S: Final = 1.0  # without a picture, after which the status says so
_JOIN_S: Final = 0.5
_BAD_READS: Final = 10  # in a row; single pictures that arrive damaged are left out
_RETRY_S: Final = 0.02
_DEVICE_PATHS: Final = ("/dev/video", "/dev/v4l/")


class CameraSource:
    """Yields the newest picture of a camera.

    A thread of its own opens, reads and frees the device. When a read blocks for ever, only that thread waits
    for it, and frees the device if the read ever returns.

    Args:
        device: "0" for the first camera, "1" for the second; on Linux also a path such as /dev/video0.
        options: width, height, fps and mjpg are requested of the camera; `info` has what it gives.

    Attributes:
        info: size of the pictures, and the rate that the camera states, None when it states none.
        status: "" while pictures come, otherwise for how long none has come.

    Raises:
        MediaError: there is no such camera, it may not be used, or no picture comes within `timeout_s`.
    """

    info: MediaInfo
    status: str

    def __init__(self, device: str, options: LiveOptions) -> None:
        self.status = ""
        self._device = device
        self._options = options
        self._rate: Fraction | None = None
        self._closed = False
        self._has_given = False  # a picture
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
        self._log_differences()

    def _log_differences(self) -> None:
        """Log what the camera gives where that differs from the request."""
        options, info = self._options, self.info
        fps = None if info.rate is None else float(info.rate)
        refused = [
            f"{value:g} {unit}"
            for value, given, unit in (
                (options.width, info.width, "px wide"),
                (options.height, info.height, "px high"),
                (options.fps, fps, "frames a second"),
            )
            if value is not None and (given is None or abs(value - given) > 0.5)
        ]
        if refused:
            gives = f"{info.width}x{info.height}" + ("" if fps is None else f" at {fps:g} frames a second")
            _log.info("%s was asked for %s; it gives %s", info.source, ", ".join(refused), gives)

    def _read(self, reader: LatestReader[tuple[ImageArray, float]]) -> None:
        """Open, read and free the device, in the reader thread."""
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
                        self._last_s, self._has_given = captured_s, True
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
        verb = "stopped giving" if self._has_given else "gives no"
        return MediaError(
            f"camera {self._device} {verb} pictures ({why}): see that it is plugged in and that no other "
            "program uses it"
        )

    def __iter__(self) -> Iterator[Frame]:
        """Yield the newest picture that was not yet taken, until interrupted.

        Raises:
            MediaError: no picture has come for `timeout_s`, or the camera can no longer be read.
        """
        frames = LiveFrames()
        timeout_s = self._options.timeout_s
        while True:
            try:
                taken = self._reader.take(min(_STATUS_S, timeout_s))
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
        """End the iteration at once, also while the device blocks; callable from any thread."""
        self._reader.stop()

    def pause(self, paused: bool) -> None:
        """Do nothing: a camera cannot be paused."""

    def close(self) -> None:
        """Free the device; further calls do nothing."""
        self._reader.stop()
        if not self._closed and not self._reader.join(_JOIN_S):
            _log.warning("camera %s does not answer; it is freed when it does", self._device)
        self._closed = True


def _matches(text: str) -> bool:
    return text.isdecimal() or text.startswith(_DEVICE_PATHS)


CAMERA: Final = LiveKind(
    name="camera",
    summary="a camera (0, 1, /dev/video0)",
    matches=_matches,
    open=CameraSource,
    is_mirrored=True,
)
