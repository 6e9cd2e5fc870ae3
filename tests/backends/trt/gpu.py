"""A GPU and a TensorRT library that are not there: streams that work late, and a network that takes means.

What is given to a stream is done when an event on it is waited for, as late as is allowed: whoever reads a
result too early, or writes over an input too early, gets wrong numbers.
"""

import threading
from collections import Counter

import numpy as np

from hprnet_rt.errors import BackendError

K, WIDTH = 2, 3


def peaks_of(image):
    """What the network makes of an image (H, W, 3)."""
    return np.full((K, WIDTH), image.astype(np.float32).mean(), np.float32)


class FakeDevice:
    """See `Device`; counts what is asked of it, and by whom."""

    name = "a fake GPU"

    def __init__(self, memory_bytes=1 << 30):
        self.counts, self.threads = Counter(), set()
        self.left = self.all = memory_bytes
        self.buffers, self.streams, self.events, self.graphs = {}, {}, {}, {}
        self.capturing, self.closed = None, 0

    def _called(self, what):
        assert not self.closed, f"{what} after close"
        self.counts[what] += 1
        self.threads.add(threading.get_ident())

    def give(self, stream, work):
        if self.capturing is not None:
            self.capturing.append(work)
        else:
            self.streams[stream].append(work)

    def pinned(self, shape, dtype):
        self._called("pinned")
        return np.full(shape, 77, dtype)

    def memory(self, size):
        self._called("memory")
        if size > self.left:
            raise BackendError("the GPU has too little memory")
        self.left -= size
        address = 1000 + len(self.buffers)
        self.buffers[address] = None
        return address

    def stream(self):
        self._called("stream")
        self.streams[len(self.streams) + 1] = []
        return len(self.streams)

    def event(self):
        self._called("event")
        return self.counts["event"]

    def upload(self, address, source, stream):
        self._called("upload")
        self.give(stream, lambda: self.buffers.update({address: source.copy()}))

    def download(self, target, address, stream):
        self._called("download")
        self.give(stream, lambda: np.copyto(target, self.buffers[address]))

    def record(self, event, stream):
        self._called("record")
        self.events[event] = (stream, len(self.streams[stream]))

    def wait(self, event):
        self._called("wait")
        stream, count = self.events[event]
        work, self.streams[stream] = self.streams[stream][:count], self.streams[stream][count:]
        for each in work:
            each()
        self.events[event] = (stream, 0)

    def capture(self, stream, work):
        self._called("capture")
        self.capturing = []
        work()
        graph = len(self.graphs) + 1
        self.graphs[graph], self.capturing = self.capturing, None
        return graph

    def launch(self, graph, stream):
        self._called("launch")
        self.streams[stream] += self.graphs[graph]

    def free_bytes(self):
        return self.left, self.all

    def close(self):
        if not self.closed:
            self._called("close")
        self.closed += 1


class FakeLibrary:
    """The Python API of TensorRT, as far as it is used, over a `FakeDevice`.

    Args:
        device: where engines run.
        refuses: the name of a call that reports failure in its own way.
        capturable: None where the library does not say.
    """

    __name__, __version__ = "tensorrt", "10.9"

    class ILogger:
        ERROR, INTERNAL_ERROR = 1, 0

    class DynamicShapesKernelSpecializationStrategy:
        EAGER = "eager"

    def __init__(self, device, *, refuses="", capturable=None):
        self.device, self.refuses, self.capturable = device, refuses, capturable
        self.engines = self.contexts = self.alive = self.runs = 0
        self.read, self.kernels = [], b"kernels"

    def fails(self, call):
        return call == self.refuses

    def Runtime(self, log):  # noqa: N802
        self.log = log
        if self.fails("Runtime"):
            log.log(self.ILogger.ERROR, "CUDA initialization failure\n with error: 35")
            raise TypeError("factory function returned nullptr")
        return _Runtime(self)


class _Alive:
    def __init__(self, library):
        self.library = library
        library.alive += 1

    def __del__(self):
        assert not self.library.device.closed, f"{type(self).__name__} outlived its context"
        self.library.alive -= 1


class _Runtime(_Alive):
    def deserialize_cuda_engine(self, blob):
        self.library.read.append(blob)
        if self.library.fails("deserialize_cuda_engine"):
            self.library.log.log(1, "The engine plan file was made by another version: 10.3")
            return None
        return _Engine(self.library)


class _Engine(_Alive):
    def create_runtime_config(self):
        return _RuntimeConfig(self.library)

    def create_execution_context(self, config=None):
        if self.library.fails("create_execution_context"):
            self.library.log.log(1, "Requested amount of GPU memory could not be allocated: out of memory")
            return None
        self.library.contexts += 1
        return _Context(self.library, config)


class _RuntimeConfig:
    dynamic_shapes_kernel_specialization_strategy = None

    def __init__(self, library):
        self.library = library

    def create_runtime_cache(self):
        return _RuntimeCache(self.library)

    def set_runtime_cache(self, cache):
        return not self.library.fails("set_runtime_cache")


class _RuntimeCache:
    def __init__(self, library):
        self.library, self.held = library, None

    def deserialize(self, blob):
        accepted = blob == self.library.kernels
        self.held = blob if accepted else None
        self.library.read.append((blob, accepted))
        return accepted

    def serialize(self):
        return self.library.kernels


class _Context(_Alive):
    def __init__(self, library, config):
        super().__init__(library)
        self.config, self.addresses, self.shape = config, {}, None
        if library.capturable is not None:
            self.is_stream_capturable = lambda stream: library.capturable

    def set_input_shape(self, name, shape):
        assert name == "images"
        self.shape = shape
        return not self.library.fails("set_input_shape")

    def get_tensor_shape(self, name):
        assert name == "peaks"
        return (-1 if self.library.fails("get_tensor_shape") else self.shape[0], K, WIDTH)

    def set_tensor_address(self, name, address):
        self.addresses[name] = address
        return not self.library.fails("set_tensor_address")

    def execute_async_v3(self, stream):
        device, addresses, shape = self.library.device, dict(self.addresses), self.shape
        self.library.runs += 1

        def work():
            images = device.buffers[addresses["images"]]
            assert images.shape == shape
            device.buffers[addresses["peaks"]] = np.stack([peaks_of(image) for image in images])

        device.give(stream, work)
        return not self.library.fails("execute_async_v3")
