"""A released checkpoint, from the file to annotated pictures."""

import contextlib
import io
import json
import shutil

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from hprnet_rt import cli, load  # noqa: E402
from hprnet_rt.backends.registry import backend_specs  # noqa: E402
from hprnet_rt.errors import BackendError  # noqa: E402
from hprnet_rt.model import convert  # noqa: E402
from hprnet_rt.skeleton import NUM_KEYPOINTS  # noqa: E402
from tests.model.recipe import recipe_network  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def converted_once(export_once):
    """The first conversion of a checkpoint writes the file, later ones of the same weights copy it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convert, "export_onnx", export_once)
        yield


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A checkpoint in the released form, and a small picture."""
    folder = tmp_path_factory.mktemp("files")
    weights = recipe_network("hprnet-dla34").state_dict()
    state = {f"module.{key}": tensor for key, tensor in weights.items()}
    torch.save({"epoch": 140, "state_dict": state}, folder / "dla34.pth")
    coarse = np.random.default_rng(4).integers(0, 256, (8, 12, 3), np.uint8)
    cv2.imwrite(str(folder / "picture.png"), cv2.resize(coarse, (240, 160)))
    return folder


@pytest.fixture(scope="module")
def imported(files, tmp_path_factory):
    """A cache in which `models import` has put that checkpoint, and the output of the command."""
    folder = tmp_path_factory.mktemp("cache")
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setenv("HPRNET_RT_CACHE", str(folder))
        assert cli.main(["models", "import", "hprnet-dla34", str(files / "dla34.pth")]) == 0
    return folder, printed.getvalue()


def test_a_checkpoint_runs_on_every_backend_after_one_conversion(files, tmp_path, caplog):
    people = []
    for backend in (spec.name for spec in backend_specs("cpu")):
        out = tmp_path / backend
        arguments = ["annotate", files / "picture.png", "-o", out, "--backend", backend, "--size", "128"]
        arguments += ["--model", "hprnet-dla34", "--weights", files / "dla34.pth", "--threshold", "0.1"]
        assert cli.main([str(argument) for argument in arguments]) == 0
        (keypoints,) = out.glob("*.jsonl")
        header, frame = map(json.loads, keypoints.read_text().splitlines()[:2])
        assert header["model"] == "hprnet-dla34"
        assert "fp32" in header["options"]["engine"]  # nobody has measured these weights in bf16
        people.append(frame["people"])
    assert sum("converting" in record.message for record in caplog.records) == 1
    assert len(people[0]) > 2
    for others in people[1:]:
        for one, other in zip(people[0], others, strict=True):
            assert len(one["keypoints"]) == NUM_KEYPOINTS
            assert one["box_xyxy"] == pytest.approx(other["box_xyxy"], abs=0.05)


def test_the_command_imports_and_the_name_then_runs(files, imported, monkeypatch):
    cache, printed = imported
    assert "hprnet-dla34-" in printed.splitlines()[0]
    monkeypatch.setenv("HPRNET_RT_CACHE", str(cache))
    monkeypatch.setenv("HPRNET_RT_OFFLINE", "1")
    with load("hprnet-dla34", input_px=128) as model:
        assert model.name == "hprnet-dla34"
        assert model(cv2.imread(str(files / "picture.png"))) is not None


def test_a_checkpoint_of_another_network_is_refused_and_leaves_nothing(files, own_cache, capsys):
    arguments = ["models", "import", "hprnet-dla34-baseline", str(files / "dla34.pth")]
    assert cli.main(arguments) == 1
    assert "weights of hprnet-dla34." in capsys.readouterr().err
    assert not list(own_cache.rglob("*.onnx"))


def test_code_in_a_checkpoint_is_refused_on_the_command_line(files, tmp_path, capsys):
    class Command:
        def __reduce__(self):
            return open, (str(tmp_path / "mark"), "w")

    torch.save({"state_dict": Command()}, tmp_path / "evil.pth")
    arguments = ["annotate", files / "picture.png", "-o", tmp_path / "out", "--model", "hprnet-dla34"]
    arguments += ["--weights", tmp_path / "evil.pth"]
    assert cli.main([str(argument) for argument in arguments]) == 1
    error = capsys.readouterr().err
    assert "asks to run code" in error
    assert "Traceback" not in error
    assert not (tmp_path / "mark").exists()


def test_torch_wants_the_checkpoint_that_the_engine_was_made_of(files, imported, own_cache, tmp_path):
    """An engine's own weights may be folded; another file of the same name would be another network."""
    shutil.copytree(imported[0], own_cache)
    mine = tmp_path / "mine.pth"
    mine.write_bytes((files / "dla34.pth").read_bytes())
    assert cli.main(["models", "import", "hprnet-dla34", str(mine)]) == 0
    with load("hprnet-dla34", backend="torch", input_px=128, flip=True) as model:
        assert "flip test" in model.description
    mine.write_bytes(b"something else")
    with pytest.raises(BackendError, match="no longer the file"):
        load("hprnet-dla34", backend="torch", input_px=128)
    mine.unlink()
    with pytest.raises(BackendError, match="--weights FILE"):
        load("hprnet-dla34", backend="torch", input_px=128)
