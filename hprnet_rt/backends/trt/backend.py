"""TensorRT and TensorRT-RTX as a backend: one thread owns the GPU's context, and callers pass it batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from hprnet_rt.backends.built_engine import BuiltEngine
from hprnet_rt.backends.protocol import BackendRequest, refinement_text
from hprnet_rt.backends.slots import Slots
from hprnet_rt.backends.trt.device import open_device
from hprnet_rt.backends.trt.library import load_library
from hprnet_rt.backends.trt.session import TrtSession
from hprnet_rt.errors import BackendError

__all__ = ["create"]

ImageArray = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]
T = TypeVar("T")

_USUAL_BATCH = 8
_RUNTIME_CACHE = {"tensorrt-rtx": ".kernels"}  # suffix beside the engine


class _TensorRtBackend:
    def __init__(self, request: BackendRequest, engine: BuiltEngine, library: Any) -> None:
        recipe = engine.recipe
        least, most = recipe.batch
        wished = min(most, _USUAL_BATCH) if request.batch is None else request.batch
        self.name = recipe.backend
        self.precision = recipe.precision
        self.spec = request.model_file.spec
        self.input_hw = request.input_hw
        self.max_batch = max(least, wished)
        self._shape = (self.max_batch, *request.input_hw, 3)
        self._owner = ThreadPoolExecutor(1, thread_name_prefix="hprnet-gpu")
        self._session: TrtSession | None = None
        self._slots = Slots()
        try:
            self.description = self._owner.submit(self._open, engine, library).result()
        except BaseException:
            self._owner.shutdown()
            raise

    def _open(self, engine: BuiltEngine, library: Any) -> str:
        """Open the session and return the description; runs on the owning thread."""
        recipe = engine.recipe
        device = open_device(recipe.backend)
        suffix = _RUNTIME_CACHE.get(recipe.backend)
        cache = engine.path.with_suffix(suffix) if suffix else None
        self._session = TrtSession(library, device, engine.path, self._shape, cache)
        graph = "CUDA graph" if self._session.has_graph else "no CUDA graph"
        name = {"tensorrt": "TensorRT", "tensorrt-rtx": "TensorRT-RTX"}[recipe.backend]
        batch = f", {self.max_batch} images at a time" if self.max_batch > 1 else ""
        refined = refinement_text(self.spec, after_grouping=False)
        return f"{name} {recipe.library_version}, {device.name}, {recipe.precision}, {graph}{batch}{refined}"

    def run(self, images: ImageArray) -> FloatArray:
        return self.submit([images])()

    def submit(self, images: Sequence[ImageArray]) -> Callable[[], FloatArray]:
        return self._slots.submit(
            images,
            self.max_batch,
            start=lambda slot: self._on_owner(lambda session: session.start(slot, images)),
            finish=lambda slot, count: self._on_owner(lambda session: session.finish(slot, count)),
        )

    def _on_owner(self, work: Callable[[TrtSession], T]) -> T:
        def task() -> T:
            if self._session is None:
                raise BackendError(f"the {self.name} backend is closed")
            return work(self._session)

        try:
            promised = self._owner.submit(task)
        except RuntimeError as error:  # its thread has ended
            raise BackendError(f"the {self.name} backend is closed") from error
        return promised.result()

    def close(self) -> None:
        def close() -> None:
            session, self._session = self._session, None
            if session is not None:
                session.close()

        if self._session is not None:
            self._owner.submit(close).result()
        self._owner.shutdown()


def create(request: BackendRequest) -> _TensorRtBackend:
    """Load the built engine of a request, which is for its size and batch; see `BackendModule`.

    Without a batch size it takes 8 images at a time, within what the engine takes.

    Raises:
        BackendError: a library is missing or refuses, or the GPU has too little memory.
    """
    assert request.engine is not None
    return _TensorRtBackend(request, request.engine, load_library(request.engine.recipe.backend))
