"""MediaPipe's Holistic, run once for each person: a peer with trained weights.

Holistic finds one person in a picture (33 points of the body, 468 of the face, 21 of each hand). So each
person has an instance of it, which sees a crop of the scene and tracks the person from frame to frame, as in
videos; it does not detect anew. The positions of the people are given, in its favour. It runs on the CPU
only, in its own library (TensorFlow Lite), and skips hands that it does not see.
"""

from __future__ import annotations

import importlib.util
import time
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from hprnet_rt.backends import Backend
from hprnet_rt.bench.scenes import cut_out
from hprnet_rt.errors import BackendError

__all__ = ["MediaPipePipeline", "require_mediapipe"]

_TRIED = "0.10.14"


def require_mediapipe() -> None:
    """Check that MediaPipe is installed.

    Raises:
        BackendError: it is not installed.
    """
    if importlib.util.find_spec("mediapipe") is None:
        raise BackendError(f"this measurement needs MediaPipe: pip install mediapipe=={_TRIED}")


class MediaPipePipeline:
    """Crops of the people, with Holistic on each of them.

    Args:
        _backend: of HPRNet; not used.

    Attributes:
        description, note: see `Peer`.

    Raises:
        BackendError: the installed MediaPipe has no Holistic; newer wheels do not include its models.
    """

    note = "one person at a time, told where everyone is"

    def __init__(self, _backend: Backend) -> None:
        import mediapipe

        self.description = f"MediaPipe {mediapipe.__version__}, TensorFlow Lite on the CPU"
        try:
            self._make = mediapipe.solutions.holistic.Holistic
        except AttributeError as error:
            raise BackendError(
                f"MediaPipe {mediapipe.__version__} has no Holistic with its models; pip install "
                f"mediapipe=={_TRIED}"
            ) from error
        self._people: dict[int, list[Any]] = {}

    def __call__(self, image: npt.NDArray[np.uint8], people: int) -> dict[str, float]:
        """Return the seconds by stage for an image (H, W, 3) with this number of people at their `places`."""
        if people not in self._people:
            self._people[people] = [self._make() for _ in range(people)]
        start = time.perf_counter()
        for holistic, crop in zip(self._people[people], cut_out(image, people), strict=True):
            holistic.process(cv2.cvtColor(crop, cv2.COLOR_BGR2RGB))
        seconds = time.perf_counter() - start
        return {"pose": seconds, "end to end": seconds}
