"""What only a GPU can show."""

import numpy as np
import pytest

import hprnet_rt
from hprnet_rt.backends import ModelFile, create_backend
from hprnet_rt.backends.registry import backend_spec, backend_specs
from hprnet_rt.backends.trt import device as devices
from hprnet_rt.building import BuildPlan, build, find_engine
from hprnet_rt.machine import nvidia
from hprnet_rt.spec import HPRNET_MOBILE
from hprnet_rt.video import VideoSource
from tests.clips import SAMPLE

_FOUND = nvidia()
pytestmark = [
    pytest.mark.skipif(not _FOUND.gpus, reason=f"no NVIDIA GPU: {_FOUND.why}"),
    pytest.mark.timeout(600),
]

MODEL_FILE = ModelFile.find("hprnet-mobile")
HW = (224, 384)
NEAR_PX = {"fp32": 0.1, "fp16": 1.0, "bf16": 6.0}  # of the source, of 99% of the points that are sure
FRAMES = 100


@pytest.fixture(scope="module")
def frames():
    source = VideoSource(SAMPLE)
    found = [frame.image for number, frame in enumerate(source) if number % 10 == 0][:8]
    source.close()
    return found


@pytest.fixture(scope="module")
def expected(frames):
    with hprnet_rt.load(backend="onnxruntime") as model:
        return [model(frame) for frame in frames]


def assert_same_people(found, expected, near_px):
    away = []
    for ours, theirs in zip(found, expected, strict=True):
        assert len(ours) == len(theirs)
        order = [np.argsort(each.box_xyxy[:, 0]) for each in (ours, theirs)]
        sure = theirs.score[order[1]] > 0.3
        away.append(np.linalg.norm(ours.xy[order[0]] - theirs.xy[order[1]], axis=2)[sure])
    assert np.quantile(np.concatenate(away), 0.99) < near_px


@pytest.mark.parametrize("precision", NEAR_PX)
@pytest.mark.parametrize("batch", [1, 4])
def test_pytorch_on_the_gpu_finds_what_the_cpu_finds(frames, expected, precision, batch):
    torch = pytest.importorskip("torch", reason="the extra train is not installed")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch cannot use the GPU")
    with hprnet_rt.load(backend="torch-cuda", precision=precision, batch=batch) as model:
        collect = model.begin([model.prepare(frame) for frame in frames])
        assert_same_people([model.group(peaks) for peaks in collect()], expected, NEAR_PX[precision])


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_our_kernels_run_and_give_what_pytorchs_layers_give(precision, caplog):
    """Layers of full size, in the batches of a live source and of a file."""
    torch = pytest.importorskip("torch", reason="the extra train is not installed")
    pytest.importorskip("triton", reason="Triton is not installed")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch cannot use the GPU")
    from hprnet_rt.backends.torch_cuda import for_inference
    from hprnet_rt.backends.torch_layers import HALVES, peak_network
    from hprnet_rt.bench.networks import random_network

    device = torch.device("cuda")
    network = for_inference(random_network("hprnet-dla34"), precision, device)
    module, text = peak_network(network, precision, device, 32)
    assert text.startswith(", fused kernels (Triton "), caplog.text
    for batch in (1, 16):
        images = torch.randint(0, 256, (batch, 512, 512, 3), dtype=torch.uint8, device=device)
        with torch.inference_mode():
            ours, theirs = module.network.feature(images).float(), network.feature(images).float()
        assert (ours - theirs).abs().max() < 20 * torch.finfo(HALVES[precision]).eps * theirs.abs().max()


def test_pytorch_allocates_nothing_per_frame():
    torch = pytest.importorskip("torch", reason="the extra train is not installed")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch cannot use the GPU")
    backend = create_backend(MODEL_FILE, HW, backend="torch-cuda")
    images = np.zeros((1, *HW, 3), np.uint8)
    backend.run(images)
    before = torch.cuda.memory_stats()["allocation.all.allocated"]
    for _ in range(FRAMES):
        backend.run(images)
    assert torch.cuda.memory_stats()["allocation.all.allocated"] == before
    backend.close()


@pytest.mark.parametrize("package", devices.BINDINGS)
def test_buffers_streams_events_and_graphs_bring_back_what_was_sent(package):
    if not devices._installed(package):
        pytest.skip(f"{package} is not installed")
    device = devices.open_device("tensorrt", (package,))
    try:
        stream, event = device.stream(), device.event()
        there, back = (device.pinned((16, 1024), np.uint8) for _ in range(2))
        address = device.memory(there.nbytes)

        def copies():
            device.upload(address, there, stream)
            device.download(back, address, stream)

        graph, free = device.capture(stream, copies), device.free_bytes()
        for number in range(FRAMES):
            there[...] = number
            device.launch(graph, stream)
            device.record(event, stream)
            device.wait(event)
            assert (back == number).all()
        assert device.free_bytes() == free
    finally:
        device.close()


@pytest.mark.parametrize("backend", [spec.name for spec in backend_specs("gpu") if spec.needs_engine("auto")])
@pytest.mark.parametrize("batch", [1, 4])
def test_a_tensorrt_engine_that_is_built_here_finds_what_the_cpu_finds(frames, expected, backend, batch):
    if not backend_spec(backend).installed:
        pytest.skip(f"{backend} is not installed")
    build(MODEL_FILE, BuildPlan.parse(HPRNET_MOBILE, backend=backend, size="384x224", batch=str(batch)))
    found = find_engine(MODEL_FILE, backend, precision="auto", input_hw=HW, batch=batch, may_build=False)
    assert found.recipe.batch == (batch, batch)
    with hprnet_rt.load(backend=backend, batch=batch) as model:
        assert "CUDA graph" in model.description
        collect = model.begin([model.prepare(frame) for frame in frames])
        assert_same_people([model.group(peaks) for peaks in collect()], expected, NEAR_PX["fp16"])
