"""A kind of live source that only the tests know: plain pictures at a steady rate."""

import threading
import time
from fractions import Fraction

import numpy as np

from hprnet_rt.video import MediaInfo
from hprnet_rt.video.capture import LiveKind
from hprnet_rt.video.capture.source import LIVE_TIME_BASE, LiveFrames

WIDTH, HEIGHT = 64, 48


class MadeUpSource:
    """Yields grey pictures at `options.fps`."""

    def __init__(self, text, options):
        self.status = ""
        rate = Fraction(options.fps or 50)
        self.info = MediaInfo(text, WIDTH, HEIGHT, rate=rate, time_base=LIVE_TIME_BASE)
        self._stopping = threading.Event()

    def __iter__(self):
        frames = LiveFrames()
        wait_s = 0.0
        while not self._stopping.wait(wait_s):
            yield frames.make(np.full((HEIGHT, WIDTH, 3), 128, np.uint8), time.perf_counter())
            wait_s = float(1 / self.info.rate)

    def interrupt(self):
        self._stopping.set()

    def pause(self, paused):
        pass

    def close(self):
        self._stopping.set()


MADE_UP = LiveKind(
    name="made-up",
    summary="made-up pictures (made-up:1)",
    matches=lambda text: text.startswith("made-up:"),
    open=MadeUpSource,
    is_mirrored=True,
)
