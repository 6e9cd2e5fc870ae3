"""The interface to a GPU that the TensorRT runtime needs, through PyCUDA or else cuda-python."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import numpy.typing as npt

from hprnet_rt.errors import BackendError

__all__ = ["BINDINGS", "Device", "open_device", "too_little_memory"]

BINDINGS: Final = {"pycuda": "pycuda_device", "cuda.bindings": "cuda_python_device"}
"""Packages that access a GPU, in order of preference -> module of this folder."""


class Device(Protocol):
    """Memory, streams, events and graphs of one GPU, in its primary context.

    One thread opens, uses and closes it. It owns everything it returns, until `close`.
    Every method raises BackendError with the driver's message when the driver refuses.

    Attributes:
        name: the package with its version, and the GPU.
    """

    name: str

    def pinned(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return a new array in page-locked host memory, which the GPU itself can copy from and to."""
        ...

    def memory(self, size: int) -> int:
        """Allocate a number of bytes on the GPU, and return their address."""
        ...

    def stream(self) -> int:
        """Create a stream that waits for no other, and return its handle."""
        ...

    def event(self) -> int:
        """Create an event, and return its handle."""
        ...

    def upload(self, address: int, source: npt.NDArray[Any], stream: int) -> None:
        """Enqueue the copy of a pinned array to the GPU."""
        ...

    def download(self, target: npt.NDArray[Any], address: int, stream: int) -> None:
        """Enqueue the copy of GPU memory to a pinned array."""
        ...

    def record(self, event: int, stream: int) -> None:
        """Enqueue an event."""
        ...

    def wait(self, event: int) -> None:
        """Wait until an event has happened; other Python threads run meanwhile."""
        ...

    def capture(self, stream: int, work: Callable[[], None]) -> int:
        """Capture what `work` enqueues in a graph, without running it, and return the handle of the graph."""
        ...

    def launch(self, graph: int, stream: int) -> None:
        """Enqueue a captured graph."""
        ...

    def free_bytes(self) -> tuple[int, int]:
        """Return the free and the total memory of the GPU."""
        ...

    def close(self) -> None:
        """Free everything, and release the context; further calls do nothing."""
        ...


def open_device(backend: str, packages: Sequence[str] = tuple(BINDINGS)) -> Device:
    """Open the first GPU, and make its primary context this thread's.

    Args:
        backend: the backend that needs it, for messages.
        packages: of `BINDINGS`; the first installed one is used.

    Raises:
        BackendError: neither package is installed, it cannot be loaded, or the driver refuses.
    """
    for package in packages:
        if not _installed(package):
            continue
        try:
            made = importlib.import_module(f"hprnet_rt.backends.trt.{BINDINGS[package]}")
        except (ImportError, OSError, RuntimeError) as error:
            raise BackendError(f"{package} is installed but cannot be loaded: {error}") from error
        device: Device = made.open_device()
        return device
    raise BackendError(
        f"{backend} reaches the GPU through PyCUDA or cuda-python, and neither is installed: pip install "
        "cuda-python, or pip install pycuda where there is a CUDA toolkit to compile it with"
    )


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # raised where the parent package is missing
        return False


def too_little_memory(needed: int, free_and_total: tuple[int, int]) -> BackendError:
    """Return the error of a GPU that cannot allocate a number of bytes.

    Args:
        needed: bytes.
        free_and_total: bytes, as `Device.free_bytes` returns them.
    """
    free, total = (size / 2**20 for size in free_and_total)
    return BackendError(
        f"the GPU has too little memory: {needed / 2**20:.0f} MiB more are needed, {free:.0f} of {total:.0f} "
        "MiB are free; close other programs on it, or take a smaller --size or --batch"
    )
