"""PyTorch as a backend: the reference, and the flip test."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

import hprnet_rt  # noqa: E402
from hprnet_rt.backends import ModelFile  # noqa: E402
from hprnet_rt.errors import UsageError  # noqa: E402
from hprnet_rt.grouping import Grouper, average_flipped, pack_peaks  # noqa: E402
from hprnet_rt.model import HprnetMobile, load_weights  # noqa: E402
from hprnet_rt.spec import PeakLayout  # noqa: E402
from hprnet_rt.types import Maps, Peaks  # noqa: E402
from hprnet_rt.video import VideoSource  # noqa: E402
from tests.clips import SAMPLE  # noqa: E402


@pytest.fixture(scope="module")
def picture():
    source = VideoSource(SAMPLE)
    image = next(iter(source)).image
    source.close()
    return image


def assert_same(ours, expected, atol):
    assert len(ours) == len(expected) == 3
    np.testing.assert_allclose(ours.xy, expected.xy, atol=atol)
    np.testing.assert_allclose(ours.score, expected.score, atol=1e-4)


def test_torch_finds_what_openvino_finds(picture):
    with (
        hprnet_rt.load(backend="torch") as reference,
        hprnet_rt.load(backend="openvino", precision="fp32") as other,
    ):
        assert "PyTorch" in reference.description
        assert_same(other(picture), reference(picture), atol=0.05)


def test_the_flip_test_averages_with_the_mirror_image(picture):
    with hprnet_rt.load(backend="torch", flip=True) as model:
        assert "flip test" in model.description
        found = model(picture)
        batch, letterbox = model.prepare(picture)
    model_file = ModelFile.find("hprnet-mobile")
    network = load_weights(HprnetMobile(), model_file.path)

    def dense(images):
        with torch.inference_mode():
            return {name: maps.numpy() for name, maps in network.dense(torch.from_numpy(images)).items()}

    averaged = average_flipped(dense(batch), dense(batch[:, :, ::-1].copy()), network.spec)
    packed = pack_peaks(averaged, network.spec, model_file.k, probabilities=True)[0]
    with torch.inference_mode():  # points are refined on the maps of the picture as it is
        feature = network.feature(torch.from_numpy(batch))
        maps = [
            each[0].permute(1, 2, 0).contiguous().numpy()
            for each in (feature, network.refiner.local_maps(feature))
        ]
    group = Grouper(network.spec, weights=model_file.refiner_weights())
    expected = group(Peaks(packed, PeakLayout.of(network.spec), letterbox, Maps(*maps)))
    assert_same(found, expected, atol=1e-2)


def test_the_flip_test_of_a_mirrored_picture_is_its_mirror_image(picture):
    """Left and right change places; only sub-cell offsets depend on which image was the plain one."""
    with hprnet_rt.load(backend="torch", flip=True) as model:
        plain, mirrored = model(picture), model(picture[:, ::-1].copy())
    assert len(plain) == len(mirrored) == 3
    width = picture.shape[1]
    left, right = 5, 6  # shoulders
    for person in plain:
        across = np.abs(width - mirrored.xy[:, right, 0] - person.xy[left, 0])
        assert across.min() < 8  # pixels; a cell is 10


@pytest.mark.parametrize("backend", ["auto", "openvino", "onnxruntime"])
def test_the_flip_test_elsewhere_is_a_sentence(backend):
    with pytest.raises(UsageError, match="--backend torch"):
        hprnet_rt.load(backend=backend, flip=True)
