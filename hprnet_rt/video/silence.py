"""OpenCV's own messages, kept off the terminal: this package says what is wrong itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import cv2

__all__ = ["quiet"]

_lock = threading.Lock()
_inside = 0
_before = 0


@contextmanager
def quiet() -> Iterator[None]:
    """Silence OpenCV; its level comes back when the last thread is out."""
    global _inside, _before
    with _lock:
        if not _inside:
            _before = cv2.utils.logging.getLogLevel()
            cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                cv2.utils.logging.setLogLevel(_before)
