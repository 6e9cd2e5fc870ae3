"""Slots for batches in progress: one is copied while the network works on another."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import BackendError

__all__ = ["SLOTS", "Slots"]

ImageArray = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]

SLOTS: Final = 2
"""The number of batches in progress at the same time."""


class Slots:
    """Gives the numbers 0 to `SLOTS` - 1 to one batch each; any thread may call it."""

    def __init__(self) -> None:
        self._free = deque(range(SLOTS))
        self._changed = threading.Condition()

    def submit(
        self,
        images: Sequence[ImageArray],
        most: int,
        start: Callable[[int], None],
        finish: Callable[[int, int], FloatArray],
    ) -> Callable[[], FloatArray]:
        """Begin a batch in a free slot, and return the function that waits for its results.

        The slot is free again when that function has been called.

        Args:
            images: (n, H, W, 3) each.
            most: the largest number of images in all.
            start: begins the work in a slot.
            finish: waits for the work in a slot; gets the slot and the number of images.

        Raises:
            BackendError: there are no images, or too many.
        """
        count = sum(len(part) for part in images)
        if not 0 < count <= most:
            raise BackendError(f"this backend takes 1 to {most} images at a time, got {count}")
        slot = self.take()
        try:
            start(slot)
        except BaseException:
            self.give_back(slot)
            raise

        def wait() -> FloatArray:
            try:
                return finish(slot, count)
            finally:
                self.give_back(slot)

        return wait

    def take(self) -> int:
        """Return a free slot; waits until there is one."""
        with self._changed:
            while not self._free:
                self._changed.wait()
            return self._free.popleft()

    def give_back(self, slot: int) -> None:
        """Free a slot for another batch."""
        with self._changed:
            self._free.append(slot)
            self._changed.notify()
