"""MediaPipe's Holistic, once for each person: a peer whose weights know people, and whose line is its own.

Holistic finds one person in a picture (33 points of the body, 468 of the face, 21 of each hand), so everyone
gets an instance of it, which sees their crop of the scene and follows them from frame to frame, as it does in
videos: it looks for nobody again. Who is where is given, in its favour. It runs on the CPU only, in its own
library (TensorFlow Lite), and leaves out the hands that it does not see.
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
    """See that it is installed.

    Raises:
        BackendError: it is not.
    """
    if importlib.util.find_spec("mediapipe") is None:
        raise BackendError(f"this measurement needs MediaPipe: pip install mediapipe=={_TRIED}")


class MediaPipePipeline:
    """Crops, and Holistic for each of them.

    Args:
        _backend: of HPRNet; it makes no difference here.

    Attributes:
        description, note: see `Peer`.

    Raises:
        BackendError: the installed MediaPipe has no Holistic; its newer wheels carry no models.
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
        """Seconds by stage for an image (H, W, 3) with so many people, standing where `places` says."""
        if people not in self._people:
            self._people[people] = [self._make() for _ in range(people)]
        start = time.perf_counter()
        for holistic, crop in zip(self._people[people], cut_out(image, people), strict=True):
            holistic.process(cv2.cvtColor(crop, cv2.COLOR_BGR2RGB))
        seconds = time.perf_counter() - start
        return {"pose": seconds, "end to end": seconds}
