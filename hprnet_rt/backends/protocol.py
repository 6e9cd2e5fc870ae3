"""What every backend is."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from hprnet_rt.heads import ModelSpec

__all__ = ["Backend"]


class Backend(Protocol):
    """A compiled network for one input size. Threads may share it; their calls are taken one by one.

    Attributes:
        name: "openvino", "onnxruntime", ...
        description: library with version, device, precision and threads, for people.
        spec: the network.
        input_hw: height and width of its input.
    """

    name: str
    description: str
    spec: ModelSpec
    input_hw: tuple[int, int]

    def run(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """(1, H, W, 3) uint8 BGR -> (1, K, layout width) float32, owned by the caller.

        Raises:
            BackendError: the library failed.
        """
        ...

    def close(self) -> None:
        """Free the engine; further calls do nothing."""
        ...
