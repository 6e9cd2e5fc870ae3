"""A comparator runs on the library and in the precision of the backend that it is compared with."""

from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from hprnet_rt.backends import ModelFile, create_backend  # noqa: E402
from hprnet_rt.bench import zoomnet  # noqa: E402
from hprnet_rt.bench.run_like import describe, in_torch, run_like  # noqa: E402
from hprnet_rt.model.hrnet import Bottleneck, HRNetShape  # noqa: E402
from tests.model import gpu  # noqa: E402

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 24, 16, 8), np.uint8)


@pytest.fixture
def module():
    torch.manual_seed(0)
    return Bottleneck(8, 4).eval()


@pytest.mark.parametrize(("backend", "words"), [("openvino", "OpenVINO fp32"), ("torch", "PyTorch fp32")])
def test_a_module_gives_the_same_everywhere(module, backend, words):
    made = create_backend(ModelFile.find("hprnet-mobile"), (64, 64), backend=backend, precision="fp32")
    with torch.no_grad():
        expected = module(torch.from_numpy(IMAGES).permute(0, 3, 1, 2) / 255).numpy()
    run = run_like(module, made, threads=1)
    for count in (3, 1):
        (found,) = run(IMAGES[:count])
        np.testing.assert_allclose(found, expected[:count], atol=1e-5)
    assert describe(made) == words
    made.close()


@pytest.fixture
def small_zoomnet(monkeypatch):
    """ZoomNet and its detector, shrunk, of the same build."""
    monkeypatch.setattr(zoomnet, "HRNetShape", partial(HRNetShape, blocks=1, modules=(1, 1, 1)))
    monkeypatch.setattr(zoomnet, "_LAYERS", (1, 1, 1, 1))
    monkeypatch.setattr(zoomnet, "_PROPOSALS", 8)
    monkeypatch.setattr(zoomnet, "_PART_CELLS", 16)
    torch.manual_seed(0)
    return zoomnet.ZoomNet().eval(), zoomnet.FasterRcnn().eval()


PICTURE = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3), np.uint8)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_zoomnet_runs_in_half_precision(small_zoomnet, kind):
    """Its detector once stopped where it read half-precision maps at float32 positions."""
    pose, detector = small_zoomnet
    for module, images in ((pose, PICTURE), (detector, PICTURE[:1])):
        outputs = in_torch(module, torch.device("cpu"), kind)(images)
        assert [output.dtype for output in outputs] == [np.float32] * len(outputs)
        assert {weights.dtype for weights in module.parameters()} == {kind}


def test_joined_layers_of_zoomnet_give_what_its_own_give(small_zoomnet, monkeypatch):
    """As on a GPU beside HPRNet: sums and activations are done by the convolutions before them."""
    gpu.interpreted()
    gpu.stand_in_for_cudnn(monkeypatch)
    for module, images in zip(small_zoomnet, (PICTURE, PICTURE[:1]), strict=True):
        with torch.inference_mode():
            expected = module(torch.from_numpy(images).permute(0, 3, 1, 2) / 255)
        joined = in_torch(module, torch.device("cpu"), torch.float32, joined=True)
        for found, wanted in zip(joined(images), expected, strict=True):
            np.testing.assert_allclose(found, wanted.numpy(), atol=1e-4 * float(wanted.abs().max()))


def test_highest_cells_are_found_where_the_network_runs(small_zoomnet):
    pose, _ = small_zoomnet
    with torch.inference_mode():
        images = torch.from_numpy(PICTURE).permute(0, 3, 1, 2) / 255
        maps, cells = pose(images), zoomnet._Highest(pose)(images)
    assert [each.shape for each in cells] == [(2, 26), (2, 68), (4, 21)]
    for one, many in zip(cells, maps, strict=True):
        assert torch.equal(many.flatten(2).gather(2, one.unsqueeze(2))[..., 0], many.flatten(2).amax(2))
