"""The body is held near its teachers, each for the images that it teaches."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from torch.utils.data import default_collate  # noqa: E402

from hprnet_rt.errors import UsageError  # noqa: E402
from hprnet_rt.model import create_model, save_checkpoint  # noqa: E402
from hprnet_rt.spec import HPRNET_MOBILE  # noqa: E402
from hprnet_rt.training.config import Teacher, TrainConfig  # noqa: E402
from hprnet_rt.training.hold import Hold, largest_person  # noqa: E402
from hprnet_rt.training.targets import make_targets  # noqa: E402
from tests.training.people import sample_of  # noqa: E402

SIDE = 64
SMALL, LARGE = (4, 4, 16, 20), (3, 2, 61, 62)


def saved(seed, folder):
    """Make a network with random weights, and save it; return it and its checkpoint."""
    torch.manual_seed(seed)
    network = create_model("hprnet-mobile")
    path = folder / f"{seed}.pth"
    save_checkpoint(network, path)
    return network, path


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return saved(1, tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    return saved(2, tmp_path_factory.mktemp("second"))


@pytest.fixture(scope="module")
def batch():
    """Make an image with a small person and one with a large one."""
    rng = np.random.default_rng(0)
    samples = [
        dataclasses.replace(
            sample_of([box], size=(SIDE, SIDE)), image=rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        )
        for box in (SMALL, LARGE)
    ]
    images = torch.from_numpy(np.stack([sample.image for sample in samples]))
    return images, default_collate([make_targets(sample, HPRNET_MOBILE) for sample in samples])


def held(network, teachers, images, targets):
    hold = Hold(network, teachers, images)
    with torch.no_grad():
        return {
            name: float(value)
            for name, value in hold(network, network.stacks(images)[-1], images, targets).items()
        }


def test_a_network_is_at_no_distance_from_itself(first, batch):
    network, path = first
    found = held(network, [Teacher(str(path))], *batch)
    assert found == pytest.approx({"hold_features": 0.0, "hold_heat": 0.0}, abs=1e-3)


def test_another_network_is_far_and_its_weights_count(first, second, batch):
    once = held(first[0], [Teacher(str(second[1]), features=1, heat=1)], *batch)
    assert min(once.values()) > 0.01
    twice = held(first[0], [Teacher(str(second[1]), features=2, heat=3)], *batch)
    assert twice["hold_features"] == pytest.approx(2 * once["hold_features"], rel=1e-4)
    assert twice["hold_heat"] == pytest.approx(3 * once["hold_heat"], rel=1e-4)


def test_the_size_of_the_largest_person_chooses_the_teacher(first, second, batch):
    """The network is its own teacher for small people, so only the other one's image counts."""
    images, targets = batch
    targets = targets | {"wh_face": torch.zeros_like(targets["wh"])}
    assert largest_person(targets, (16, 16)).tolist() == pytest.approx([16 / SIDE, 60 / SIDE])
    network = first[0]
    own, other = str(first[1]), str(second[1])
    small, large = {"most_person": 0.5}, {"least_person": 0.5}
    mixed = held(network, [Teacher(own, **small), Teacher(other, **large)], images, targets)
    hold = Hold(network, [Teacher(other)], images)
    one = {name: tensor[1:] for name, tensor in targets.items()}
    with torch.no_grad():
        alone = hold(network, network.stacks(images[1:])[-1], images[1:], one)
    for name, value in mixed.items():
        assert value == pytest.approx(float(alone[name]), rel=0.02, abs=1e-3), name


def test_people_of_whom_only_a_part_is_seen_are_large(batch):
    """A face of 2.4 cells is that of a person of 24, half as large again as the map."""
    targets = batch[1] | {"wh_face": torch.full_like(batch[1]["wh"], 2.4)}
    assert largest_person(targets, (16, 16)).tolist() == pytest.approx([1.5, 1.5])


def test_the_trunk_learns_to_come_nearer_and_teachers_stay(first, second, batch):
    images, targets = batch
    network = create_model("hprnet-mobile")
    network.load_state_dict(first[0].state_dict())
    hold = Hold(network, [Teacher(str(second[1]))], images)
    assert not list(hold.parameters())
    assert not hold.state_dict()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    totals = []
    for _ in range(6):
        optimizer.zero_grad()
        total = sum(hold(network, network.stacks(images)[-1], images, targets).values())
        total.backward()
        optimizer.step()
        totals.append(float(total.detach()))
    assert totals[-1] < 0.9 * totals[0]
    assert network.trunk.stem[1].weight.grad.any()


def test_a_hold_without_teachers_is_a_sentence():
    phase = dataclasses.replace(TrainConfig().all_phases[0], hold=True)
    with pytest.raises(UsageError, match="no \\[\\[teachers\\]\\]"):
        TrainConfig(phases=(phase,))
