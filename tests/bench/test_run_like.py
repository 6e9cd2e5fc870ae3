"""A comparator runs on the library and in the precision of the backend that it is compared with."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from hprnet_rt.backends import ModelFile, create_backend  # noqa: E402
from hprnet_rt.bench.run_like import describe, run_like  # noqa: E402
from hprnet_rt.model.hrnet import Bottleneck  # noqa: E402

IMAGES = np.random.default_rng(0).random((3, 8, 24, 16)).astype(np.float32)


@pytest.fixture
def module():
    torch.manual_seed(0)
    return Bottleneck(8, 4).eval()


@pytest.mark.parametrize(("backend", "words"), [("openvino", "OpenVINO fp32"), ("torch", "PyTorch fp32")])
def test_a_module_gives_the_same_everywhere(module, backend, words):
    made = create_backend(ModelFile.find("hprnet-mobile"), (64, 64), backend=backend, precision="fp32")
    with torch.no_grad():
        expected = module(torch.from_numpy(IMAGES)).numpy()
    run = run_like(module, made, threads=1)
    for count in (3, 1):
        (found,) = run(IMAGES[:count])
        np.testing.assert_allclose(found, expected[:count], atol=1e-5)
    assert describe(made) == words
    made.close()
