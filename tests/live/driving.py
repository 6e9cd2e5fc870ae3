"""A source made of a few pictures, and a hand that uses the window while it runs."""

import threading
import time
from fractions import Fraction

from hprnet_rt.types import Frame
from hprnet_rt.video import MediaInfo, VideoSource
from hprnet_rt.video.capture.source import LIVE_TIME_BASE
from tests.clips import SAMPLE

DEADLINE_S = 30.0  # generous: a busy machine must not fail a test


def sample_pictures(count):
    """The first pictures of the shipped sample."""
    source = VideoSource(SAMPLE)
    pictures = [frame.image for frame, _ in zip(source, range(count), strict=False)]
    source.close()
    return pictures


class Clip:
    """A live source: pictures at a rate, without end or `frames` of them; then it stalls, fails or ends."""

    def __init__(self, pictures, *, rate=25, frames=None, stalls=False, error=None, pixel_aspect=None):
        height, width = pictures[0].shape[:2]
        self.info = MediaInfo("clip", width, height, Fraction(rate), LIVE_TIME_BASE, None, pixel_aspect)
        self.status = ""
        self.closed = self.paused = False
        self.pauses = []
        self._error = error
        self._pictures, self._rate, self._frames, self._stalls = pictures, rate, frames, stalls
        self._interrupted = threading.Event()

    def __iter__(self):
        start_s = time.perf_counter()
        number = 0
        while self._frames is None or number < self._frames:
            due_s = start_s + number / self._rate
            if self._interrupted.wait(max(0.0, due_s - time.perf_counter())):
                return
            image = self._pictures[number % len(self._pictures)].copy()
            pts = round(number / self._rate / LIVE_TIME_BASE)
            yield Frame(number, image, time.perf_counter(), pts, LIVE_TIME_BASE)
            number += 1
        if self._stalls:
            self.status = "no picture"
            self._interrupted.wait(2 * DEADLINE_S)
        if self._error is not None:
            raise self._error

    def interrupt(self):
        self._interrupted.set()

    def pause(self, paused):
        self.paused = paused
        self.pauses.append(paused)

    def close(self):
        self.closed = True


def drive(session, script, **settings):
    """Run the window while `script`, a generator function, uses it.

    The script gets the viewer, and yields conditions (functions); it goes on when one holds.
    """
    from PySide6.QtCore import QTimer

    from hprnet_rt.live.viewer import Viewer
    from hprnet_rt.live.window import open_display, run_window

    application = open_display()
    failures, waiting = [], []

    def step():
        viewers = [w for w in application.topLevelWidgets() if isinstance(w, Viewer) and w.session is session]
        if not viewers or failures:
            return
        if not waiting:
            waiting[:] = [script(viewers[0]), lambda: True, time.perf_counter() + DEADLINE_S]
        steps, condition, deadline_s = waiting
        try:
            if condition():
                waiting[1:] = [next(steps), time.perf_counter() + DEADLINE_S]
            elif time.perf_counter() > deadline_s:
                raise TimeoutError(f"it did not come to it: {condition}")
        except StopIteration:
            waiting[1:] = [lambda: False, deadline_s]
        except BaseException as error:
            failures.append(error)
            viewers[0].close()

    timer = QTimer()
    timer.setInterval(5)
    timer.timeout.connect(step)
    timer.start()
    try:
        run_window(session, **{"title": "test", "details": "model on engine", **settings})
    finally:
        timer.stop()
        if failures:
            raise failures[0]


def own_threads():
    """Names of the pipeline's threads that are alive."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("hprnet-")]
