"""A camera device as OpenCV has it, which does as it is told."""

import threading

import cv2
import numpy as np

RATE_S = 0.01
SIZES = {(640, 480): 30.0, (1280, 720): 10.0}


class FakeDevice:
    """A camera of two sizes that has 720p at 30 frames a second as motion JPEG only.

    `failures`, `block` and `broken` decide what the next reads do.
    """

    def __init__(self, opens=True):
        self.opens = opens
        self.reads = 0
        self.failures = 0  # reads to fail from now on
        self.block = threading.Event()
        self.unblock = threading.Event()
        self.broken = threading.Event()
        self.released = threading.Event()
        self.threads = set()
        self._width, self._height, self._fourcc = 640, 480, 0

    def isOpened(self):  # noqa: N802 - as OpenCV calls it
        return self.opens

    def set(self, key, value):
        if key == cv2.CAP_PROP_FOURCC:
            self._fourcc = value
        if key == cv2.CAP_PROP_FRAME_WIDTH:
            self._width = 1280 if value >= 1280 else 640
            self._height = 720 if value >= 1280 else 480
        return True

    def get(self, key):
        size = (self._width, self._height)
        mjpg = self._fourcc == cv2.VideoWriter.fourcc(*"MJPG")
        return {
            cv2.CAP_PROP_FRAME_WIDTH: float(size[0]),
            cv2.CAP_PROP_FRAME_HEIGHT: float(size[1]),
            cv2.CAP_PROP_FPS: 30.0 if mjpg else SIZES[size],
            cv2.CAP_PROP_FOURCC: float(self._fourcc),
        }[key]

    def read(self):
        self.threads.add(threading.current_thread().name)
        if self.block.is_set():
            self.unblock.wait(20)
            return False, None
        if self.broken.is_set():
            raise cv2.error("unplugged")
        self.unblock.wait(RATE_S)
        if self.failures:
            self.failures -= 1
            return False, None
        self.reads += 1
        return True, np.full((self._height, self._width, 3), self.reads % 256, np.uint8)

    def release(self):
        self.released.set()
