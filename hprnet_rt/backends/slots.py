"""The places of batches that are on their way."""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

__all__ = ["SLOTS", "Slots"]

SLOTS: Final = 2
"""Batches on their way at the same time: one is copied while the network works on the other."""


class Slots:
    """Numbers 0 to `SLOTS` - 1, each given to one batch at a time; any thread may ask."""

    def __init__(self) -> None:
        self._free = deque(range(SLOTS))
        self._changed = threading.Condition()

    def take(self) -> int:
        """A free number; waits until there is one."""
        with self._changed:
            while not self._free:
                self._changed.wait()
            return self._free.popleft()

    def give_back(self, slot: int) -> None:
        """Let another batch have it."""
        with self._changed:
            self._free.append(slot)
            self._changed.notify()
