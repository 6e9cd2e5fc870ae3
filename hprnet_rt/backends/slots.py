"""The places of batches that are on their way."""

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
"""Batches on their way at the same time: one is copied while the network works on the other."""


class Slots:
    """Numbers 0 to `SLOTS` - 1, each given to one batch at a time; any thread may ask."""

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
        """Begin a batch in a free slot, which is free again when its end has been waited for.

        Args:
            images: (n, H, W, 3) each.
            most: images in all.
            start: begins the work in a slot.
            finish: waits for a slot's work; told how many images there were.

        Returns:
            What waits for the results.

        Raises:
            BackendError: there are none, or too many images.
        """
        count = sum(len(part) for part in images)
        if not 0 < count <= most:
            raise BackendError(f"this engine takes 1 to {most} images at a time, got {count}")
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
