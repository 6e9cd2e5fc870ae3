"""ONNX Runtime on the CPU, float32."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt
import onnxruntime

from hprnet_rt.backends.model_file import ModelFile
from hprnet_rt.backends.protocol import refined_where
from hprnet_rt.errors import BackendError, UsageError
from hprnet_rt.types import Maps

__all__ = ["create"]

_ERRORS_ONLY = 3


class _OnnxRuntimeBackend:
    name = "onnxruntime"
    precision = "fp32"

    def __init__(self, engine: ModelFile, input_hw: tuple[int, int], threads: int, batch: int) -> None:
        self.spec = engine.spec
        self.input_hw = input_hw
        self.max_batch = batch
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = _ERRORS_ONLY
        # a thread that spins while it waits takes the core that decoding and drawing need
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session: onnxruntime.InferenceSession | None = onnxruntime.InferenceSession(
                engine.for_grouping(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the library raises bare RuntimeErrors of its own making
            raise BackendError(f"onnxruntime cannot load {engine.path}: {error}") from error
        self.gives_maps = len(self._session.get_outputs()) > 1
        refined = refined_where(self.spec, self.gives_maps)
        self.description = f"ONNX Runtime {onnxruntime.__version__}, CPU, fp32, {threads} threads{refined}"

    def run(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return self.run_with_maps(images)[0]

    def run_with_maps(
        self, images: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float32], list[Maps | None]]:
        if self._session is None:
            raise BackendError("the onnxruntime engine is closed")
        try:
            peaks, *rest = self._session.run(None, {"images": images})
        except Exception as error:
            raise BackendError(f"onnxruntime failed on a frame: {error}") from error
        maps: list[Maps | None] = [None] * len(images)
        if rest:
            maps = [Maps(features, local) for features, local in zip(*rest, strict=True)]
        return peaks, maps

    def close(self) -> None:
        self._session = None


def create(
    engine: ModelFile, input_hw: tuple[int, int], precision: str, threads: int | None, batch: int = 1
) -> _OnnxRuntimeBackend:
    """See `create_backend`."""
    if precision not in ("auto", "fp32"):
        raise UsageError(
            f"onnxruntime runs this network in fp32 only, not {precision}; use --backend openvino"
        )
    return _OnnxRuntimeBackend(engine, input_hw, threads or os.cpu_count() or 1, batch)
