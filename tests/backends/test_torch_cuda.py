"""PyTorch for a GPU, as far as it runs without one; `tests/gpu` has the rest."""

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

import hprnet_rt  # noqa: E402
from hprnet_rt.backends import AsyncBackend, BackendRequest, ModelFile, create_backend  # noqa: E402
from hprnet_rt.backends.torch_cuda import _TorchCudaBackend  # noqa: E402
from hprnet_rt.errors import BackendError  # noqa: E402
from hprnet_rt.geometry import Letterbox  # noqa: E402
from hprnet_rt.grouping import Grouper, GroupingOptions  # noqa: E402
from hprnet_rt.machine import Nvidia  # noqa: E402
from hprnet_rt.spec import PeakLayout  # noqa: E402
from hprnet_rt.types import Peaks  # noqa: E402
from hprnet_rt.video import VideoSource  # noqa: E402
from tests.clips import SAMPLE  # noqa: E402

MODEL_FILE = ModelFile.find("hprnet-mobile")
HW = (64, 96)
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread():
    """Half precision on a CPU is many small pieces: threads cost more than they save."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *HW, 3), np.uint8)


def people(count):
    source = VideoSource(SAMPLE)
    frames = list(itertools.islice(source, count))
    source.close()
    return np.concatenate([Letterbox.fit(frame.image.shape[:2], HW).apply(frame.image) for frame in frames])


@pytest.fixture(scope="module")
def backend():
    request = BackendRequest(model_file=MODEL_FILE, input_hw=HW, precision="fp32", batch=3)
    made = _TorchCudaBackend(request, CPU)
    yield made
    made.close()


def test_a_batch_and_a_part_of_one_give_what_the_reference_gives(backend):
    """Columns are the reference's, but for the points, which it leaves to grouping: people are the same."""
    reference = create_backend(MODEL_FILE, HW, backend="torch", threads=1)
    plain, refined = PeakLayout.of(MODEL_FILE.spec), PeakLayout.of(MODEL_FILE.spec, refined=True)
    options = GroupingOptions(person_threshold=0.0)
    group, letterbox = Grouper(MODEL_FILE.spec, options, MODEL_FILE.refiner_weights()), Letterbox.fit(HW, HW)
    for count in (3, 1):
        batch = people(count)
        found, (expected, maps) = backend.run(batch), reference.run_with_maps(batch)
        first = plain.columns["face_peak"].start
        np.testing.assert_allclose(found[..., :first], expected[..., :first], atol=2e-3)
        for n in range(count):
            inside = group(Peaks(found[n], refined, letterbox))
            after = group(Peaks(expected[n], plain, letterbox, maps[n]))
            assert len(inside) > 0
            np.testing.assert_allclose(inside.xy, after.xy, atol=2e-2)
            np.testing.assert_allclose(inside.score, after.score, atol=1e-3)


def test_two_batches_are_on_their_way_and_results_belong_to_the_caller(backend):
    assert isinstance(backend, AsyncBackend)
    batches = [images(2, seed=seed) for seed in range(2)]
    wanted = [backend.run(batch) for batch in batches]
    first, second = [backend.submit([batch[:1], batch[1:]]) for batch in batches]
    results = [second(), first()]
    backend.run(images(3, seed=9))
    np.testing.assert_array_equal(results[1], wanted[0])
    np.testing.assert_array_equal(results[0], wanted[1])


def test_grouping_is_kept_warm_while_the_gpu_works_and_finds_the_same_people(monkeypatch):
    frames = people(2)
    with hprnet_rt.load(backend="onnxruntime", input_px=96) as model:
        expected = [model(frame) for frame in frames]
        order, begin, warm = [], model.begin, model.group.keep_warm
        monkeypatch.setattr(model, "at_once", 2)
        monkeypatch.setattr(model, "begin", lambda inputs: order.append("begin") or begin(inputs))
        monkeypatch.setattr(model.group, "keep_warm", lambda: order.append("warm") or warm())
        found = [model(frame) for frame in frames]
    assert order == ["begin", "warm"] * 2
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours.xy, theirs.xy)
        np.testing.assert_array_equal(ours.score, theirs.score)


def test_too_many_images_are_a_sentence(backend):
    with pytest.raises(BackendError, match="1 to 3 images at a time, got 4"):
        backend.run(images(4))


def test_half_precision_is_named_and_runs():
    request = BackendRequest(model_file=MODEL_FILE, input_hw=HW, precision="bf16")
    made = _TorchCudaBackend(request, CPU)
    assert "bf16" in made.description
    assert made.run(images(1)).dtype == np.float32
    made.close()
    made.close()
    with pytest.raises(BackendError, match="torch-cuda backend is closed"):
        made.run(images(1))


@pytest.mark.parametrize("why", ["no NVIDIA driver", ""])
def test_no_gpu_is_a_sentence_and_never_the_cpu(monkeypatch, why):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("hprnet_rt.backends.torch_cuda.nvidia", lambda: Nvidia(None, (), why))
    with pytest.raises(BackendError, match=f"torch-cuda needs an NVIDIA GPU .*: {why or 'it was built'}"):
        hprnet_rt.load(backend="torch-cuda")
