"""Running a built engine, on a GPU and a library that are not there."""

import dataclasses
import threading

import numpy as np
import pytest

from hprnet_rt.backends import AsyncBackend, BackendRequest, ModelFile
from hprnet_rt.backends.built_engine import BuiltEngine
from hprnet_rt.backends.slots import SLOTS
from hprnet_rt.backends.trt import backend as trt_backend
from hprnet_rt.errors import BackendError
from tests.backends.test_built_engine import RECIPE
from tests.backends.trt.gpu import FakeDevice, FakeLibrary, peaks_of

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")

MODEL_FILE = ModelFile.find("hprnet-mobile")
HW = (32, 64)


class Machine:
    """Opens backends on a fake GPU."""

    def __init__(self, monkeypatch, folder):
        self.device, self.path = FakeDevice(), folder / "some.engine"
        self.path.write_bytes(b"an engine")
        self.library = FakeLibrary(self.device)
        monkeypatch.setattr(trt_backend, "open_device", lambda _: self.device)
        monkeypatch.setattr(trt_backend, "load_library", lambda _: self.library)

    def open(self, *, batch=4, backend="tensorrt"):
        recipe = dataclasses.replace(RECIPE, backend=backend, batch=(1, 16))
        engine = BuiltEngine(self.path, recipe)
        return trt_backend.create(
            BackendRequest(model_file=MODEL_FILE, input_hw=HW, batch=batch, engine=engine)
        )


@pytest.fixture
def machine(monkeypatch, tmp_path):
    return Machine(monkeypatch, tmp_path)


def images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *HW, 3), np.uint8)


def expected(batch):
    return np.stack([peaks_of(image) for image in batch])


def test_every_image_gets_its_own_result_and_a_part_of_a_batch_too(machine):
    backend = machine.open()
    for count in (4, 1, 3, 4):
        batch = images(count, seed=count)
        np.testing.assert_array_equal(backend.run(batch), expected(batch))
    backend.close()


def test_a_result_belongs_to_the_caller(machine):
    backend = machine.open(batch=1)
    first = backend.run(images(1, seed=1))
    kept = first.copy()
    for seed in range(2, 6):
        backend.run(images(1, seed=seed))
    np.testing.assert_array_equal(first, kept)
    backend.close()


def test_two_batches_are_on_their_way_and_inputs_are_free_at_once(machine):
    backend = machine.open(batch=2)
    assert isinstance(backend, AsyncBackend)
    for turn in range(3):
        batches = [images(2, seed=10 * turn + i) for i in range(SLOTS)]
        wanted = [expected(batch) for batch in batches]
        collects = [backend.submit([batch[:1], batch[1:]]) for batch in batches]
        for batch in batches:
            batch[...] = 0
        for collect, want in reversed(list(zip(collects, wanted, strict=True))):
            np.testing.assert_array_equal(collect(), want)
    backend.close()


def test_nothing_is_made_per_frame_and_the_graph_is_captured_once(machine):
    backend = machine.open(batch=2)
    before = dict(machine.device.counts)
    runs = machine.library.runs
    for seed in range(50):
        backend.run(images(2, seed=seed))
    after = machine.device.counts
    for made in ("pinned", "memory", "stream", "event", "capture"):
        assert after[made] == before[made]
    assert after["capture"] == machine.library.contexts == SLOTS
    assert after["pinned"] == after["memory"] == 2 * SLOTS  # images in, peaks out
    assert after["launch"] - before.get("launch", 0) == 50
    assert machine.library.runs == runs  # replayed, not run again
    assert "CUDA graph" in backend.description and "no CUDA graph" not in backend.description
    backend.close()


def test_one_thread_has_the_gpu_whoever_asks(machine):
    backend = machine.open(batch=1)
    failed = []

    def use(seed):
        batch = images(1, seed=seed)
        for _ in range(20):
            if not np.array_equal(backend.run(batch), expected(batch)):
                failed.append(seed)

    users = [threading.Thread(target=use, args=(seed,)) for seed in range(4)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    backend.close()
    assert failed == []
    assert len(machine.device.threads) == 1
    assert threading.get_ident() not in machine.device.threads


def test_close_frees_contexts_engine_and_device_in_this_order_once(machine):
    backend = machine.open()
    assert machine.library.alive == SLOTS + 2  # contexts, engine, runtime
    backend.close()
    backend.close()
    assert machine.library.alive == 0
    assert machine.device.counts["close"] == 1
    with pytest.raises(BackendError, match="tensorrt backend is closed"):
        backend.run(images(1))


def test_what_was_begun_before_close_is_told_that_it_is_closed(machine):
    backend = machine.open()
    collect = backend.submit([images(1)])
    backend.close()
    assert not any(machine.device.streams.values())  # it was waited for before its buffers were freed
    with pytest.raises(BackendError, match="closed"):
        collect()


def test_more_images_than_the_engine_takes_are_a_sentence(machine):
    backend = machine.open(batch=2)
    for count in (0, 3):
        with pytest.raises(BackendError, match=f"1 to 2 images at a time, got {count}"):
            backend.run(images(count))
    backend.close()


def test_a_batch_of_nobodys_choice_is_the_usual_one_within_what_the_engine_takes(machine):
    backend = machine.open(batch=None)
    assert backend.max_batch == 8
    backend.close()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("Runtime", "cannot start: CUDA initialization failure with error: 35"),
        ("deserialize_cuda_engine", "cannot load some.engine: The engine plan file was made by another"),
        ("create_execution_context", "room for the network's maps on the GPU: .*out of memory"),
        ("set_input_shape", r"does not take images of shape \(4, 32, 64, 3\): it gives no reason"),
        ("get_tensor_shape", r"peaks of shape \(-1, 2, 3\)"),
        ("set_tensor_address", "does not take the buffer for images"),
        ("execute_async_v3", "cannot run the engine"),
    ],
)
def test_whatever_the_library_refuses_is_a_sentence_and_nothing_is_left(machine, call, words):
    machine.library.refuses = call
    with pytest.raises(BackendError, match=words) as raised:
        machine.open()
    assert "\n" not in str(raised.value)
    assert machine.device.counts["close"] == 1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("hprnet-gpu")]


def test_an_engine_that_fails_on_a_frame_is_a_sentence_and_its_slot_is_free_again(machine, monkeypatch):
    backend = machine.open(batch=1)

    def refuse(*_):
        raise BackendError("the NVIDIA driver refused cuGraphLaunch: an illegal memory access")

    with monkeypatch.context() as broken:
        broken.setattr(machine.device, "launch", refuse)
        for _ in range(2 * SLOTS):
            with pytest.raises(BackendError, match="illegal memory access"):
                backend.run(images(1))
    np.testing.assert_array_equal(backend.run(images(1)), expected(images(1)))
    backend.close()


def test_too_little_memory_is_a_sentence(machine):
    machine.device.left = 100
    with pytest.raises(BackendError, match="too little memory"):
        machine.open()
    assert machine.device.counts["close"] == 1


def test_an_engine_that_is_gone_is_a_sentence(machine):
    machine.path.unlink()
    with pytest.raises(BackendError, match=r"some\.engine cannot be read"):
        machine.open()


def test_a_library_that_lets_no_graph_be_captured_runs_without(machine):
    machine.library.capturable = False
    backend = machine.open(batch=2)
    assert "no CUDA graph" in backend.description
    for seed in range(3):
        batch = images(2, seed=seed)
        np.testing.assert_array_equal(backend.run(batch), expected(batch))
    assert machine.device.counts["capture"] == machine.device.counts["launch"] == 0
    backend.close()


def test_kernels_that_tensorrt_rtx_made_are_there_the_next_time(machine):
    kept = machine.path.with_suffix(".kernels")
    machine.open(backend="tensorrt-rtx").close()
    assert kept.read_bytes() == b"kernels"
    machine.device.closed = 0
    backend = machine.open(backend="tensorrt-rtx")
    assert machine.library.read[-1] == (b"kernels", True)
    assert backend.description.startswith("TensorRT-RTX 1.7.1, a fake GPU, fp16, CUDA graph")
    backend.close()


def test_kernels_of_another_gpu_are_made_again(machine):
    kept = machine.path.with_suffix(".kernels")
    kept.write_bytes(b"of another GPU")
    machine.open(backend="tensorrt-rtx").close()
    assert machine.library.read[-1] == (b"of another GPU", False)
    assert kept.read_bytes() == b"kernels"


def test_the_names_that_tensorrt_rtx_is_asked_for_exist():
    rtx = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has no wheels for this platform")
    asked = {
        rtx.Runtime: ("deserialize_cuda_engine",),
        rtx.ICudaEngine: ("create_execution_context", "create_runtime_config"),
        rtx.IRuntimeConfig: (
            "create_runtime_cache",
            "set_runtime_cache",
            "dynamic_shapes_kernel_specialization_strategy",
        ),
        rtx.IRuntimeCache: ("deserialize", "serialize"),
        rtx.IExecutionContext: (
            "set_input_shape",
            "get_tensor_shape",
            "set_tensor_address",
            "execute_async_v3",
            "is_stream_capturable",
        ),
        rtx.DynamicShapesKernelSpecializationStrategy: ("EAGER",),
        rtx.BuilderFlag: ("REQUIRE_USER_ALLOCATION",),
    }
    assert [(kind, name) for kind, names in asked.items() for name in names if not hasattr(kind, name)] == []


def test_an_engine_that_is_none_is_refused_by_the_real_library_in_its_words(machine, monkeypatch):
    rtx = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has no wheels for this platform")
    monkeypatch.setattr(trt_backend, "load_library", lambda _: rtx)
    with pytest.raises(
        BackendError, match=r"tensorrt_rtx .* (cannot load some\.engine|cannot start): "
    ) as raised:
        machine.open(backend="tensorrt-rtx")
    assert "\n" not in str(raised.value)
    assert machine.device.counts["close"] == 1


def test_a_runtime_cache_that_is_not_taken_is_a_sentence(machine):
    machine.library.refuses = "set_runtime_cache"
    with pytest.raises(BackendError, match="does not take its runtime cache"):
        machine.open(backend="tensorrt-rtx")
