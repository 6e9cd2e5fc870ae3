"""The newest picture, and its JPEG, which all viewers share."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from typing import Final

import cv2

from hprnet_rt.errors import ShapeError
from hprnet_rt.types import ImageArray

__all__ = ["PictureFeed", "Status"]

Status = Mapping[str, float | int | str]

_LONGEST_SIDE: Final = 65_500  # px, of a JPEG


class PictureFeed:
    """Keeps the newest picture; any thread may show and watch.

    Args:
        quality: JPEG quality, 0 to 100.
    """

    def __init__(self, quality: int) -> None:
        self._quality = quality
        self._image: ImageArray | None = None
        self._status: dict[str, float | int | str] = {}
        self._number = 0  # of pictures shown
        self._shown_s = time.perf_counter()
        self._closed = False
        self._changed = threading.Condition()
        self._jpeg = b""
        self._encoded = 0  # the number of the picture that is in _jpeg
        self._encoding = threading.Lock()  # never taken by `show`, which must not wait for an encoder

    def show(self, image_bgr: ImageArray, status: Status) -> None:
        """Replace the picture; see `PictureServer.show`."""
        sides = image_bgr.shape[:2]
        if image_bgr.shape[2:] != (3,) or image_bgr.dtype != "uint8" or not all(sides):
            raise ShapeError(f"a picture is (H, W, 3) uint8, got {image_bgr.shape} {image_bgr.dtype}")
        if max(sides) > _LONGEST_SIDE:
            raise ShapeError(
                f"a picture's sides are at most {_LONGEST_SIDE} px for JPEG, got {image_bgr.shape}"
            )
        with self._changed:
            self._image = image_bgr
            self._status = dict(status)
            self._number += 1
            self._shown_s = time.perf_counter()
            self._changed.notify_all()

    def tell(self, status: Status) -> None:
        """Replace the status alone; see `PictureServer.tell`."""
        with self._changed:
            self._status = dict(status)

    def newest(self, seen: int, timeout_s: float) -> tuple[int, bytes] | None:
        """Wait for a picture newer than number `seen`, and return its number and JPEG.

        Args:
            seen: number of the last picture that the viewer has got, 0 for none.
            timeout_s: after it, the last picture is returned again.

        Returns:
            (number, JPEG), or None when there is no picture yet, or the feed is closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._number > seen, timeout_s)
        with self._encoding:
            with self._changed:
                image, number = self._image, self._number
                if self._closed or image is None:
                    return None
            if number != self._encoded:
                parameters = [cv2.IMWRITE_JPEG_QUALITY, self._quality]
                self._jpeg = cv2.imencode(".jpg", image, parameters)[1].tobytes()
                self._encoded = number
            return number, self._jpeg

    def status(self) -> dict[str, float | int | str | None]:
        """Return the last status with `pictures` and `quiet_s`; infinite and NaN become None."""
        with self._changed:
            quiet_s = round(time.perf_counter() - self._shown_s, 3)
            status = {**self._status, "pictures": self._number, "quiet_s": quiet_s}
        unknown = {
            name for name, value in status.items() if isinstance(value, float) and not math.isfinite(value)
        }
        return {name: None if name in unknown else value for name, value in status.items()}

    def close(self) -> None:
        """End the waiting of all viewers."""
        with self._changed:
            self._closed = True
            self._image = None
            self._changed.notify_all()
