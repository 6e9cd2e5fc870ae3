"""PyTorch as a backend: the reference, and the flip test."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

import hprnet_rt  # noqa: E402
from hprnet_rt.backends import EngineFile  # noqa: E402
from hprnet_rt.errors import UsageError  # noqa: E402
from hprnet_rt.grouping import average_flipped, decode_dense  # noqa: E402
from hprnet_rt.model import HprnetMobile, load_weights  # noqa: E402
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
    network = load_weights(HprnetMobile(), EngineFile.find("hprnet-mobile").path)

    def dense(images):
        with torch.inference_mode():
            return {name: maps.numpy() for name, maps in network.dense(torch.from_numpy(images)).items()}

    averaged = average_flipped(dense(batch), dense(batch[:, :, ::-1].copy()), network.spec)
    (expected,) = decode_dense(averaged, network.spec, [letterbox], probabilities=True)
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
