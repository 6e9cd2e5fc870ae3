"""Any ONNX file on the libraries of the backends, for files whose outputs are not packed peaks."""

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

__all__ = ["dense_run", "onnxruntime_run", "openvino_run"]

ImageArray = npt.NDArray[np.uint8]
Run = Callable[[ImageArray], Sequence[npt.NDArray[np.float32]]]
"""Maps (N, H, W, 3) uint8 to the outputs of the file."""


def onnxruntime_run(path: Path, threads: int | None) -> Run:
    """Return a function that runs an ONNX file on ONNX Runtime in fp32."""
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
    """Return a function that runs an ONNX file on OpenVINO and copies its outputs."""
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


def dense_run(path: Path, like: Backend, input_hw: tuple[int, int], threads: int | None) -> Run:
    """Return a function that runs an ONNX file on the library and in the precision of a backend.

    Args:
        path: an ONNX file with dense maps as outputs.
        like: the backend.
        input_hw: size of the input.
        threads: of the library; all cores when None.

    Raises:
        UsageError: the backend's library cannot run the file.
    """
    if like.name == "onnxruntime":
        return onnxruntime_run(path, threads)
    if like.name == "openvino":
        return openvino_run(path, input_hw, threads, bf16="bf16" in like.description)
    raise UsageError(
        f"dense maps run on openvino and onnxruntime, not on {like.name}; use --backend openvino"
    )
