"""What every backend is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from hprnet_rt.spec import ModelSpec
from hprnet_rt.types import Maps

__all__ = ["AsyncBackend", "Backend", "GivesMaps", "refined_where"]


def refined_where(spec: ModelSpec, after_grouping: bool) -> str:
    """What a backend's description says of the points of a network that refines."""
    if spec.refinement is None:
        return ""
    return ", refined after grouping" if after_grouping else ", refined in the engine"


class Backend(Protocol):
    """A compiled network for one input size. Threads may share it; their calls are taken one by one.

    Attributes:
        name: "openvino", "onnxruntime", ...
        precision: of the network: "fp32", "fp16", "bf16", or "int8" with that of the rest.
        description: library with version, device, precision and threads, for people.
        spec: the network.
        input_hw: height and width of its input.
        max_batch: images that `run` takes at once; it is fastest when it gets so many.
    """

    name: str
    precision: str
    description: str
    spec: ModelSpec
    input_hw: tuple[int, int]
    max_batch: int

    def run(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """(N, H, W, 3) uint8 BGR -> (N, K, layout width) float32, owned by the caller; N up to `max_batch`.

        Raises:
            BackendError: the library failed.
        """
        ...

    def close(self) -> None:
        """Free the engine; further calls do nothing."""
        ...


@runtime_checkable
class GivesMaps(Backend, Protocol):
    """A backend that may leave it to grouping to refine points.

    Attributes:
        gives_maps: it does so, and gives the maps for it.
    """

    gives_maps: bool

    def run_with_maps(
        self, images: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float32], Sequence[Maps | None]]:
        """What `run` returns, and each image's maps, all owned by the caller.

        They are None where `gives_maps` is false: the network does not refine, or the engine does.
        """
        ...


@runtime_checkable
class AsyncBackend(Backend, Protocol):
    """A backend that takes the next batch while it works on one."""

    def submit(self, images: Sequence[npt.NDArray[np.uint8]]) -> Callable[[], npt.NDArray[np.float32]]:
        """Begin with a batch: what is returned waits for its result, and is called exactly once.

        Args:
            images: (n, H, W, 3) each, `max_batch` in all at most; free again when this returns. With two
                batches on their way it waits until another thread has collected one.

        Raises:
            BackendError: the library failed; the function that is returned raises it too.
        """
        ...
