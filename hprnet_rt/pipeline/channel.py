"""A bounded channel that can be closed.

Unlike a queue with a sentinel, closing it wakes both sides: a producer never waits for a consumer that has
ended, and a consumer never waits for a producer that has ended.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

from hprnet_rt.errors import UsageError

__all__ = ["Channel", "ChannelClosed"]

T = TypeVar("T")


class ChannelClosed(Exception):
    """The channel is closed: no item can be put, or no more items will come."""


class Channel(Generic[T]):
    """A first-in, first-out queue between threads.

    Args:
        capacity: largest number of items inside, at least 1.
        newest_wins: if the channel is full, `put` drops the oldest item instead of waiting (for live
            sources). Otherwise `put` waits, and nothing is lost (for files).

    Attributes:
        dropped: number of items dropped by `put`.
    """

    def __init__(self, capacity: int, *, newest_wins: bool = False) -> None:
        if capacity < 1:
            raise UsageError(f"a channel holds at least 1 item, got {capacity}")
        self.dropped = 0
        self._capacity = capacity
        self._newest_wins = newest_wins
        self._items: deque[T] = deque()
        self._closed = False
        self._held = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> None:
        """Add an item.

        Raises:
            ChannelClosed: the channel is closed; the item was not added.
        """
        with self._changed:
            if self._newest_wins and len(self._items) == self._capacity and not self._closed:
                self._items.popleft()
                self.dropped += 1
            while len(self._items) >= self._capacity and not self._closed:
                self._changed.wait()
            if self._closed:
                raise ChannelClosed
            self._items.append(item)
            self._changed.notify_all()

    def get(self, timeout_s: float | None = None) -> T:
        """Take the oldest item, waiting for one.

        Raises:
            ChannelClosed: the channel is closed and empty.
            TimeoutError: nothing came within `timeout_s`.
        """
        with self._changed:
            if not self._changed.wait_for(self._ready, timeout_s):
                raise TimeoutError
            if not self._items:
                raise ChannelClosed
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def _ready(self) -> bool:
        return not self._held if self._items else self._closed

    def hold(self, held: bool) -> None:
        """Let `get` wait while `held`, even if the channel is closed, unless it is closed and empty."""
        with self._changed:
            self._held = held
            self._changed.notify_all()

    def close(self) -> None:
        """Accept no more items; those inside can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def abort(self) -> None:
        """Close the channel and discard the items inside."""
        with self._changed:
            self._items.clear()
            self._closed = True
            self._changed.notify_all()
