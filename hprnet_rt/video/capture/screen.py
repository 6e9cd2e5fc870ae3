"""The pictures of a monitor."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from hprnet_rt.errors import BackendError, MediaError, UsageError
from hprnet_rt.types import Frame, ImageArray
from hprnet_rt.video.capture.source import LIVE_TIME_BASE, LiveFrames, LiveKind, LiveOptions
from hprnet_rt.video.media import MediaInfo

if TYPE_CHECKING:
    import mss

__all__ = ["SCREEN", "ScreenSource"]

_FPS: Final = 30.0


class ScreenSource:
    """Grabs a monitor at a steady rate.

    Args:
        name: "screen", the first monitor, or "screen:2", the second.
        options: `fps` is the rate, 30 when None; a slow machine gives fewer.

    Attributes:
        info: size in physical pixels, and rate.
        status: always "".

    Raises:
        UsageError: there is no such monitor.
        BackendError: the package mss is not installed.
        MediaError: there is no display, or it may not be seen.
    """

    info: MediaInfo
    status: str

    def __init__(self, name: str, options: LiveOptions) -> None:
        match = re.fullmatch(r"screen(?::([1-9]\d*))?", name)
        if match is None:
            raise UsageError(f"a screen is named screen, screen:1, screen:2 and so on, got {name}")
        self.status = ""
        self._name = name
        self._monitor = int(match[1] or 1)
        self._stopping = threading.Event()
        self._period_s = 1 / (options.fps or _FPS)
        with self._open() as screens:
            count = len(screens.monitors) - 1  # the first entry is all of them together
            if self._monitor > count:
                raise UsageError(f"there is no screen {self._monitor}: this computer has {count}")
            height, width = self._grab(screens).shape[:2]
        rate = Fraction(options.fps or _FPS).limit_denominator(1001)
        self.info = MediaInfo(name, width, height, rate=rate, time_base=LIVE_TIME_BASE)

    def _open(self) -> mss.MSS:
        try:
            import mss
        except ImportError as error:
            raise BackendError(
                "showing the screen needs the package mss: pip install 'hprnet-rt[live]'"
            ) from error
        try:
            return mss.MSS()
        except (OSError, mss.ScreenShotError) as error:
            raise self._unseen(error) from error

    def _grab(self, screens: mss.MSS) -> ImageArray:
        import mss

        try:
            shot = screens.grab(screens.monitors[self._monitor])
        except mss.ScreenShotError as error:
            raise self._unseen(error) from error
        pixels = np.frombuffer(shot.bgra, np.uint8).reshape(shot.height, shot.width, 4)
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2BGR), np.uint8)

    def _unseen(self, error: Exception) -> MediaError:
        return MediaError(
            f"{self._name} cannot be seen ({str(error).rstrip('.')}): run it where there is a display, and "
            "allow this program to record it if the system asks"
        )

    def __iter__(self) -> Iterator[Frame]:
        """Yield a frame at each tick of the rate; missed ticks are left out.

        Raises:
            MediaError: the display is gone.
        """
        size = (self.info.width, self.info.height)
        frames = LiveFrames()
        due_s = time.perf_counter()
        with self._open() as screens:  # again: some systems serve only the thread that opened it
            while not self._stopping.wait(max(0.0, due_s - time.perf_counter())):
                image = self._grab(screens)
                captured_s = time.perf_counter()
                if (image.shape[1], image.shape[0]) != size:
                    image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
                yield frames.make(image, captured_s)
                due_s = max(due_s + self._period_s, time.perf_counter())

    def interrupt(self) -> None:
        """End the iteration at once; callable from any thread."""
        self._stopping.set()

    def pause(self, paused: bool) -> None:
        """Do nothing: a screen cannot be paused."""

    def close(self) -> None:
        """Do nothing but end the iteration, which alone holds the display open."""
        self._stopping.set()


def _matches(text: str) -> bool:
    return text == "screen" or text.startswith("screen:")


SCREEN: Final = LiveKind(
    name="screen",
    summary="the screen (screen, screen:2)",
    matches=_matches,
    open=ScreenSource,
)
