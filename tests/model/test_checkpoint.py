"""Checkpoints: the released form, and everything that is none."""

import os
import pickle

import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from hprnet_rt.errors import ModelError  # noqa: E402
from hprnet_rt.model import create_model, load_checkpoint, save_checkpoint  # noqa: E402
from hprnet_rt.spec import SPECS  # noqa: E402

NAME = "hprnet-dla34"


@pytest.fixture(scope="module")
def weights():
    torch.manual_seed(1)
    return create_model(NAME).state_dict()


@pytest.fixture
def network():
    return create_model(NAME)


def assert_loaded(network, weights):
    assert not network.training
    for key, tensor in network.state_dict().items():
        assert torch.equal(tensor, weights[key]), key


def released(weights, **more):
    return {"epoch": 140, "state_dict": {f"module.{key}": tensor for key, tensor in weights.items()}, **more}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_released_checkpoint_loads(network, weights, tmp_path, zipped):
    """With the wrapper's prefix and an optimiser, in today's file format and in the one of 2019."""
    optimizer = torch.optim.Adam(network.parameters()).state_dict()
    path = tmp_path / "model.pth"
    torch.save(released(weights, optimizer=optimizer), path, _use_new_zipfile_serialization=zipped)
    assert_loaded(load_checkpoint(network, path), weights)


def test_our_own_checkpoint_loads(network, weights, tmp_path):
    source = create_model(NAME)
    source.load_state_dict(weights)
    save_checkpoint(source, tmp_path / "ours.pth")
    assert_loaded(load_checkpoint(network, str(tmp_path / "ours.pth")), weights)


def test_a_bare_state_dict_without_the_unused_classifier_loads(network, weights, tmp_path):
    used = {key: tensor for key, tensor in weights.items() if not key.startswith("base.fc.")}
    torch.save(used, tmp_path / "model.pth")
    load_checkpoint(network, tmp_path / "model.pth")
    assert torch.equal(network.state_dict()["hm.0.weight"], weights["hm.0.weight"])


@pytest.fixture(scope="module")
def untouched():
    """A network and a copy of its weights; what is refused changes none of them."""
    network = create_model(NAME)
    return network, {key: tensor.clone() for key, tensor in network.state_dict().items()}


def refusal(untouched, path):
    """The sentence of a refused file; the network keeps its weights."""
    network, before = untouched
    with pytest.raises(ModelError) as caught:
        load_checkpoint(network, path)
    assert all(torch.equal(before[key], tensor) for key, tensor in network.state_dict().items())
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    return text


def test_missing_unknown_and_misshapen_keys_are_all_named(untouched, weights, tmp_path):
    odd = dict(weights)
    del odd["hm.0.weight"]
    odd["hm.9.weight"] = torch.zeros(2)
    odd["wh.2.bias"] = torch.zeros(3)
    torch.save(released(odd), tmp_path / "odd.pth")
    text = refusal(untouched, tmp_path / "odd.pth")
    assert "missing: hm.0.weight" in text
    assert "unknown: hm.9.weight" in text
    assert "of another shape: wh.2.bias 3 instead of 2" in text


@pytest.mark.parametrize("other", sorted(set(SPECS) - {NAME}))
def test_weights_of_another_network_are_recognised(untouched, tmp_path, other):
    with torch.device("meta"):
        shapes = create_model(other).state_dict()
    # one value stands for all, so that 200 M parameters take no space
    torch.save({key: torch.zeros(()).expand(t.shape) for key, t in shapes.items()}, tmp_path / "other.pth")
    text = refusal(untouched, tmp_path / "other.pth")
    assert f"weights of {other}." in text
    assert any(what in text for what in ("missing:", "unknown:", "of another shape:"))


def test_a_weight_that_is_no_number_is_refused(untouched, weights, tmp_path):
    broken = {**weights, "reg.2.bias": torch.tensor([1.0, float("nan")])}
    torch.save(broken, tmp_path / "broken.pth")
    assert "reg.2.bias" in refusal(untouched, tmp_path / "broken.pth")


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {}, {"state_dict": {}}, {"state_dict": {"a": 1}}])
def test_a_file_without_weights_is_refused(untouched, tmp_path, content):
    torch.save(content, tmp_path / "none.pth")
    assert "holds no weights" in refusal(untouched, tmp_path / "none.pth")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("kept", [0, 100, 10_000, 0.5, 0.999])
def test_a_truncated_checkpoint_is_refused(untouched, weights, tmp_path, zipped, kept):
    path = tmp_path / "whole.pth"
    torch.save(released(weights), path, _use_new_zipfile_serialization=zipped)
    data = path.read_bytes()
    path = tmp_path / "cut.pth"
    path.write_bytes(data[: int(kept * len(data)) if kept < 1 else kept])
    assert "damaged or no PyTorch checkpoint" in refusal(untouched, path)


@pytest.mark.parametrize("where", [0.001, 0.3, 0.7])
def test_a_corrupt_checkpoint_is_refused(untouched, weights, tmp_path, where):
    """Also where only numbers are hit, which torch itself would load."""
    path = tmp_path / "corrupt.pth"
    torch.save(released(weights), path)
    data = bytearray(path.read_bytes())
    start = int(where * len(data))
    for i in range(start, start + 64):
        data[i] ^= 0x55
    path.write_bytes(data)
    assert "damaged or no PyTorch checkpoint" in refusal(untouched, path)


@pytest.mark.parametrize("content", [b"<html>quota exceeded</html>", b"\x89PNG\r\n", bytes(5000)])
def test_another_kind_of_file_is_refused(untouched, tmp_path, content):
    (tmp_path / "other.pth").write_bytes(content)
    assert "damaged or no PyTorch checkpoint" in refusal(untouched, tmp_path / "other.pth")


def test_a_missing_checkpoint_and_a_folder_are_sentences(untouched, tmp_path):
    assert "does not exist" in refusal(untouched, tmp_path / "nowhere.pth")
    assert "cannot be read" in refusal(untouched, tmp_path)


class Command:
    """Runs a command when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def _malicious(kind, mark, weights):
    command = Command(os.system, f"touch {mark}")
    if kind == "eval":
        command = Command(eval, f"__import__('os').system('touch {mark}')")
    if kind == "network":  # a whole module instead of its weights names classes to import
        return create_model(NAME)
    return command if kind == "bare" else {**released(weights), "extra": command}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("kind", ["bare", "beside", "eval", "network"])
def test_code_in_a_checkpoint_is_refused_and_not_run(untouched, weights, tmp_path, kind, zipped):
    mark = tmp_path / "mark"
    path = tmp_path / "evil.pth"
    torch.save(_malicious(kind, mark, weights), path, _use_new_zipfile_serialization=zipped)
    assert "asks to run code" in refusal(untouched, path)
    assert not mark.exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_plain_pickle_with_code_is_not_run(untouched, tmp_path, protocol):
    mark = tmp_path / "mark"
    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps({"state_dict": Command(os.system, f"touch {mark}")}, protocol))
    refusal(untouched, path)
    assert not mark.exists()
    pickle.loads(path.read_bytes())  # the file is a real attack
    assert mark.exists()
