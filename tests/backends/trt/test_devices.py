"""PyCUDA and cuda-python as they are asked, with modules in their place that write down what happens."""

import ctypes
import importlib
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from hprnet_rt.backends.trt import device as devices
from hprnet_rt.backends.trt import driver
from hprnet_rt.backends.trt.driver import Graphs
from hprnet_rt.errors import BackendError

CAPTURED = ["cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags"]


class Driver:
    """libcuda: every function succeeds, but for those in `refuses`."""

    def __init__(self, refuses=()):
        self.refuses, self.called = refuses, []

    def __getattr__(self, name):
        def call(*arguments):
            self.called.append(name)
            if name == "cuGetErrorString":
                arguments[1]._obj.value = b"operation not permitted when stream is capturing"
            elif name == "cuStreamEndCapture":
                arguments[1]._obj.value = 71
            elif name == "cuGraphInstantiateWithFlags":
                arguments[0]._obj.value = 72
            elif name == "cuGraphLaunch":
                assert [each.value for each in arguments] == [72, 5]
            return 900 if name in self.refuses else 0

        return call


def test_a_graph_is_captured_launched_and_freed_once():
    cuda, order = Driver(), []
    graphs = Graphs(cuda)
    graph = graphs.capture(5, lambda: order.append(list(cuda.called)))
    assert order == [CAPTURED[:1]]
    assert cuda.called == CAPTURED
    graphs.launch(graph, 5)
    graphs.launch(graph, 5)
    graphs.close()
    graphs.close()
    assert cuda.called[3:] == ["cuGraphLaunch"] * 2 + ["cuGraphExecDestroy", "cuGraphDestroy"]


@pytest.mark.parametrize("function", [*CAPTURED, "cuGraphLaunch"])
def test_what_the_driver_refuses_is_a_sentence_in_its_words(function):
    cuda = Driver(refuses=(function,))
    graphs = Graphs(cuda)
    with pytest.raises(BackendError, match=f"refused {function}: operation not permitted .*status 900"):
        graphs.launch(graphs.capture(5, lambda: None), 5)
    if function == "cuGraphInstantiateWithFlags":
        assert cuda.called[-1] == "cuGraphDestroy"


def test_a_capture_that_fails_inside_ends_the_capture():
    cuda = Driver()

    def work():
        raise BackendError("cannot run the engine")

    with pytest.raises(BackendError, match="cannot run the engine"):
        Graphs(cuda).capture(5, work)
    assert cuda.called[1:] == ["cuStreamEndCapture", "cuGraphDestroy"]


def test_no_driver_is_a_sentence(monkeypatch):
    monkeypatch.setattr(driver, "_LIBRARIES", ("libnothing.so.0",))
    with pytest.raises(BackendError, match=r"cannot be loaded \(looked for libnothing"):
        Graphs()


class Freed:
    """An allocation that writes down that it was freed."""

    def __init__(self, name, log, value=0):
        self.name, self.log, self.value = name, log, value

    def free(self):
        self.log.append(f"free {self.name}")

    def __int__(self):
        return self.value

    def __del__(self):
        if self.name in ("stream", "event"):
            self.log.append(f"destroy {self.name}")


class Pinned(np.ndarray):
    base = None


def fake_pycuda(log, *, gpus=1, memory=1 << 20, starts=True):
    """`pycuda` and `pycuda.driver`, and nothing that they do."""
    cuda = types.ModuleType("pycuda.driver")
    cuda.Error = type("Error", (Exception,), {})
    cuda.MemoryError = type("MemoryError", (cuda.Error,), {})

    def init():
        log.append("init")
        if not starts:
            raise cuda.Error("cuInit failed: system has unsupported display driver / cuda driver combination")

    class Context:
        def push(self):
            log.append("push")

        def pop(self):
            log.append("pop")

        def detach(self):
            log.append("detach")

    class Device:
        def __init__(self, number):
            assert number == 0

        @staticmethod
        def count():
            return gpus

        def name(self):
            return "NVIDIA H200"

        def retain_primary_context(self):
            log.append("retain")
            return Context()

    def pagelocked_empty(shape, dtype):
        array = np.zeros(shape, dtype).view(Pinned)
        array.base = Freed("pinned", log)
        return array

    def mem_alloc(size):
        if size > memory:
            raise cuda.MemoryError("cuMemAlloc failed: out of memory")
        return Freed("memory", log, 4096)

    class Stream(Freed):
        handle = 5

        def __init__(self, flags):
            super().__init__("stream", log)
            log.append(f"stream {flags}")

    class Event(Freed):
        def __init__(self, flags):
            super().__init__("event", log)
            log.append(f"event {flags}")

        def record(self, stream):
            log.append(f"record {stream.handle}")

        def synchronize(self):
            log.append("synchronize")

    def htod(address, source, stream):
        log.append(f"htod {address} {source.nbytes} {stream.handle}")

    def dtoh(target, address, stream):
        log.append(f"dtoh {address} {target.nbytes} {stream.handle}")

    vars(cuda).update(
        init=init,
        Device=Device,
        pagelocked_empty=pagelocked_empty,
        mem_alloc=mem_alloc,
        mem_get_info=lambda: (memory, 2 * memory),
        Stream=Stream,
        Event=Event,
        event_flags=types.SimpleNamespace(DISABLE_TIMING=2),
        memcpy_htod_async=htod,
        memcpy_dtoh_async=dtoh,
    )
    package = types.ModuleType("pycuda")
    package.VERSION_TEXT, package.driver = "2025.1", cuda
    return {"pycuda": package, "pycuda.driver": cuda}


STATUS = types.SimpleNamespace(CUDA_SUCCESS=0, CUDA_ERROR_OUT_OF_MEMORY=2)


def fake_cuda_python(log, *, gpus=1, memory=1 << 20, starts=True):
    """`cuda.bindings.driver`: functions that return a status first."""
    driver_module = types.ModuleType("cuda.bindings.driver")
    rooms = []

    def call(name, *arguments):
        if name == "cuInit" and not starts:
            return (100,)
        if name == "cuGetErrorString":
            return 0, b"no CUDA-capable device is detected"
        if name == "cuMemAlloc" and arguments[0] > memory:
            return STATUS.CUDA_ERROR_OUT_OF_MEMORY, 0
        log.append(name)
        gives = {
            "cuDeviceGetCount": gpus,
            "cuDeviceGet": 0,
            "cuDeviceGetName": b"NVIDIA H200\0\0",
            "cuDevicePrimaryCtxRetain": 3,
            "cuCtxPopCurrent": 3,
            "cuMemAlloc": 4096,
            "cuStreamCreate": 5,
            "cuEventCreate": 6,
        }
        if name == "cuMemHostAlloc":
            rooms.append(ctypes.create_string_buffer(arguments[0]))
            return 0, ctypes.addressof(rooms[-1])
        if name == "cuMemGetInfo":
            return 0, memory, 2 * memory
        return (0, gives[name]) if name in gives else (0,)

    driver_module.__getattr__ = lambda name: lambda *arguments: call(name, *arguments)
    driver_module.CUresult = STATUS
    flag = types.SimpleNamespace(value=1)
    driver_module.CUstream_flags = types.SimpleNamespace(CU_STREAM_NON_BLOCKING=flag)
    driver_module.CUevent_flags = types.SimpleNamespace(CU_EVENT_DISABLE_TIMING=flag)
    package, bindings = types.ModuleType("cuda"), types.ModuleType("cuda.bindings")
    package.bindings, bindings.driver, bindings.__version__ = bindings, driver_module, "13.0"
    return {"cuda": package, "cuda.bindings": bindings, "cuda.bindings.driver": driver_module}


KINDS = {"pycuda": fake_pycuda, "cuda.bindings": fake_cuda_python}


@pytest.fixture(params=KINDS)
def opened(request, monkeypatch):
    """A function that opens a device over fake modules, and the log of what they are asked."""
    module = f"hprnet_rt.backends.trt.{devices.BINDINGS[request.param]}"
    log = []

    def open_(**options):
        for name, fake in KINDS[request.param](log, **options).items():
            monkeypatch.setitem(sys.modules, name, fake)
        monkeypatch.delitem(sys.modules, module, raising=False)
        monkeypatch.setattr(devices, "_installed", lambda package: package == request.param)
        return devices.open_device("tensorrt")

    yield open_, log
    sys.modules.pop(module, None)
    parent = importlib.import_module("hprnet_rt.backends.trt")
    vars(parent).pop(module.rpartition(".")[2], None)


def test_the_primary_context_is_pushed_and_let_go_of_after_all_is_freed(opened):
    open_, log = opened
    device = open_()
    assert "NVIDIA H200" in device.name
    stream, event = device.stream(), device.event()
    host, address = device.pinned((2, 3), np.float32), device.memory(24)
    assert (host.shape, host.dtype) == ((2, 3), np.float32)
    device.upload(address, host, stream)
    device.download(host, address, stream)
    device.record(event, stream)
    device.wait(event)
    host[...] = 1.0
    work, log[:] = list(log), []
    device.close()
    device.close()
    calls = " ".join(log)
    if "init" in work:  # PyCUDA
        assert work[:3] == ["init", "retain", "push"]
        assert work[-4:] == ["htod 4096 24 5", "dtoh 4096 24 5", "record 5", "synchronize"]
        assert log[-2:] == ["pop", "detach"]
        assert sorted(log[:-2]) == ["destroy event", "destroy stream", "free memory", "free pinned"]
    else:
        assert work.index("cuDevicePrimaryCtxRetain") + 1 == work.index("cuCtxPushCurrent")
        assert work[-4:] == ["cuMemcpyHtoDAsync", "cuMemcpyDtoHAsync", "cuEventRecord", "cuEventSynchronize"]
        assert log[-2:] == ["cuCtxPopCurrent", "cuDevicePrimaryCtxRelease"]
        assert calls.startswith("cuMemFree cuMemFreeHost cuEventDestroy cuStreamDestroy")


def test_graphs_go_through_the_driver_and_are_freed_with_the_device(opened, monkeypatch):
    open_, _ = opened
    cuda = Driver()
    monkeypatch.setattr(driver, "_load", lambda: cuda)
    device = open_()
    device.launch(device.capture(device.stream(), lambda: None), 5)
    device.close()
    assert cuda.called == [*CAPTURED, "cuGraphLaunch", "cuGraphExecDestroy", "cuGraphDestroy"]


def test_too_little_memory_says_what_is_needed_and_what_is_free(opened):
    open_, _ = opened
    device = open_(memory=64 << 20)
    with pytest.raises(BackendError, match=r"256 MiB more are needed, 64 of 128 MiB are free") as raised:
        device.memory(256 << 20)
    assert "--batch" in str(raised.value)
    device.close()


def test_a_driver_that_does_not_start_is_a_sentence(opened):
    open_, _ = opened
    with pytest.raises(BackendError, match=r"the NVIDIA driver refused .*: .*(driver combination|no CUDA)"):
        open_(starts=False)


def test_a_driver_without_a_gpu_is_a_sentence(opened):
    open_, _ = opened
    with pytest.raises(BackendError, match="no GPU that this process may use"):
        open_(gpus=0)


def test_neither_package_is_a_sentence(monkeypatch):
    monkeypatch.setattr(devices, "_installed", lambda _: False)
    with pytest.raises(BackendError, match=r"PyCUDA or cuda-python, and neither is installed: pip install"):
        devices.open_device("tensorrt-rtx")


def test_a_package_that_cannot_be_loaded_is_a_sentence(monkeypatch):
    monkeypatch.setattr(devices, "_installed", lambda package: package == "pycuda")
    monkeypatch.setitem(sys.modules, "pycuda", None)
    with pytest.raises(BackendError, match="pycuda is installed but cannot be loaded"):
        devices.open_device("tensorrt")


def test_the_names_that_cuda_python_is_asked_for_exist():
    real = pytest.importorskip("cuda.bindings.driver", reason="cuda-python is not installed")
    text = Path(devices.__file__).with_name("cuda_python_device.py").read_text()
    names = {*re.findall(r'"(cu[A-Z]\w+)"', text), *re.findall(r"driver\.([cC]\w+)", text)}
    assert len(names) > 15
    assert [name for name in names if not hasattr(real, name)] == []
