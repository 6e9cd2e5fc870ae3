"""Access to a GPU through PyCUDA."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy.typing as npt
import pycuda
import pycuda.driver as cuda

from hprnet_rt.backends.trt.device import too_little_memory
from hprnet_rt.backends.trt.driver import GraphDevice
from hprnet_rt.errors import BackendError

__all__ = ["open_device"]

_NON_BLOCKING: Final = 1  # CU_STREAM_NON_BLOCKING, which PyCUDA does not name


@contextmanager
def _request(what: str) -> Iterator[None]:
    """Turn PyCUDA's errors, which it raises for every status but success, into BackendError."""
    try:
        yield
    except cuda.Error as error:
        raise BackendError(f"the NVIDIA driver refused {what}: {error}") from error


class _PycudaDevice(GraphDevice):
    def __init__(self, context: Any, gpu: str) -> None:
        self.name = f"PyCUDA {pycuda.VERSION_TEXT}, {gpu}"
        self._context: Any = context
        self._pinned: list[Any] = []
        self._memory: list[Any] = []
        self._streams: dict[int, Any] = {}
        self._events: list[Any] = []

    def pinned(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        with _request("page-locked memory"):
            array: npt.NDArray[Any] = cuda.pagelocked_empty(shape, dtype)
        self._pinned.append(array.base)
        return array

    def memory(self, size: int) -> int:
        try:
            with _request("memory"):
                made = cuda.mem_alloc(size)
        except BackendError as error:
            if isinstance(error.__cause__, cuda.MemoryError):
                raise too_little_memory(size, self.free_bytes()) from error
            raise
        self._memory.append(made)
        return int(made)

    def stream(self) -> int:
        with _request("a stream"):
            made = cuda.Stream(_NON_BLOCKING)
        handle = int(made.handle)
        self._streams[handle] = made
        return handle

    def event(self) -> int:
        with _request("an event"):
            self._events.append(cuda.Event(cuda.event_flags.DISABLE_TIMING))
        return len(self._events) - 1

    def upload(self, address: int, source: npt.NDArray[Any], stream: int) -> None:
        with _request("a copy to the GPU"):
            cuda.memcpy_htod_async(address, source, self._streams[stream])

    def download(self, target: npt.NDArray[Any], address: int, stream: int) -> None:
        with _request("a copy from the GPU"):
            cuda.memcpy_dtoh_async(target, address, self._streams[stream])

    def record(self, event: int, stream: int) -> None:
        with _request("the record of an event"):
            self._events[event].record(self._streams[stream])

    def wait(self, event: int) -> None:
        with _request("to finish its work"):
            self._events[event].synchronize()

    def free_bytes(self) -> tuple[int, int]:
        with _request("to say how much memory is free"):
            free, total = cuda.mem_get_info()
        return int(free), int(total)

    def close(self) -> None:
        if self._context is None:
            return
        try:
            self.close_graphs()
            with _request("memory to be freed"):
                for made in (*reversed(self._memory), *reversed(self._pinned)):
                    made.free()
        finally:
            for owned in (self._memory, self._pinned, self._events, self._streams):
                owned.clear()  # which destroys them, while the context is current
            context, self._context = self._context, None
            context.pop()
            context.detach()


def open_device() -> _PycudaDevice:
    """Open the first GPU, and make its primary context this thread's.

    Raises:
        BackendError: the driver refuses, or has no GPU.
    """
    with _request("to start"):
        cuda.init()
        if not cuda.Device.count():
            raise BackendError("the NVIDIA driver has no GPU that this process may use")
        gpu = cuda.Device(0)
        context = gpu.retain_primary_context()
        context.push()
        return _PycudaDevice(context, gpu.name())
