"""A bounded channel that closes.

Unlike a queue with a sentinel, a closed channel wakes both sides: a producer whose consumer died cannot
wait for room for ever, and a consumer whose producer died cannot wait for an item for ever.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

from hprnet_rt.errors import UsageError

__all__ = ["Channel", "ChannelClosed"]

T = TypeVar("T")


class ChannelClosed(Exception):
    """The other side is gone: nothing more can be put, or nothing more will come."""


class Channel(Generic[T]):
    """First in, first out, between threads.

    Args:
        capacity: items held, at least 1.
        newest_wins: when full, `put` drops the oldest item instead of waiting (live sources); `dropped`
            counts them. Otherwise `put` waits and nothing is lost (files).
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
        """Give nothing out while held, closed or not: `get` waits, unless the channel is closed and empty."""
        with self._changed:
            self._held = held
            self._changed.notify_all()

    def close(self) -> None:
        """Accept nothing more; what is inside can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def abort(self) -> None:
        """Close and throw away what is inside."""
        with self._changed:
            self._items.clear()
            self._closed = True
            self._changed.notify_all()
