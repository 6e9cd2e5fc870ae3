"""Any ONNX file on the libraries of the backends: what has other outputs than packed peaks."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hprnet_rt.backends import Backend
from hprnet_rt.errors import BackendError, UsageError

__all__ = ["dense_engine", "onnxruntime_run", "openvino_run"]

ImageArray = npt.NDArray[np.uint8]
Run = Callable[[ImageArray], Sequence[npt.NDArray[np.float32]]]
"""(1, H, W, 3) uint8 -> the outputs."""


def onnxruntime_run(path: Path, threads: int | None) -> Run:
    """On ONNX Runtime, fp32."""
    runtime: Any = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or os.cpu_count() or 1
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(images: ImageArray) -> Sequence[npt.NDArray[np.float32]]:
        try:
            outputs: Sequence[npt.NDArray[np.float32]] = session.run(None, {"images": images})
        except Exception as error:  # the library has no base class of its own
            raise BackendError(f"onnxruntime failed on {len(images)} images: {error}") from error
        return outputs

    return run


def openvino_run(
    path: Path, input_hw: tuple[int, int], threads: int | None, *, bf16: bool, batch: int = 1
) -> Run:
    """On OpenVINO, the outputs copied to arrays of their own."""
    backend: Any = importlib.import_module("hprnet_rt.backends.openvino")
    core = backend.reader()
    model = core.read_model(path)
    model.reshape({0: [batch, *input_hw, 3]})
    options = {
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
        "INFERENCE_NUM_THREADS": threads or os.cpu_count() or 1,
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,
    }
    request = core.compile_model(model, "CPU", options).create_infer_request()

    def run(images: ImageArray) -> Sequence[npt.NDArray[np.float32]]:
        try:
            request.infer({0: images}, share_inputs=True)
        except RuntimeError as error:
            raise BackendError(f"openvino failed on {len(images)} images: {error}") from error
        return [output.data.copy() for output in request.output_tensors]

    return run


def dense_engine(path: Path, like: Backend, input_hw: tuple[int, int], threads: int | None) -> Run:
    """An ONNX file with other outputs on the library and in the precision of a backend.

    Raises:
        UsageError: that backend cannot take it.
    """
    if like.name == "onnxruntime":
        return onnxruntime_run(path, threads)
    if like.name == "openvino":
        return openvino_run(path, input_hw, threads, bf16="bf16" in like.description)
    raise UsageError(
        f"dense maps run on openvino and onnxruntime, not on {like.name}; use --backend openvino"
    )
