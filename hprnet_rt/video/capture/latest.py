"""A thread that reads from a device that may block for ever, and holds the newest item.

Cameras and networks are read in a daemon thread, because a read that blocks cannot be cancelled: the taker
waits for the thread, not for the device, and can stop waiting at any time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["LatestReader"]

T = TypeVar("T")


class LatestReader(Generic[T]):
    """Runs `read` in a daemon thread and holds the newest item for one taker.

    Args:
        name: of the thread.
        read: called with this reader. It passes items to `put`, and returns when there are no more or when
            `stopping` is set. An error that it raises is raised again in `take`.

    Attributes:
        stopping: set by `stop`; `read` checks it, and waits on it instead of sleeping.
    """

    def __init__(self, name: str, read: Callable[[LatestReader[T]], None]) -> None:
        self.stopping = threading.Event()
        self._changed = threading.Condition()
        self._item: T | None = None
        self._ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(read,), name=name, daemon=True)
        self._thread.start()

    def _run(self, read: Callable[[LatestReader[T]], None]) -> None:
        error: BaseException | None = None
        try:
            read(self)
        except BaseException as raised:
            error = raised
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def put(self, item: T) -> None:
        """Hold an item in place of the previous one, whether or not that was taken."""
        with self._changed:
            self._item = item
            self._changed.notify_all()

    def take(self, timeout_s: float, *, keep: bool = False) -> T | None:
        """Return the newest item that was not taken, or None when the reader was stopped or has ended.

        Args:
            timeout_s: how long to wait for one.
            keep: leave it to be taken again, unless a newer one comes.

        Raises:
            TimeoutError: none came in time.
            Exception: the error of `read`, once its last item was taken.
        """
        with self._changed:
            if not self._changed.wait_for(self._is_ready, timeout_s):
                raise TimeoutError
            if self.stopping.is_set():
                return None
            if self._item is None and self._error is not None:
                raise self._error
            item = self._item
            if not keep:
                self._item = None
            return item

    def _is_ready(self) -> bool:
        return self._item is not None or self._ended or self.stopping.is_set()

    def stop(self) -> None:
        """Let `take` return None at once, and ask `read` to return; callable from any thread."""
        with self._changed:
            self.stopping.set()
            self._changed.notify_all()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread, and return whether it has ended."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()
