"""The training loop: it learns, and a run that was stopped or killed ends as one that was not."""

import dataclasses
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from hprnet_rt import cli  # noqa: E402
from hprnet_rt.backends import ModelFile  # noqa: E402
from hprnet_rt.errors import ModelError, OutputError, UsageError  # noqa: E402
from hprnet_rt.model import create_model, load_checkpoint, save_checkpoint  # noqa: E402
from hprnet_rt.model.checkpoint import save_whole  # noqa: E402
from hprnet_rt.onnx_file import read_weights  # noqa: E402
from hprnet_rt.spec import SPECS  # noqa: E402
from hprnet_rt.training import report  # noqa: E402
from hprnet_rt.training.config import read_config  # noqa: E402
from hprnet_rt.training.images import ImageFiles  # noqa: E402
from hprnet_rt.training.loop import LAST, ProcessGroup, Trainer  # noqa: E402
from hprnet_rt.training.state import load_state  # noqa: E402

ALONE = ProcessGroup(0, 1, torch.device("cpu"))
NEVER = threading.Event()
IMAGES = 8


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Eight pictures of coloured boxes, each with one labelled person."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(5)
    images, people = [], []
    for number in range(IMAGES):
        image = rng.integers(0, 60, (96, 96, 3), np.uint8)
        x, y = rng.integers(10, 30, 2).tolist()
        width, height = rng.integers(40, 56, 2).tolist()
        image[y : y + height, x : x + width] = rng.integers(120, 255, 3)
        cv2.imwrite(str(folder / f"{number}.png"), image)
        images.append({"id": number, "file_name": f"{number}.png", "width": 96, "height": 96})

        def points(count, box=(x, y, width, height)):
            xy = np.array(box[:2]) + rng.uniform(0.1, 0.9, (count, 2)) * box[2:]
            return [value for one in xy.tolist() for value in (*one, 2)]

        face = [x + width * 0.3, y + 2.0, width * 0.4, height * 0.3]
        people.append(
            {
                "id": number + 1,
                "image_id": number,
                "category_id": 1,
                "iscrowd": 0,
                "bbox": [x, y, width, height],
                "area": 0.6 * width * height,
                "keypoints": points(17),
                "num_keypoints": 17,
                "foot_kpts": points(6),
                "face_kpts": points(68, tuple(face)),
                "lefthand_kpts": points(21, (x, y + height / 2, 12, 12)),
                "righthand_kpts": points(21, (x + width - 12, y + height / 2, 12, 12)),
                "face_box": face,
                "face_valid": True,
                "lefthand_box": [x, y + height / 2, 12, 12],
                "lefthand_valid": True,
                "righthand_box": [x + width - 12, y + height / 2, 12, 12],
                "righthand_valid": True,
                "foot_valid": True,
            }
        )
    (folder / "truth.json").write_text(json.dumps({"images": images, "annotations": people}))
    (folder / "run.toml").write_text(
        'model = "hprnet-mobile"\ninput_px = 64\nepochs = 2\nbatch = 2\nsave_every = 3\nema = 0.9\n'
        '[data]\ntrain_annotations = "truth.json"\ntrain_images = "."\nworkers = 0\n'
    )
    return folder


def trained(config, folder, stop_after=None):
    """Run until the end, or stop after so many steps; the weights that are kept."""
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


@pytest.mark.parametrize("stop_after", [1, 3, 4, 6])
def test_a_stopped_run_ends_as_an_uninterrupted_one(data, tmp_path, stop_after):
    """Bit for bit, in the middle of an epoch, at its end, and beside a checkpoint."""
    config = read_config(data / "run.toml")
    complete, losses, whole = trained(config, tmp_path / "whole")
    assert complete
    assert len(losses) == 2 * IMAGES // 2
    complete, first, _ = trained(config, tmp_path / "broken", stop_after)
    assert not complete
    complete, second, mended = trained(config, tmp_path / "broken")
    assert complete
    assert first + second == losses
    assert_same_run(mended, whole)


@pytest.mark.timeout(600)
def test_a_run_killed_ten_times_ends_as_an_uninterrupted_one(data, tmp_path):
    """SIGKILL, at moments that nobody chose: a little after one more step, wherever that is."""
    changes = ["epochs=12", "save_every=1"]
    _, _, whole = trained(read_config(data / "run.toml", changes), tmp_path / "whole")
    command = [sys.executable, "-m", "hprnet_rt", "train", str(data / "run.toml")]
    command += [word for change in changes for word in ("--set", change)] + ["--out", str(tmp_path), "-q"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    log = tmp_path / "run" / "log.jsonl"
    rng = np.random.default_rng()
    for _ in range(10):
        lines = log.read_bytes().count(b"\n") if log.exists() else 0
        process = subprocess.Popen(command, env=environment)
        while process.poll() is None and (not log.exists() or log.read_bytes().count(b"\n") <= lines):
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the run was over before the tenth kill"
    subprocess.run(command, env=environment, check=True)
    assert_same_run(load_state(tmp_path / "run" / LAST), whole)


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


def test_training_goes_on_from_an_exported_engine(data, tmp_path):
    weights = ModelFile.find("hprnet-mobile").path
    (tmp_path / "run").mkdir()
    trainer = Trainer(read_config(data / "run.toml", [f"weights={weights}"]), tmp_path / "run", ALONE)
    refined = read_weights(weights.read_bytes(), "refiner")
    assert trainer.starts_refinement == (not refined)
    for module in ("trunk", "parts", "heads", *(["refiner"] if refined else [])):
        exported = read_weights(weights.read_bytes(), module)
        state = getattr(trainer.network, module).state_dict()
        assert state.keys() == exported.keys()
        for name, tensor in state.items():
            np.testing.assert_array_equal(tensor, exported[name])


def test_a_refinement_starts_fresh_where_the_weights_have_none_and_the_run_says_so_once(data, tmp_path):
    """It reads the first images' features with a deviation of 1."""
    plain = create_model(dataclasses.replace(SPECS["hprnet-mobile"], refinement=None))
    save_checkpoint(plain, tmp_path / "plain.pth")
    changes = [f"weights={tmp_path / 'plain.pth'}", "epochs=1", "input_px=32"]
    (tmp_path / "run").mkdir()
    trainer = Trainer(read_config(data / "run.toml", changes), tmp_path / "run", ALONE)
    state = trainer.network.state_dict()
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, state[name]), name
    images = torch.stack([trainer.dataset[index]["image"] for index in range(IMAGES)])
    norm = trainer.network.refiner.norm
    with torch.no_grad():
        deviation = (trainer.network.feature(images) * norm.view(1, -1, 1, 1)).std(dim=(0, 2, 3))
    alive = norm != 1
    assert alive.any()
    torch.testing.assert_close(deviation[alive], torch.ones(int(alive.sum())))
    assert torch.equal(trainer.averaged.state["refiner.norm"], norm)
    said = []
    for epochs in (1, 2):
        report.train(data / "run.toml", [*changes, f"epochs={epochs}"], tmp_path, stop=NEVER, say=said.append)
    assert [line.split(" has no ")[1] for line in said if "starts fresh" in line] == [
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
    """A configuration with a validation set."""
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


@pytest.mark.timeout(300)
def test_processes_stop_together_when_one_is_asked_to(data, tmp_path):
    changes = ["epochs=500", "save_every=100000", "input_px=32"]
    words = [word for change in changes for word in ("--set", change)]
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    ports = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "hprnet_rt", "train", data / "run.toml", "--out", tmp_path, *words],
            env={**os.environ, **ports, "RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    log = tmp_path / "run" / "log.jsonl"
    while not log.exists() and all(process.poll() is None for process in processes):
        time.sleep(0.05)
    processes[1].send_signal(signal.SIGINT)
    ends = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [130, 130], ends
    state = load_state(tmp_path / "run" / LAST)["training"]
    assert state["total"] == log.read_bytes().count(b"\n")


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
