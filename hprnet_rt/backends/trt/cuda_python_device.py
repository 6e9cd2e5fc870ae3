"""Access to a GPU through cuda-python, which installs without a compiler."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from cuda import bindings
from cuda.bindings import driver

from hprnet_rt.backends.trt.device import too_little_memory
from hprnet_rt.backends.trt.driver import GraphDevice
from hprnet_rt.errors import BackendError

__all__ = ["open_device"]


def _ask(function: str, *arguments: Any) -> Any:
    """Call a function of the driver, and return its results without the status.

    Raises:
        BackendError: the status is not success, or the driver's library cannot be loaded.
    """
    try:
        status, *values = getattr(driver, function)(*arguments)
    except RuntimeError as error:
        raise BackendError(f"the NVIDIA driver cannot be used: {error}") from error
    if status != driver.CUresult.CUDA_SUCCESS:
        _, text = driver.cuGetErrorString(status)
        message = text.decode(errors="replace") if text else status
        raise BackendError(f"the NVIDIA driver refused {function}: {message}")
    return values[0] if len(values) == 1 else tuple(values)


class _CudaPythonDevice(GraphDevice):
    def __init__(self, gpu: Any) -> None:
        name = _ask("cuDeviceGetName", 256, gpu).split(b"\0")[0].decode(errors="replace")
        self.name = f"cuda-python {bindings.__version__}, {name}"
        self._gpu: Any = gpu
        self._made: list[tuple[str, Any]] = []  # the function that destroys it, and its handle
        _ask("cuCtxPushCurrent", _ask("cuDevicePrimaryCtxRetain", gpu))

    def pinned(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        size = math.prod(shape) * np.dtype(dtype).itemsize
        address = int(_ask("cuMemHostAlloc", size, 0))
        self._made.append(("cuMemFreeHost", address))
        room = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))
        array: npt.NDArray[Any] = room.view(dtype).reshape(shape)
        return array

    def memory(self, size: int) -> int:
        status, address = driver.cuMemAlloc(size)
        if status == driver.CUresult.CUDA_ERROR_OUT_OF_MEMORY:
            raise too_little_memory(size, self.free_bytes())
        if status != driver.CUresult.CUDA_SUCCESS:
            raise BackendError(f"the NVIDIA driver refused memory: {status}")
        self._made.append(("cuMemFree", address))
        return int(address)

    def stream(self) -> int:
        made = _ask("cuStreamCreate", driver.CUstream_flags.CU_STREAM_NON_BLOCKING.value)
        self._made.append(("cuStreamDestroy", made))
        return int(made)

    def event(self) -> int:
        made = _ask("cuEventCreate", driver.CUevent_flags.CU_EVENT_DISABLE_TIMING.value)
        self._made.append(("cuEventDestroy", made))
        return int(made)

    def upload(self, address: int, source: npt.NDArray[Any], stream: int) -> None:
        _ask("cuMemcpyHtoDAsync", address, source.ctypes.data, source.nbytes, stream)

    def download(self, target: npt.NDArray[Any], address: int, stream: int) -> None:
        _ask("cuMemcpyDtoHAsync", target.ctypes.data, address, target.nbytes, stream)

    def record(self, event: int, stream: int) -> None:
        _ask("cuEventRecord", event, stream)

    def wait(self, event: int) -> None:
        _ask("cuEventSynchronize", event)

    def free_bytes(self) -> tuple[int, int]:
        free, total = _ask("cuMemGetInfo")
        return int(free), int(total)

    def close(self) -> None:
        if self._gpu is None:
            return
        try:
            self.close_graphs()
            while self._made:
                _ask(*self._made.pop())
        finally:
            gpu, self._gpu = self._gpu, None
            _ask("cuCtxPopCurrent")
            _ask("cuDevicePrimaryCtxRelease", gpu)


def open_device() -> _CudaPythonDevice:
    """Open the first GPU, and make its primary context this thread's.

    Raises:
        BackendError: the driver refuses, or has no GPU.
    """
    _ask("cuInit", 0)
    if not _ask("cuDeviceGetCount"):
        raise BackendError("the NVIDIA driver has no GPU that this process may use")
    return _CudaPythonDevice(_ask("cuDeviceGet", 0))
