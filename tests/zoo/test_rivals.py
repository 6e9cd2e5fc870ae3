"""Weights of rivals: taken as they were released, run by every backend alike, and refused in a sentence."""

from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from hprnet_rt import cli  # noqa: E402
from hprnet_rt.backends import create_backend  # noqa: E402
from hprnet_rt.backends.protocol import BackendRequest  # noqa: E402
from hprnet_rt.backends.torch_cuda import _TorchCudaBackend  # noqa: E402
from hprnet_rt.bench import subject  # noqa: E402
from hprnet_rt.building.plan import BuildPlan  # noqa: E402
from hprnet_rt.errors import UsageError  # noqa: E402
from hprnet_rt.model import load_checkpoint  # noqa: E402
from hprnet_rt.model.rivals import create  # noqa: E402
from hprnet_rt.spec.rivals import OPENPOSE_WHOLEBODY, RIVALS, WHOLEBODY_PARTS  # noqa: E402
from hprnet_rt.zoo import ZOO, model_file_for  # noqa: E402
from hprnet_rt.zoo.rivals import RIVAL_ZOO  # noqa: E402
from hprnet_rt.zoo.weights import weights_state  # noqa: E402
from tests.rivals import SMALL, caffe_model, weights_of  # noqa: E402
from tests.sentences import is_one_sentence  # noqa: E402

DONE, FAILED, WRONG_USAGE = 0, 1, 2
NEAR = 1e-4


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Networks at a hundredth of their size."""
    for name, build in SMALL.items():
        monkeypatch.setitem(create.BUILDERS, name, build)


@pytest.fixture
def run(capfd):
    def run(*arguments):
        code = cli.main(list(map(str, arguments)))
        return code, *capfd.readouterr()

    return run


def released(name, folder, caffe=False):
    """A file as it was released: flat, with its state in a field, or of Caffe."""
    weights = weights_of(SMALL[name](RIVALS[name]))
    path = folder / ("released.caffemodel" if caffe else "released.pth")
    if caffe:
        path.write_bytes(caffe_model(weights))
    else:
        torch.save({"state_dict": weights} if name.startswith("ae") else weights, path)
    return path


@pytest.mark.parametrize("name", list(SMALL))
@pytest.mark.parametrize("caffe", [False, True])
def test_released_files_of_every_network_are_read(tmp_path, name, caffe):
    path = released(name, tmp_path, caffe and name.startswith("openpose"))
    network = load_checkpoint(create.create_rival(RIVALS[name]), path)
    for key, tensor in weights_of(network).items():
        torch.testing.assert_close(network.state_dict()[key], tensor)


@pytest.mark.parametrize(("name", "caffe"), [("openpose-body25", True), ("ae-higherhrnet-w32", False)])
def test_a_released_file_is_imported_and_every_backend_returns_the_same(run, tmp_path, caplog, name, caffe):
    path = released(name, tmp_path, caffe)
    code, out, _ = run("models", "import", name, path)
    assert code == DONE
    assert f"{path.name} holds {name}: " in caplog.text
    assert RIVAL_ZOO[name].terms in out
    assert weights_state(name) == "imported"
    model_file = model_file_for(name)
    assert model_file.licence == RIVAL_ZOO[name].terms
    hw = (128, 192)
    image = np.random.default_rng(0).integers(0, 256, (1, *hw, 3), np.uint8)
    network = SMALL[name](RIVALS[name]).eval()
    network.load_state_dict(weights_of(network))
    with torch.no_grad():
        expected = network(torch.from_numpy(image)).numpy()
    for backend in ("onnxruntime", "openvino", "torch"):
        made = create_backend(model_file, hw, backend=backend, threads=1)
        np.testing.assert_allclose(made.run(image), expected, atol=NEAR)
        made.close()
    for precision, near in (("fp32", NEAR), ("bf16", 0.1)):
        request = BackendRequest(model_file=model_file, input_hw=hw, precision=precision)
        found = _TorchCudaBackend(request, torch.device("cpu")).run(image)
        np.testing.assert_allclose(found, expected, atol=near)


def test_wrong_cut_and_foreign_files_are_refused_in_a_sentence(run, tmp_path):
    body, caffe = released("openpose-body18", tmp_path), released("openpose-body25", tmp_path, caffe=True)
    cut_body, cut_caffe = tmp_path / "cut.pth", tmp_path / "cut.caffemodel"
    cut_body.write_bytes(body.read_bytes()[:-100])
    cut_caffe.write_bytes(caffe.read_bytes()[:-100])
    page, text, empty = tmp_path / "page.caffemodel", tmp_path / "text.caffemodel", tmp_path / "no.caffemodel"
    page.write_text("<!DOCTYPE html><html>")
    text.write_text("\nnot a model\n")
    empty.write_bytes(b"\x0a\x01x")
    for name, path, words in (
        ("openpose-hand", body, ("does not hold weights of openpose-hand", "weights of openpose-body18")),
        ("openpose-body18", caffe, ("does not hold weights of openpose-body18",)),
        ("openpose-body18", cut_body, ("cut off or damaged",)),
        ("openpose-body25", cut_caffe, ("cut off, damaged or no Caffe model",)),
        ("openpose-body25", page, ("is a web page",)),
        ("openpose-body25", text, ("no Caffe model",)),
        ("openpose-body25", empty, ("holds no weights",)),
    ):
        code, _, err = run("models", "import", name, path, "-q")
        assert code == FAILED, path
        assert is_one_sentence(err, *words)
        assert weights_state(name) == "not here"


def test_rivals_are_listed_with_their_licence_and_where_their_weights_are(run):
    _, out, _ = run("models", "list")
    names = [line.split()[0] for line in out.splitlines() if line.startswith(("hprnet-", "openpose-", "ae-"))]
    assert [name for name in names if name in RIVAL_ZOO] == list(RIVAL_ZOO)
    for name, entry in RIVAL_ZOO.items():
        code, out, _ = run("models", "info", name)
        text = " ".join(out.split())
        assert code == DONE
        assert entry.terms in text
        assert entry.page in text
        assert all(file in text for file in entry.files)
    code, _, err = run("models", "pull", "openpose-body18")
    assert code == WRONG_USAGE
    assert is_one_sentence(err, "body_pose_model.pth", "hprnet-rt models import openpose-body18 PATH")


def test_networks_of_crops_say_what_runs_them(run, tmp_path):
    code, out, _ = run("models", "import", "openpose-hand", released("openpose-hand", tmp_path))
    assert code == DONE
    assert f"--model {OPENPOSE_WHOLEBODY} " in out
    assert "103.2 for each hand" in " ".join(run("models", "info", OPENPOSE_WHOLEBODY)[1].split())


def test_openpose_with_hands_and_faces_says_which_weights_it_lacks(run, tmp_path):
    with pytest.raises(UsageError, match=r"lacks weights: get body_pose_model.*hand_pose_model.*facenet"):
        model_file_for(OPENPOSE_WHOLEBODY)
    with pytest.raises(UsageError, match="leave --weights out"):
        model_file_for(OPENPOSE_WHOLEBODY, released("openpose-body18", tmp_path))
    code, _, err = run("models", "import", OPENPOSE_WHOLEBODY, released("openpose-body18", tmp_path))
    assert code == WRONG_USAGE
    assert is_one_sentence(err, *WHOLEBODY_PARTS)


def test_engines_and_our_own_benchmarks_are_for_networks_of_this_project(monkeypatch):
    spec = RIVALS["openpose-body25"]
    with pytest.raises(UsageError, match="engines are built of HPRNet's networks only"):
        BuildPlan.parse(spec, backend="openvino")
    monkeypatch.setattr(subject, "model_file_for", lambda *_: SimpleNamespace(spec=spec))
    with pytest.raises(UsageError, match="bench people --rivals"), subject.open_subject(spec.name):
        pass


def test_the_networks_of_this_project_are_not_among_the_rivals():
    assert not set(ZOO) & set(RIVAL_ZOO)
    assert set(RIVALS) | {OPENPOSE_WHOLEBODY} == set(RIVAL_ZOO)
