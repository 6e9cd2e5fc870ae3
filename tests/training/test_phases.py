"""Phases, sets with weights, feeds, and runs that have a time."""

import json
import threading
import time

import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from hprnet_rt.errors import UsageError  # noqa: E402
from hprnet_rt.training.batches import TargetSets  # noqa: E402
from hprnet_rt.training.config_file import read_config  # noqa: E402
from hprnet_rt.training.feeds import TrainingData  # noqa: E402
from hprnet_rt.training.loop import Trainer  # noqa: E402
from hprnet_rt.training.processes import ProcessGroup  # noqa: E402
from hprnet_rt.training.schedule import Position, Schedule  # noqa: E402
from tests.training.conftest import IMAGES  # noqa: E402
from tests.training.test_loop import ALONE, assert_same_run, trained  # noqa: E402

PHASED = """
model = "hprnet-mobile"
input_px = 64
augmentation = "strong"
optimizer = "relative"
labels = "parts"
points = "size"
ema = 0.9
learning_rate = 0.01
save_every = 3
epoch_images = 8

[[phases]]
name = "parts"
epochs = 1
batch = 4
schedule = "cosine"
[phases.rates]
trunk = 0
heads.hm = 0

[[phases]]
name = "trunk"
epochs = 2
batch = 2
learning_rate = 0.002
warm_up = 2
hold = true
rates = { heads.hm = 0 }

[[teachers]]
weights = "first.pth"
features = 1

[data]
workers = 0
[[data.sets]]
annotations = "truth.json"
images = "."
weight = 0.5
unlabelled_is_background = false
[[data.sets]]
annotations = "weighted.json"
images = "."
"""


@pytest.fixture(scope="module")
def phased(data):
    """Write a configuration of two phases and two sets beside the small training set."""
    from hprnet_rt.model import create_model, save_checkpoint

    torch.manual_seed(0)
    save_checkpoint(create_model("hprnet-mobile"), data / "first.pth")
    truth = json.loads((data / "truth.json").read_text())
    for image in truth["images"]:
        image["weight"] = 0 if image["id"] == 2 else 2
    (data / "weighted.json").write_text(json.dumps(truth))
    (data / "phased.toml").write_text(PHASED)
    return data / "phased.toml"


def test_a_phase_takes_what_it_does_not_say_from_the_top(phased):
    first, second = read_config(phased).all_phases
    assert (first.name, first.learning_rate, first.batch, first.schedule) == ("parts", 0.01, 4, "cosine")
    assert first.rates == {"trunk": 0.0, "heads.hm": 0.0}
    assert (second.learning_rate, second.labels, second.hold, second.schedule) == (
        0.002,
        "parts",
        True,
        "drops",
    )
    changed = read_config(phased, ["phases.1.learning_rate=0.5", "data.sets.0.weight=3"])
    assert [phase.learning_rate for phase in changed.phases] == [0.01, 0.5]
    assert changed.data.sets[0].weight == 3


@pytest.fixture(scope="module", params=["loader", "device"])
def whole(request, phased, tmp_path_factory):
    """Train a run without a stop; return its configuration, losses, and checkpoint."""
    config = read_config(phased, [f"feed={request.param}", "input_px=32"])
    complete, losses, checkpoint = trained(config, tmp_path_factory.mktemp(request.param) / "whole")
    assert complete
    assert len(losses) == 8 // 4 + 2 * 8 // 2
    return config, losses, checkpoint


@pytest.mark.parametrize("stop_after", [1, 2, 3, 6])
def test_phases_that_were_stopped_end_as_uninterrupted_ones(whole, tmp_path, stop_after):
    """It is equal bit for bit inside of a phase, at its end, and in the next one."""
    config, losses, checkpoint = whole
    complete, first, _ = trained(config, tmp_path / "broken", stop_after)
    assert not complete
    complete, second, mended = trained(config, tmp_path / "broken")
    assert complete
    assert first + second == losses
    assert_same_run(mended, checkpoint)


def test_what_is_frozen_in_a_phase_stays_and_the_next_begins_with_the_averages(phased, tmp_path):
    trainer = Trainer(read_config(phased, ["input_px=32", "feed=device"]), tmp_path, ALONE)
    before = {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}
    seen = []

    def stepped(progress):
        seen.append((progress.phase, set(progress.losses)))
        now = trainer.network.state_dict()
        moved = any(not torch.equal(now[name], before[name]) for name in now if name.startswith("trunk."))
        assert moved == (progress.phase == "trunk")

    assert trainer.run(stepped=stepped)
    assert [phase for phase, _ in seen] == ["parts"] * 2 + ["trunk"] * 8
    assert "hold_heat" not in seen[0][1]
    assert {"hold_features", "hold_heat", "hm_hp", "face_absent"} <= seen[-1][1]
    assert not {"hm", "wh", "reg"} & seen[-1][1]


def test_images_are_drawn_by_the_weights_of_set_and_image(phased):
    config = read_config(phased, ["input_px=32", "epoch_images=4000"])
    data = TrainingData(config, ALONE)
    expected = torch.tensor([0.5] * IMAGES + [2.0, 2.0, 0.0] + [2.0] * (IMAGES - 3), dtype=torch.float64)
    assert torch.equal(data.weights, expected)
    order = list(data.feed(config.all_phases[0])._order)
    assert len(order) == len(set(order)) == 4000, "an image that is drawn again has another number"
    shares = torch.bincount(torch.tensor(order) % len(data), minlength=len(data)) / 4000
    torch.testing.assert_close(shares.double(), expected / expected.sum(), atol=0.02, rtol=0)


def test_an_image_that_is_drawn_again_looks_different(phased):
    config = read_config(phased, ["input_px=32"])
    targets: TargetSets = TrainingData(config, ALONE)._targets
    first, again = targets[3], targets[3 + len(targets)]
    assert not torch.equal(first["image"], again["image"])
    assert torch.equal(again["image"], targets[3 + len(targets)]["image"])


def test_processes_get_batches_of_their_own_from_the_device(phased):
    config = read_config(phased, ["input_px=32", "feed=device"])
    images = []
    for rank in (0, 1):
        group = ProcessGroup(rank, 2, torch.device("cpu"))
        feed = TrainingData(config, group).feed(config.all_phases[0])
        batches = list(feed.batches(0, 0))
        assert len(batches) == feed.steps == 2
        assert all(len(batch["image"]) == 2 for batch in batches)
        images.append(batches[0]["image"])
    assert not torch.equal(*images)


def test_a_run_with_a_time_ends_with_it_and_its_phases_share_it(phased, tmp_path):
    """The first phase has a third of the time, as it has a third of the epochs."""
    config = read_config(phased, ["input_px=32", "feed=device", "epoch_images=100000"])
    trainer = Trainer(config, tmp_path, ALONE, seconds=3.0)
    seen = []
    began = time.perf_counter()

    def stepped(progress):
        seen.append((progress.phase, progress.rate, time.perf_counter() - began))

    assert trainer.run(stepped=stepped)
    phases = [phase for phase, _, _ in seen]
    assert phases == sorted(phases)
    assert set(phases) == {"parts", "trunk"}
    rates = [rate for phase, rate, _ in seen if phase == "parts"]
    assert rates == sorted(rates, reverse=True), "the cosine falls with the time"
    assert trainer.complete
    assert trainer.at.phase_s >= 2.0
    assert Trainer(config, tmp_path, ALONE, seconds=3.0).complete, "the time that was used is kept"


def test_the_rate_follows_the_schedule():
    config = read_config_of(schedule="cosine", epochs=10, learning_rate=1.0, warm_up=0)
    schedule = Schedule(config)
    at = [schedule.rate(Position(phase_epoch=epoch, phase_step=epoch * 5), 5) for epoch in (0, 5, 10)]
    assert at == pytest.approx([1.0, 0.51, 0.02])
    assert Schedule(config, seconds=60).rate(Position(phase_s=30.0), 5) == pytest.approx(0.51)
    drops = Schedule(read_config_of(epochs=10, drops=(4,), learning_rate=1.0, warm_up=10))
    rates = [drops.rate(Position(phase_epoch=epoch, phase_step=step), 5) for epoch, step in ((0, 0), (4, 20))]
    assert rates == pytest.approx([0.1, 0.1])


def read_config_of(**values):
    from hprnet_rt.training.config import TrainConfig

    return TrainConfig(**values)


def test_a_checkpoint_is_written_after_the_seconds_that_were_asked_for(phased, tmp_path):
    config = read_config(phased, ["input_px=32", "save_every=100000", "save_every_s=0.01"])
    saved = []
    trainer = Trainer(config, tmp_path, ALONE)
    save = trainer.save
    trainer.save = lambda: (saved.append(trainer.at.total), save())
    assert trainer.run(stop=threading.Event())
    assert len(saved) >= 8


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("phases.0.schedule=linear", "schedule is one of drops, cosine, got 'linear'"),
        ("phases.0.hats=3", "there is no key 'hats'"),
        ("phases=3", "phases is a list of tables, written"),
        ("phases.5.batch=3", "5 is not a table"),
        ("data.train_annotations=x.json", "the training set is either train_annotations"),
        ("data.sets.0.weight=0", "the weight of a set is more than 0"),
        ("augmentation=paper", None),
        ("recorded=true", 'recorded = true is for feed = "device"'),
        ("labels=hands", "labels is one of all, parts, got 'hands'"),
    ],
)
def test_wrong_keys_of_phases_and_sets_are_sentences(phased, change, words):
    if words is None:
        with pytest.raises(UsageError, match="has the strong augmentation"):
            read_config(phased, [change, "feed=device"])
        return
    with pytest.raises(UsageError, match=words):
        read_config(phased, [change])


def test_a_weight_below_0_is_a_sentence(data, tmp_path):
    from hprnet_rt.errors import DataError
    from hprnet_rt.evaluation import read_annotations

    truth = json.loads((data / "truth.json").read_text())
    truth["images"][1]["weight"] = -1
    (tmp_path / "wrong.json").write_text(json.dumps(truth))
    with pytest.raises(DataError, match="image 1 has a weight below 0"):
        read_annotations(tmp_path / "wrong.json")
