"""The training loop: it learns, and a run that was stopped or killed ends like an uninterrupted one."""

import dataclasses
import json
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from hprnet_rt import cli  # noqa: E402
from hprnet_rt.backends import ModelFile  # noqa: E402
from hprnet_rt.errors import ModelError, UsageError  # noqa: E402
from hprnet_rt.model import create_model, save_checkpoint  # noqa: E402
from hprnet_rt.model.checkpoint import save_whole  # noqa: E402
from hprnet_rt.onnx_file import read_weights  # noqa: E402
from hprnet_rt.spec import SPECS  # noqa: E402
from hprnet_rt.training import report  # noqa: E402
from hprnet_rt.training.config_file import read_config  # noqa: E402
from hprnet_rt.training.loop import Trainer  # noqa: E402
from hprnet_rt.training.processes import ProcessGroup  # noqa: E402
from hprnet_rt.training.state import LAST, load_state  # noqa: E402
from tests.training.conftest import IMAGES  # noqa: E402

ALONE = ProcessGroup(0, 1, torch.device("cpu"))
NEVER = threading.Event()


def trained(config, folder, stop_after=None):
    """Train to the end, or for `stop_after` steps; return completeness, losses, and the checkpoint."""
    folder.mkdir(exist_ok=True)
    stop = threading.Event()
    steps = []

    def stepped(progress):
        steps.append(progress.loss)
        if len(steps) == stop_after:
            stop.set()

    complete = Trainer(config, folder, ALONE).run(stepped=stepped, stop=stop)
    return complete, steps, load_state(folder / LAST)


def assert_same_run(one, other):
    assert (one["epoch"], one["training"]["total"]) == (other["epoch"], other["training"]["total"])
    for part in ("state_dict", ("training", "network")):
        a, b = (run[part] if isinstance(part, str) else run[part[0]][part[1]] for run in (one, other))
        for name, tensor in a.items():
            assert torch.equal(tensor, b[name]), name


@pytest.fixture(scope="module")
def whole_run(data, tmp_path_factory):
    """Train a run without a stop; return its losses and checkpoint."""
    complete, losses, whole = trained(
        read_config(data / "run.toml"), tmp_path_factory.mktemp("runs") / "whole"
    )
    assert complete
    assert len(losses) == 2 * IMAGES // 2
    return losses, whole


@pytest.mark.parametrize("stop_after", [1, 3, 4, 6])
def test_a_stopped_run_ends_as_an_uninterrupted_one(data, whole_run, tmp_path, stop_after):
    """It is equal bit for bit, if stopped inside an epoch, at its end, or next to a checkpoint."""
    config = read_config(data / "run.toml")
    losses, whole = whole_run
    complete, first, _ = trained(config, tmp_path / "broken", stop_after)
    assert not complete
    complete, second, mended = trained(config, tmp_path / "broken")
    assert complete
    assert first + second == losses
    assert_same_run(mended, whole)


@pytest.mark.timeout(600)
def test_a_run_killed_ten_times_ends_as_an_uninterrupted_one(data, tmp_path):
    """SIGKILL comes at an arbitrary moment shortly after another step."""
    changes = ["epochs=12", "save_every=1"]
    seldom = ["epochs=12", "save_every=100"]
    _, _, whole = trained(read_config(data / "run.toml", seldom), tmp_path / "whole")
    arguments = [data / "run.toml", "--out", tmp_path, "-q"]
    arguments += [word for change in changes for word in ("--set", change)]
    log = tmp_path / "run" / "log.jsonl"
    rng = np.random.default_rng()
    for _ in range(10):
        lines = log.read_bytes().count(b"\n") if log.exists() else 0
        process = begin(arguments)
        while process.is_alive() and (not log.exists() or log.read_bytes().count(b"\n") <= lines):
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.1))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, "the run was over before the tenth kill"
    process = begin(arguments)
    process.join()
    assert process.exitcode == 0
    assert_same_run(load_state(tmp_path / "run" / LAST), whole)


def begin(arguments, threads=None, **environment):
    """Start `hprnet-rt train` in a process of its own, see the conftest."""
    forks = multiprocessing.get_context("forkserver")
    process = forks.Process(target=command, args=(arguments, threads or torch.get_num_threads(), environment))
    process.start()
    return process


def command(arguments, threads, environment):
    torch.set_num_threads(threads)
    os.environ.update(environment)
    sys.exit(cli.main(["train", *map(str, arguments)]))


def test_weights_at_rate_0_stay_and_those_at_a_tenth_move_by_a_tenth(data, tmp_path):
    changes = ["epochs=1", "batch=8", "ema=0", "rates.trunk=0", "rates.parts=0.1"]
    config = read_config(data / "run.toml", changes)
    assert config.rates == {"trunk": 0.0, "parts": 0.1}
    tmp_path.joinpath("run").mkdir()
    trainer = Trainer(config, tmp_path / "run", ALONE)
    before = {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}
    assert trainer.run()
    moved = {
        name: float((tensor - before[name]).abs().max())
        for name, tensor in trainer.network.state_dict().items()
    }
    assert max(value for name, value in moved.items() if name.startswith("trunk.")) == 0
    rate = config.learning_rate  # Adam's first step is as long as the rate
    assert max(value for name, value in moved.items() if name.startswith("parts.")) == pytest.approx(
        0.1 * rate, rel=0.01
    )
    assert max(value for name, value in moved.items() if name.startswith("heads.")) == pytest.approx(
        rate, rel=0.01
    )


def test_the_rate_grows_with_the_batch_where_one_is_named(data, tmp_path):
    rates = []
    for change in ("rate_batch=0", "rate_batch=2", "rate_batch=8"):
        config = read_config(data / "run.toml", ["epochs=1", "batch=4", "learning_rate=0.01", change])
        (tmp_path / change).mkdir()
        Trainer(config, tmp_path / change, ALONE).run(stepped=lambda progress: rates.append(progress.rate))
    assert rates == pytest.approx([0.01] * 2 + [0.02] * 2 + [0.005] * 2)


def test_relative_steps_are_resumed_bit_for_bit(data, tmp_path):
    config = read_config(data / "run.toml", ["optimizer=relative", "learning_rate=0.01"])
    _, _, whole = trained(config, tmp_path / "whole")
    trained(config, tmp_path / "broken", 3)
    _, _, mended = trained(config, tmp_path / "broken")
    assert_same_run(mended, whole)


def test_training_starts_from_an_exported_onnx_file(data, tmp_path):
    weights = ModelFile.find("hprnet-mobile").path
    (tmp_path / "run").mkdir()
    trainer = Trainer(read_config(data / "run.toml", [f"weights={weights}"]), tmp_path / "run", ALONE)
    refined = read_weights(weights.read_bytes(), "refiner")
    assert trainer.starts_refinement == (not refined)
    modules = ["trunk", "parts", "heads"] + (["refiner"] if refined else [])
    for module in modules:
        exported = read_weights(weights.read_bytes(), module)
        state = getattr(trainer.network, module).state_dict()
        assert state.keys() == exported.keys()
        for name, tensor in state.items():
            np.testing.assert_array_equal(tensor, exported[name])


def test_a_refinement_starts_fresh_where_the_weights_have_none_and_the_run_says_so_once(data, tmp_path):
    """Its input, the features of the first images, has a deviation of 1."""
    plain = create_model(dataclasses.replace(SPECS["hprnet-mobile"], refinement=None))
    save_checkpoint(plain, tmp_path / "plain.pth")
    changes = [f"weights={tmp_path / 'plain.pth'}", "epochs=1", "input_px=32"]
    (tmp_path / "run").mkdir()
    trainer = Trainer(read_config(data / "run.toml", changes), tmp_path / "run", ALONE)
    state = trainer.network.state_dict()
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, state[name]), name
    images = trainer.data.first_images(IMAGES)
    norm = trainer.network.refiner.norm
    with torch.no_grad():
        deviation = (trainer.network.feature(images) * norm.view(1, -1, 1, 1)).std(dim=(0, 2, 3))
    alive = norm != 1
    assert alive.any()
    torch.testing.assert_close(deviation[alive], torch.ones(int(alive.sum())))
    assert torch.equal(trainer.averaged.state["refiner.norm"], norm)
    messages = []
    for epochs in (1, 2):
        changes_now = [*changes, f"epochs={epochs}"]
        report.train(data / "run.toml", changes_now, tmp_path, stop=NEVER, say=messages.append)
    assert [message.split(" has no ")[1] for message in messages if "starts fresh" in message] == [
        "refinement; that of hprnet-mobile starts fresh"
    ]


def test_weights_with_a_part_of_a_refinement_are_refused(data, tmp_path):
    network = create_model("hprnet-mobile")
    state = {name: tensor for name, tensor in network.state_dict().items() if name != "refiner.norm"}
    save_whole({"state_dict": state}, tmp_path / "part.pth")
    config = read_config(data / "run.toml", [f"weights={tmp_path / 'part.pth'}"])
    with pytest.raises(ModelError, match=r"missing: refiner\.norm"):
        Trainer(config, tmp_path, ALONE)


def test_a_run_from_before_a_key_of_the_configuration_was_there_is_gone_on_with(data, tmp_path):
    trained(read_config(data / "run.toml", ["input_px=32"]), tmp_path / "run", stop_after=1)
    kept = load_state(tmp_path / "run" / LAST)
    del kept["config"]["part_spread"], kept["config"]["loss"]
    save_whole(kept, tmp_path / "run" / LAST)
    complete, *_ = trained(read_config(data / "run.toml", ["input_px=32"]), tmp_path / "run")
    assert complete


def test_weights_of_losses_are_those_of_the_configuration(data, tmp_path):
    config = read_config(data / "run.toml", ["loss.local=0", "loss.face_refined=2"])
    weights = Trainer(config, tmp_path, ALONE).loss.weights
    assert (weights["local"], weights["face_refined"], weights["left_hand_refined"]) == (0.0, 2.0, 1.5)


def test_a_run_of_another_configuration_is_not_continued(data, tmp_path):
    trained(read_config(data / "run.toml", ["epochs=1"]), tmp_path / "run")
    with pytest.raises(UsageError, match="another learning_rate"):
        Trainer(read_config(data / "run.toml", ["learning_rate=0.1"]), tmp_path / "run", ALONE)
    complete, steps, _ = trained(read_config(data / "run.toml", ["epochs=2"]), tmp_path / "run")
    assert complete
    assert len(steps) == IMAGES // 2  # more epochs are no other run


def test_a_run_over_other_images_is_not_continued(data, tmp_path):
    trained(read_config(data / "run.toml"), tmp_path / "run", stop_after=1)
    truth = json.loads((data / "truth.json").read_text())
    truth["images"] = truth["images"][:4]
    truth["annotations"] = truth["annotations"][:4]
    (tmp_path / "fewer.json").write_text(json.dumps(truth))
    config = read_config(data / "run.toml", [f"data.train_annotations={tmp_path / 'fewer.json'}"])
    with pytest.raises(UsageError, match="a run over 8 images, and there are 4 now"):
        Trainer(config, tmp_path / "run", ALONE)


def test_a_damaged_checkpoint_is_a_sentence(data, tmp_path):
    (tmp_path / LAST).write_bytes(b"PK damaged")
    with pytest.raises(ModelError, match="damaged"):
        Trainer(read_config(data / "run.toml"), tmp_path, ALONE)


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_checkpoint(data, tmp_path):
    config = read_config(data / "run.toml", ["learning_rate=1e30", "epochs=3"])
    with pytest.raises(ModelError, match="lower learning_rate"):
        trained(config, tmp_path / "run")


@pytest.mark.timeout(300)
def test_processes_stop_together_when_one_is_asked_to(data, tmp_path):
    changes = ["epochs=500", "save_every=100000", "input_px=32"]
    words = [word for change in changes for word in ("--set", change)]
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    ports = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    arguments = [data / "run.toml", "--out", tmp_path, *words]
    processes = [begin(arguments, threads=1, RANK=str(rank), **ports) for rank in (0, 1)]
    log = tmp_path / "run" / "log.jsonl"
    while not log.exists() and all(process.is_alive() for process in processes):
        time.sleep(0.05)
    os.kill(processes[1].pid, signal.SIGINT)
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [130, 130]
    state = load_state(tmp_path / "run" / LAST)["training"]
    assert state["total"] == log.read_bytes().count(b"\n")
