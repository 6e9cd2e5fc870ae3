"""A run as the user sees it: the command, validation, the best weights, errors as sentences."""

import errno
import json
import os
import threading

import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from hprnet_rt import cli  # noqa: E402
from hprnet_rt.errors import OutputError  # noqa: E402
from hprnet_rt.machine import Cpu  # noqa: E402
from hprnet_rt.model import create_model, load_checkpoint  # noqa: E402
from hprnet_rt.model.checkpoint import save_whole  # noqa: E402
from hprnet_rt.training import report  # noqa: E402
from hprnet_rt.training.config_file import read_config  # noqa: E402
from hprnet_rt.training.images import ImageFiles  # noqa: E402
from hprnet_rt.training.state import LAST, load_state  # noqa: E402


def test_the_command_trains_validates_and_keeps_the_best(data, tmp_path, capsys):
    arguments = ["train", str(data / "run.toml"), "--out", str(tmp_path), "--set", "name=small"]
    arguments += ["--set", f"data.val_annotations={data / 'truth.json'}", "--set", f"data.val_images={data}"]
    assert cli.main([*arguments, "--set", "pictures=2"]) == 0
    out = capsys.readouterr().out
    assert "epoch 2/2" in out
    assert "body" in out
    run = tmp_path / "small"
    load_checkpoint(create_model("hprnet-mobile"), run / "best.pth")
    load_checkpoint(create_model("hprnet-mobile"), run / LAST)
    assert len(list((run / "pictures" / "epoch-001").iterdir())) == 2
    numbers = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert {"loss", "loss/hm", "loss/left_hand_refined", "images_s", "waiting"} <= set(numbers[0])
    assert any("AP/body" in line for line in numbers)


def validated(data, *changes):
    """Return changes for a configuration with a validation set."""
    places = [f"data.val_annotations={data / 'truth.json'}", f"data.val_images={data}"]
    return [*places, "epochs=1", "pictures=0", "input_px=32", *changes]


def command(data, out, *changes):
    words = [word for change in validated(data, *changes) for word in ("--set", change)]
    return cli.main(["train", str(data / "run.toml"), "--out", str(out), *words])


def test_a_validation_that_was_interrupted_is_done_when_the_run_goes_on(data, tmp_path, monkeypatch, capsys):
    read, stop = ImageFiles.read, threading.Event()

    def read_and_stop(self, index):
        stop.set()
        return read(self, index)

    with monkeypatch.context() as patched:
        patched.setattr("hprnet_rt.training.validate.ImageFiles.read", read_and_stop)
        changes = validated(data, "batch=8")
        trained_whole = report.train(data / "run.toml", changes, tmp_path, stop=stop)
    run = tmp_path / "run"
    assert not trained_whole
    assert load_state(run / LAST)["epoch"] == 1
    assert not (run / "best.pth").exists()
    assert command(data, tmp_path, "batch=8") == 0
    load_checkpoint(create_model("hprnet-mobile"), run / "best.pth")
    assert "all epochs are done" in capsys.readouterr().out
    log = (run / "log.jsonl").read_text()
    assert command(data, tmp_path, "batch=8") == 0
    assert (run / "log.jsonl").read_text() == log, "validated twice"


def test_what_cannot_be_written_after_an_epoch_is_a_sentence(data, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "pictures").touch()
    assert command(data, tmp_path, "pictures=1") == 1
    assert "cannot write in" in capsys.readouterr().err
    (tmp_path / "run" / "best.json").touch()
    assert command(data, tmp_path, "pictures=1") == 1
    assert "best.json is damaged; delete it" in capsys.readouterr().err


def test_a_full_disk_keeps_the_best_weights_there_were(tmp_path):
    path = tmp_path / "best.pth"
    save_whole({"kept": 1}, path)

    class Refuses:
        def __reduce__(self):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OutputError, match="No space left"):
        save_whole({"lost": Refuses()}, path)
    assert torch.load(path) == {"kept": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["best.pth"]


def test_places_can_be_emptied_and_quoted(data):
    config = read_config(
        data / "run.toml", ["data.val_annotations=", "weights=''", f'data.train_images="{data}"']
    )
    assert (config.data.val_annotations, config.weights, config.data.train_images) == ("", "", str(data))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["model=hprnet-dla99"], "model is one of"),
        (["size=3"], "no key 'size'"),
        (["epochs=many"], "epochs cannot be 'many'"),
        (["epochs=0"], "epochs is more than 0"),
        (["input_px=100"], "multiple of 32"),
        (["epochs"], "KEY=VALUE"),
        (["data.workers=1.5"], "workers cannot be"),
        (["batch=100"], "do not fill a batch"),
        (["ema=2.0"], "ema"),
        (["learning_rate=nan"], "learning_rate is more than 0"),
        (["clip_norm=-1"], "clip_norm is at least 0"),
        (["warm_up=-1"], "warm_up is at least 0"),
        (["seed=99999999999999999999999"], "seed is at most"),
        (["drops=[-1]"], "drops are epochs from 1 on"),
        (["rates.trunk=nan"], "a rate is at least 0"),
        (["loss.face=-1"], "a loss's weight is at least 0"),
        (["loss.faces=1"], "hprnet-mobile has no loss faces"),
        (["part_spread=0.5"], "part_spread is at least 0 and less than 0.5"),
        (["data.workers=-1"], "data.workers is at least 0"),
    ],
)
def test_a_wrong_configuration_is_a_sentence(data, tmp_path, capsys, changes, words):
    arguments = ["train", str(data / "run.toml"), "--out", str(tmp_path)]
    for change in changes:
        arguments += ["--set", change]
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error


def test_a_run_of_some_seconds_says_no_number_of_epochs(data, tmp_path, capsys):
    arguments = ["train", str(data / "run.toml"), "--out", str(tmp_path), "--set", "input_px=32"]
    assert cli.main([*arguments, "--set", "batch=8", "--seconds", "0.5"]) == 0
    out = capsys.readouterr().out
    assert "epoch 1: loss" in out
    assert "done: " in out
    assert cli.main([*arguments, "--seconds", "-1"]) == 2
    assert "--seconds is at least 0" in capsys.readouterr().err


def test_a_cpu_that_emulates_bf16_is_told_of(data, tmp_path, capsys, monkeypatch):
    features = ["avx2"]
    monkeypatch.setattr("hprnet_rt.machine.cpu", lambda: Cpu("a CPU", 2, tuple(features)))
    changes = ["epochs=1", "batch=8", "input_px=32", "precision=bf16"]
    report.train(data / "run.toml", changes, tmp_path, stop=threading.Event(), say=print)
    assert "--set precision=fp32" in capsys.readouterr().out
    features.append("avx512_bf16")
    report.train(data / "run.toml", changes, tmp_path, stop=threading.Event(), say=print)
    assert "precision=fp32" not in capsys.readouterr().out
