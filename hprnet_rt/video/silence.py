"""Silencing OpenCV's messages on the terminal: the errors of this package replace them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import cv2

__all__ = ["quiet"]

_lock = threading.Lock()
_users = 0
_level_before = 0


@contextmanager
def quiet() -> Iterator[None]:
    """Silence OpenCV; its level of messages returns when the last thread has left."""
    global _users, _level_before
    with _lock:
        if not _users:
            _level_before = cv2.utils.logging.getLogLevel()
            cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                cv2.utils.logging.setLogLevel(_level_before)
