"""A built engine on a GPU: buffers allocated once, and a CUDA graph captured once, then replayed.

The graph of a slot holds all the steps of a batch: the copy to the GPU, the network, the copy back. There are
two slots, each with its own stream, buffers and execution context, so that one batch is copied while the
network works on the other.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hprnet_rt.backends.slots import SLOTS
from hprnet_rt.backends.trt.device import Device
from hprnet_rt.backends.trt.library import error_log, library_text
from hprnet_rt.errors import BackendError

__all__ = ["TrtSession"]

_log = logging.getLogger(__name__)

_IMAGES, _PEAKS = "images", "peaks"  # tensor names, given by the export
_CHANNELS: Final = 3


class _Slot:
    """The buffers, stream and context of one batch in progress. Addresses are in the memory of the GPU."""

    def __init__(self, context: Any) -> None:
        self.context = context
        self.graph: int | None = None
        self.busy = False

    def make_buffers(self, device: Device, shape: tuple[int, int, int, int]) -> None:
        """Allocate everything for images of a shape, which the context has been given."""
        self.stream = device.stream()
        self.done = device.event()
        self.images = device.pinned(shape, np.uint8)
        self.images_at = device.memory(self.images.nbytes)
        peaks_shape = tuple(int(side) for side in self.context.get_tensor_shape(_PEAKS))
        if len(peaks_shape) != 3 or min(peaks_shape) < 1:
            raise BackendError(f"the engine gives peaks of shape {peaks_shape}, not (N, K, width)")
        self.peaks = device.pinned(peaks_shape, np.float32)
        self.peaks_at = device.memory(self.peaks.nbytes)


class TrtSession:
    """An engine loaded for batches of one size. One thread opens, uses and closes it.

    Args:
        library: from `load_library`.
        device: this thread's; it is closed with the session.
        engine: the engine's file.
        shape: (N, H, W, 3) of `images`, within the sizes that the engine was built for.
        runtime_cache: the file in which TensorRT-RTX keeps its kernels for this GPU between runs.

    Raises:
        BackendError: the library refuses the engine, or the GPU has too little memory.
    """

    def __init__(
        self,
        library: Any,
        device: Device,
        engine: Path,
        shape: tuple[int, int, int, int],
        runtime_cache: Path | None = None,
    ) -> None:
        self._library, self._device = library, device
        self._kernels: Any = None
        self._kernels_path = runtime_cache
        self._log = error_log(library)
        self._slots: list[_Slot] = []
        self._runtime: Any = None
        self._engine: Any = None
        try:
            self._load(engine, shape)
        except BaseException:
            self.close()
            raise

    @property
    def has_graph(self) -> bool:
        """Whether a CUDA graph is replayed; the library may let none be captured."""
        return all(slot.graph is not None for slot in self._slots)

    def start(self, number: int, images: Sequence[npt.NDArray[np.uint8]]) -> None:
        """Begin a batch on the GPU, and return at once.

        Args:
            number: of a free slot.
            images: (n, H, W, 3) each, at most N images in all.
        """
        slot, first = self._slots[number], 0
        slot.busy = True
        for part in images:
            slot.images[first : first + len(part)] = part
            first += len(part)
        if slot.graph is None:
            self._enqueue(slot)
        else:
            self._device.launch(slot.graph, slot.stream)
        self._device.record(slot.done, slot.stream)

    def finish(self, number: int, count: int) -> npt.NDArray[np.float32]:
        """Wait for a slot, and return its first `count` results, (count, K, width); the caller owns them."""
        slot = self._slots[number]
        self._device.wait(slot.done)
        slot.busy = False
        result: npt.NDArray[np.float32] = slot.peaks[:count].copy()
        return result

    def close(self) -> None:
        """Wait for batches in progress, and free everything, the device too; further calls do nothing."""
        for slot in self._slots:
            if slot.busy:
                with contextlib.suppress(BackendError):  # a GPU that has failed has nothing in progress
                    self._device.wait(slot.done)
            slot.context = None  # contexts before their engine, the engine before its runtime
        self._slots.clear()
        self._kernels = self._engine = self._runtime = None
        self._device.close()

    def _load(self, engine: Path, shape: tuple[int, int, int, int]) -> None:
        try:
            self._runtime = self._library.Runtime(self._log)
        except TypeError as error:  # the binding raises it where there is no runtime
            raise self._refusal("cannot start") from error
        try:
            blob = engine.read_bytes()
        except OSError as error:
            raise BackendError(f"{engine} cannot be read: {error.strerror or error}") from error
        self._engine = self._runtime.deserialize_cuda_engine(blob)
        if self._engine is None:
            raise self._refusal(f"cannot load {engine.name}")
        for _ in range(SLOTS):
            self._slots.append(_Slot(self._context()))
            self._set_up(self._slots[-1], shape)
            self._capture(self._slots[-1])
        self._keep_kernels()

    def _set_up(self, slot: _Slot, shape: tuple[int, int, int, int]) -> None:
        if slot.context is None:
            raise self._refusal("cannot make room for the network's maps on the GPU")
        if not slot.context.set_input_shape(_IMAGES, shape):
            raise self._refusal(f"does not take images of shape {shape}")
        slot.make_buffers(self._device, shape)
        for name, address in ((_IMAGES, slot.images_at), (_PEAKS, slot.peaks_at)):
            if not slot.context.set_tensor_address(name, address):
                raise self._refusal(f"does not take the buffer for {name}")

    def _context(self) -> Any:
        """Return an execution context; TensorRT-RTX loads kernels of earlier runs, and compiles others."""
        if self._kernels_path is None:
            return self._engine.create_execution_context()
        config = self._engine.create_runtime_config()
        if self._kernels is None:
            self._kernels = config.create_runtime_cache()
            if self._kernels_path.is_file() and not self._kernels.deserialize(
                self._kernels_path.read_bytes()
            ):
                _log.info("%s is of another GPU, driver or library; made again", self._kernels_path.name)
        if not config.set_runtime_cache(self._kernels):
            raise self._refusal("does not take its runtime cache")
        strategies = self._library.DynamicShapesKernelSpecializationStrategy
        config.dynamic_shapes_kernel_specialization_strategy = strategies.EAGER
        return self._engine.create_execution_context(config)

    def _capture(self, slot: _Slot) -> None:
        """Run once, which the library needs before a capture; then capture, where the library can."""
        slot.images[...] = 0
        self._enqueue(slot)
        self._device.record(slot.done, slot.stream)
        self._device.wait(slot.done)
        is_capturable = getattr(slot.context, "is_stream_capturable", None)
        if is_capturable is None or is_capturable(slot.stream):
            slot.graph = self._device.capture(slot.stream, lambda: self._enqueue(slot))

    def _enqueue(self, slot: _Slot) -> None:
        self._device.upload(slot.images_at, slot.images, slot.stream)
        if not slot.context.execute_async_v3(slot.stream):
            raise self._refusal("cannot run the engine")
        self._device.download(slot.peaks, slot.peaks_at, slot.stream)

    def _keep_kernels(self) -> None:
        if self._kernels is None or self._kernels_path is None:
            return
        made = bytes(self._kernels.serialize())
        try:
            if not self._kernels_path.is_file() or self._kernels_path.read_bytes() != made:
                self._kernels_path.write_bytes(made)
        except OSError as error:
            _log.warning("%s cannot be written (%s): the next start is slower", self._kernels_path, error)

    def _refusal(self, what: str) -> BackendError:
        reason = self._log.message or "it gives no reason"
        free, total = (size / 2**20 for size in self._device.free_bytes())
        name = library_text(self._library)
        return BackendError(f"{name} {what}: {reason} ({free:.0f} of {total:.0f} MiB are free on the GPU)")
