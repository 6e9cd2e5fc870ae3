"""A made-up backend: the model file on ONNX Runtime once more, written against the interface alone."""

import onnxruntime

from hprnet_rt.backends.protocol import BackendRequest
from hprnet_rt.errors import BackendError
from hprnet_rt.types import Maps


class MadeUpBackend:
    name = "made-up"
    precision = "fp32"

    def __init__(self, request: BackendRequest) -> None:
        model_file = request.model_file
        self.spec, self.input_hw, self.max_batch = model_file.spec, request.input_hw, request.batch or 1
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = request.threads
        options.log_severity_level = 3
        providers = ["CPUExecutionProvider"]
        try:
            self._session = onnxruntime.InferenceSession(model_file.for_grouping(), options, providers)
        except Exception as error:
            raise BackendError(f"made-up cannot load {model_file.path}: {error}") from error
        self.gives_maps = len(self._session.get_outputs()) > 1
        self.description = "made up, CPU, fp32"

    def run(self, images):
        return self.run_with_maps(images)[0]

    def run_with_maps(self, images):
        if self._session is None:
            raise BackendError("made-up is closed")
        peaks, *maps = self._session.run(None, {"images": images})
        pairs = zip(*maps, strict=True) if maps else ()
        return peaks, [Maps(*pair) for pair in pairs] or [None] * len(images)

    def close(self):
        self._session = None


def create(request: BackendRequest) -> MadeUpBackend:
    return MadeUpBackend(request)
