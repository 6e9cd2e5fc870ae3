"""The interface of backends: what their modules are asked for, and what they return."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from hprnet_rt.backends.built_engine import BuiltEngine
from hprnet_rt.backends.model_file import ModelFile
from hprnet_rt.spec import ModelSpec
from hprnet_rt.types import Maps

__all__ = [
    "AsyncBackend",
    "Backend",
    "BackendModule",
    "BackendRequest",
    "GivesMaps",
    "SideBySide",
    "refinement_text",
]


def refinement_text(spec: ModelSpec, *, after_grouping: bool) -> str:
    """Return the end of a backend's description, which says where points are refined.

    It is empty where the network has no refinement.
    """
    if spec.refinement is None:
        return ""
    return ", refined after grouping" if after_grouping else ", refined in the engine"


@dataclass(frozen=True, kw_only=True)
class BackendRequest:
    """The network that a backend is to run, and how.

    Attributes:
        model_file: the network.
        input_hw: height and width of the input.
        precision: "auto", or one of the precisions in the backend's description.
        threads: CPU threads.
        batch: images at a time; the backend's best when None.
        flip: average with the mirrored image.
        engine: the built engine to run, where the backend's description asks for one.
    """

    model_file: ModelFile
    input_hw: tuple[int, int]
    precision: str = "auto"
    threads: int = 1
    batch: int | None = 1
    flip: bool = False
    engine: BuiltEngine | None = None

    def with_engine(self, engine: BuiltEngine) -> BackendRequest:
        """Return this request with the engine to run."""
        return dataclasses.replace(self, engine=engine)


class BackendModule(Protocol):
    """The Python module of a backend, named in its `BackendSpec`."""

    def create(self, request: BackendRequest) -> Backend:
        """Compile the network; the request agrees with the backend's description.

        Raises:
            UsageError: this machine cannot do what is asked for.
            BackendError: the library or the GPU cannot run the network.
        """
        ...


class Backend(Protocol):
    """A network compiled for one input size. Threads may share it; it takes their calls one at a time.

    Attributes:
        name: "openvino", "onnxruntime", ...
        precision: of the network: "fp32", "fp16", "bf16", or for int8 engines also that of the other layers.
        description: library with version, device, precision and threads, for people.
        spec: the network.
        input_hw: height and width of its input.
        max_batch: the largest number of images that `run` takes at once, and the fastest.
    """

    name: str
    precision: str
    description: str
    spec: ModelSpec
    input_hw: tuple[int, int]
    max_batch: int

    def run(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return the peaks of images: (N, H, W, 3) uint8 BGR -> (N, K, layout width) float32.

        N is at most `max_batch`; the result belongs to the caller.

        Raises:
            BackendError: the library failed.
        """
        ...

    def close(self) -> None:
        """Free the network; further calls do nothing."""
        ...


@runtime_checkable
class GivesMaps(Backend, Protocol):
    """A backend that may leave the refinement of points to grouping.

    Attributes:
        gives_maps: it does, and returns the maps for it.
    """

    gives_maps: bool

    def run_with_maps(
        self, images: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float32], Sequence[Maps | None]]:
        """Return the peaks as `run` does, and the maps of each image; all belong to the caller.

        The maps are None where `gives_maps` is false: the network has no refinement, or refines inside.
        """
        ...


@runtime_checkable
class SideBySide(GivesMaps, Protocol):
    """A backend that may work on several images at the same time, each on cores of its own.

    Attributes:
        at_once: images to be begun before the first is waited for, so that none of the cores waits; 1 where
            the backend works on one after the other.
    """

    at_once: int

    def begin(
        self, images: npt.NDArray[np.uint8]
    ) -> Callable[[], tuple[npt.NDArray[np.float32], Sequence[Maps | None]]]:
        """Begin with what `run` takes, and return the function that waits for what `run_with_maps` returns.

        Raises:
            BackendError: the backend is closed; the returned function raises it where the library failed.
        """
        ...


@runtime_checkable
class AsyncBackend(Backend, Protocol):
    """A backend that accepts the next batch while it works on one."""

    def submit(self, images: Sequence[npt.NDArray[np.uint8]]) -> Callable[[], npt.NDArray[np.float32]]:
        """Begin a batch, and return the function that waits for its result.

        That function must be called exactly once. With two batches in progress this method waits until
        another thread has collected one.

        Args:
            images: (n, H, W, 3) each, at most `max_batch` images in all; the caller may reuse their memory
                afterwards.

        Raises:
            BackendError: the library failed; the returned function raises it too.
        """
        ...
