"""Sparse heads and in-graph decode against dense heads, in torch and in every backend."""

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from hprnet_rt.backends import ModelFile, create_backend  # noqa: E402
from hprnet_rt.errors import ModelError  # noqa: E402
from hprnet_rt.model import HprnetMobile, load_weights  # noqa: E402
from hprnet_rt.spec import (  # noqa: E402
    HPRNET_MOBILE,
    PeakLayout,
)
from tests.backends.cases import ON_CPU  # noqa: E402
from tests.model.recipe import unrefined_peaks  # noqa: E402
from tests.oracles.decode import peaks_from_dense  # noqa: E402

SHIPPED = ModelFile.find("hprnet-mobile")
LAYOUT = PeakLayout.of(HPRNET_MOBILE)
K = SHIPPED.k
# every head is alive in this network, at sizes with people at the borders too
SIZES = [(96, 128), (160, 96)]


@pytest.fixture(scope="module")
def network():
    return load_weights(HprnetMobile(), SHIPPED.path)


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory, export_once):
    folder = tmp_path_factory.mktemp("engines")
    export_once(network, folder / "sparse.onnx", k=K)
    ModelFile.describe(folder / "sparse.onnx", HPRNET_MOBILE, K, "test", "none")
    return folder


def images(size, count=1):
    """Smooth noise with strong contrast: many peaks, some at the borders."""
    rng = np.random.default_rng(size[0] + count)
    coarse = rng.integers(0, 256, (count, size[0] // 16, size[1] // 16, 3), np.uint8)
    return coarse.repeat(16, axis=1).repeat(16, axis=2)


def assert_same_peaks(ours, oracle, atol=1e-4):
    """Equal where a peak scores enough to be used; weaker ones may change places."""
    for name, columns in LAYOUT.columns.items():
        a, b = ours[:, columns], oracle[:, columns]
        if name in ("person_score", "peak_score"):
            np.testing.assert_allclose(a, b, atol=1e-4)
            continue
        if name == "peak_xy":
            scores = oracle[:, LAYOUT.columns["peak_score"]]
            apart = np.abs(np.diff(scores, axis=0)) > TIE
            edge = np.ones_like(apart[:1])
            kept = (scores > FLOOR) & np.concatenate((edge, apart)) & np.concatenate((apart, edge))
            kept = kept.repeat(2, axis=1)
        elif name.endswith(("_peak", "_peak_wh")):
            part = next(p for p in HPRNET_MOBILE.parts if name.startswith(p.name))
            first = LAYOUT.columns["peak_score"].start + HPRNET_MOBILE.joint(part.center)
            kept = np.broadcast_to(oracle[:, first, None] > FLOOR, a.shape)
        else:
            kept = np.broadcast_to(oracle[:, LAYOUT.columns["person_score"]] > FLOOR, a.shape)
        np.testing.assert_allclose(a[kept], b[kept], atol=atol, err_msg=name)


FLOOR = 1e-3
TIE = 1e-5  # scores so near may come in either order


@pytest.mark.parametrize("size", SIZES)
def test_sparse_heads_equal_dense_ones_in_torch(network, size):
    batch = torch.from_numpy(images(size, 2))
    sparse = unrefined_peaks(network, K, batch.numpy())
    with torch.no_grad():
        dense = {name: maps.numpy() for name, maps in network.dense(batch).items()}
    for n in range(2):
        oracle = peaks_from_dense({name: maps[n] for name, maps in dense.items()}, HPRNET_MOBILE, K)
        people = (oracle[:, 0] > FLOOR).sum()
        assert people >= 2
        assert_same_peaks(sparse[n], oracle)


@pytest.mark.parametrize("backend", ON_CPU)
@pytest.mark.parametrize("size", SIZES)
def test_sparse_equals_dense_in_every_backend(network, exported, backend, size):
    batch = images(size)
    with torch.no_grad():
        dense = network.dense(torch.from_numpy(batch))
    oracle = peaks_from_dense({name: maps[0].numpy() for name, maps in dense.items()}, HPRNET_MOBILE, K)
    made = create_backend(ModelFile.find(exported / "sparse.onnx"), size, backend=backend, precision="fp32")
    ours = made.run(batch)[0]
    made.close()
    assert_same_peaks(ours, oracle)


@pytest.mark.parametrize("file", ["shipped", "exported"])
def test_a_batch_gives_what_its_images_give_one_by_one(exported, file):
    path = SHIPPED.path if file == "shipped" else exported / "sparse.onnx"
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    batch = images(SIZES[0], 3)
    together = session.run(None, {"images": batch})
    alone = zip(*(session.run(None, {"images": image[None]}) for image in batch), strict=True)
    for ours, theirs in zip(together, alone, strict=True):
        np.testing.assert_allclose(ours, np.concatenate(theirs), atol=2e-4)


def test_the_shipped_file_gives_its_weights_back(network, exported):
    again = load_weights(HprnetMobile(), exported / "sparse.onnx")
    for (name, a), (_, b) in zip(network.state_dict().items(), again.state_dict().items(), strict=True):
        assert torch.equal(a, b), name


def test_the_shipped_file_is_what_the_code_exports(exported):
    """Same graph from the same weights: nobody edits the shipped model file by hand."""
    import onnx

    ours, shipped = (onnx.load(path).graph for path in (exported / "sparse.onnx", SHIPPED.path))
    assert [node.op_type for node in ours.node] == [node.op_type for node in shipped.node]


def test_the_export_names_no_file_of_the_machine(exported):
    for path in (exported / "sparse.onnx", SHIPPED.path):
        data = path.read_bytes()
        assert b"/hprnet_rt/" not in data
        assert b".py" not in data


def test_weights_of_another_file_are_refused(tmp_path):
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(ModelError, match=r"text\.onnx"):
        load_weights(HprnetMobile(), tmp_path / "text.onnx")
