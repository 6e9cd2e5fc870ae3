"""A live source for tests: the sample's pictures, as fast or as slowly as a test wants."""

import threading
import time

from hprnet_rt.types import Frame
from hprnet_rt.video import MediaInfo, VideoSource
from hprnet_rt.video.live import LIVE_TIME_BASE
from tests.clips import SAMPLE


def pictures(count):
    """The sample's first pictures."""
    source = VideoSource(SAMPLE)
    try:
        return [frame.image for frame, _ in zip(source, range(count), strict=False)]
    finally:
        source.close()


class Pictures:
    """Shows some pictures again and again.

    Args:
        images: (H, W, 3) uint8 BGR.
        rate_hz: pictures a second; as fast as they are taken when None.
        limit: how many; without end when None.
        error: is raised after the last one.
    """

    def __init__(self, images, *, rate_hz=None, limit=None, error=None):
        height, width = images[0].shape[:2]
        self.info = MediaInfo("pictures", width, height, time_base=LIVE_TIME_BASE)
        self.status = ""
        self.pauses = []
        self.closed = threading.Event()
        self.interrupted = threading.Event()
        self._images, self._rate_hz, self._limit, self._error = images, rate_hz, limit, error

    def __iter__(self):
        start_s, n = time.perf_counter(), 0
        while n != self._limit:
            due_s = start_s + (0 if self._rate_hz is None else n / self._rate_hz)
            if self.interrupted.wait(max(0.0, due_s - time.perf_counter())):
                return
            pts = round((time.perf_counter() - start_s) / LIVE_TIME_BASE)
            image = self._images[n % len(self._images)].copy()
            yield Frame(n, image, time.perf_counter(), pts, LIVE_TIME_BASE)
            n += 1
        if self._error is not None:
            raise self._error

    def interrupt(self):
        self.interrupted.set()

    def pause(self, paused):
        self.pauses.append(paused)

    def close(self):
        self.closed.set()
