"""What the TensorRT runtime asks of a GPU, and which package gives it: PyCUDA, or cuda-python without it."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import numpy.typing as npt

from hprnet_rt.errors import BackendError

__all__ = ["BINDINGS", "Device", "open_device", "too_little_memory"]

BINDINGS: Final = {"pycuda": "pycuda_device", "cuda.bindings": "cuda_python_device"}
"""Packages that reach a GPU, in order of preference -> module of this folder."""


class Device(Protocol):
    """Memory, streams, events and graphs of one GPU, in its primary context.

    Opened, used and closed by one thread. What it gives is its own, and lives until `close`.
    Every method raises BackendError with the driver's words when the driver refuses.

    Attributes:
        name: the package with its version, and the GPU.
    """

    name: str

    def pinned(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """An array in page-locked host memory, which the GPU copies from and to by itself."""
        ...

    def memory(self, size: int) -> int:
        """The address of so many bytes on the GPU."""
        ...

    def stream(self) -> int:
        """The handle of a stream of its own, which waits for no other."""
        ...

    def event(self) -> int:
        """The handle of an event, not recorded yet."""
        ...

    def upload(self, address: int, source: npt.NDArray[Any], stream: int) -> None:
        """Have a pinned array copied to the GPU, when the stream comes to it."""
        ...

    def download(self, target: npt.NDArray[Any], address: int, stream: int) -> None:
        """Have memory of the GPU copied to a pinned array, when the stream comes to it."""
        ...

    def record(self, event: int, stream: int) -> None:
        """Let an event happen when the stream comes to it."""
        ...

    def wait(self, event: int) -> None:
        """Wait until an event has happened; other threads of Python run meanwhile."""
        ...

    def capture(self, stream: int, work: Callable[[], None]) -> int:
        """The handle of a graph of all that `work` gives to the stream; nothing of it is done yet."""
        ...

    def launch(self, graph: int, stream: int) -> None:
        """Have a graph done, when the stream comes to it."""
        ...

    def free_bytes(self) -> tuple[int, int]:
        """Memory of the GPU: free, and all."""
        ...

    def close(self) -> None:
        """Free everything, and let go of the context; further calls do nothing."""
        ...


def open_device(backend: str, packages: Sequence[str] = tuple(BINDINGS)) -> Device:
    """The first GPU, whose primary context becomes this thread's.

    Args:
        backend: on whose behalf, for sentences.
        packages: of `BINDINGS`; the first one that is installed is taken.

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
    except ModuleNotFoundError:  # of the package around it
        return False


def too_little_memory(wanted: int, free_of: tuple[int, int]) -> BackendError:
    """The error of a GPU that cannot give so many bytes."""
    free, total = (size / 2**20 for size in free_of)
    return BackendError(
        f"the GPU has too little memory: {wanted / 2**20:.0f} MiB more are needed, {free:.0f} of {total:.0f} "
        "MiB are free; close other programs on it, or take a smaller --size or --batch"
    )
