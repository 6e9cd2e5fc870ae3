"""ONNX Runtime on the CPU, float32."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnxruntime

from hprnet_rt.backends.protocol import BackendRequest, refinement_text
from hprnet_rt.errors import BackendError
from hprnet_rt.types import Maps

__all__ = ["create"]

_ERRORS_ONLY = 3


class _OnnxRuntimeBackend:
    name = "onnxruntime"
    precision = "fp32"

    def __init__(self, request: BackendRequest) -> None:
        model_file = request.model_file
        self.spec = model_file.spec
        self.input_hw = request.input_hw
        self.max_batch = request.batch or 1
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = request.threads
        options.log_severity_level = _ERRORS_ONLY
        # a spinning thread would take the core that decoding and drawing need
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session: onnxruntime.InferenceSession | None = onnxruntime.InferenceSession(
                model_file.for_grouping(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the library raises bare RuntimeErrors of its own making
            raise BackendError(f"onnxruntime cannot load {model_file.path}: {error}") from error
        self.gives_maps = len(self._session.get_outputs()) > 1
        refined = refinement_text(self.spec, after_grouping=self.gives_maps)
        self.description = (
            f"ONNX Runtime {onnxruntime.__version__}, CPU, fp32, {request.threads} threads{refined}"
        )

    def run(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return self.run_with_maps(images)[0]

    def run_with_maps(
        self, images: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float32], list[Maps | None]]:
        if self._session is None:
            raise BackendError("the onnxruntime backend is closed")
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


def create(request: BackendRequest) -> _OnnxRuntimeBackend:
    """Compile the network; see `BackendModule`."""
    return _OnnxRuntimeBackend(request)
