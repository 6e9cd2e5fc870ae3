"""The losses of a refinement, and that it learns."""

import dataclasses
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from torch.utils.data import default_collate  # noqa: E402

from hprnet_rt.model import create_model  # noqa: E402
from hprnet_rt.model.refine import Refiner  # noqa: E402
from hprnet_rt.refinement import RefinedPart, Refinement  # noqa: E402
from hprnet_rt.spec import HPRNET_DLA34_HM1  # noqa: E402
from hprnet_rt.training.absence import absence_weights  # noqa: E402
from hprnet_rt.training.losses import HprLoss  # noqa: E402
from hprnet_rt.training.refinement import (  # noqa: E402
    confidence_loss,
    local_loss,
    refined_loss,
    refinement_losses,
    refinement_weights,
)
from hprnet_rt.training.targets import make_targets  # noqa: E402
from tests.training.people import sample_of  # noqa: E402

FEET = Refinement(
    (RefinedPart("left_foot", 2, 4, (0.25, 0.15)), RefinedPart("right_foot", 1, 3, (0.2,))),
    features=6,
    local=(2, 6),
    local_hidden=5,
    hidden=7,
)
SPEC = dataclasses.replace(HPRNET_DLA34_HM1, refinement=FEET)
"""Three points a part: small arrays."""
HEIGHT, WIDTH = 10, 12
STEPS = 300


def plain_sigmoid_entropy(logit, target):
    """Return -(t log p + (1 - t) log (1 - p)) for a logit."""
    p = 1 / (1 + math.exp(-logit))
    return -(target * math.log(p) + (1 - target) * math.log(1 - p))


def plain_part_losses(steps, true, whole):
    """Compute the losses one step, one image, one person and one point at a time."""
    refined = confidence = 0.0
    for points, logits in steps:
        off = unsure = 0.0
        count = 1e-4
        for image, person in np.argwhere(whole):
            x, y = true[image, person].T
            size = max(x.max() - x.min(), y.max() - y.min(), 3.0)
            for point in range(len(x)):
                error = math.dist(points[image, person, point], true[image, person, point]) / size
                off += math.log(1 + error / 0.05)
                target = math.exp(-((error / 0.1) ** 2))
                unsure += plain_sigmoid_entropy(logits[image, person, point], target)
                count += 1
        refined += off / count
        confidence += unsure / count
    return refined, confidence


def plain_local_loss(logits, heat, window):
    total, there = 0.0, 1.0
    for image, point, row, column in np.ndindex(*logits.shape):
        if window[image, 0, row, column]:
            target = heat[image, point, row, column]
            entropy = plain_sigmoid_entropy(logits[image, point, row, column], target)
            total += (0.12 + 2 * target) * entropy
            there += target
    return total / there


@pytest.fixture
def refiner():
    """Make a refiner whose weights are not 0, so that points move."""
    torch.manual_seed(3)
    made = Refiner(FEET)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made


def problem(whole):
    """Make two images of three people, whose feet are large, small, and partly labelled."""
    rng = np.random.default_rng(1)
    feature = torch.from_numpy(rng.normal(size=(2, 6, HEIGHT, WIDTH)).astype(np.float32))
    targets = {
        "part_cell": torch.from_numpy(rng.integers(0, HEIGHT * WIDTH, (2, 3, 5))),
        "local": torch.from_numpy(rng.uniform(0, 1, (2, 3, HEIGHT, WIDTH)).astype(np.float32)),
        "local_window": torch.from_numpy(rng.random((2, 1, HEIGHT, WIDTH)) < (0.4 if whole.any() else 0)),
    }
    offsets = {}
    for name in ("left_foot", "right_foot"):
        sizes = np.array([5, 1, 3]).reshape(1, 3, 1, 1)
        mask = np.broadcast_to(whole[..., None], (2, 3, 3)).copy()
        mask[0, 2, 1] = False
        true = rng.normal(size=(2, 3, 3, 2)) * sizes * mask[..., None]
        targets[f"{name}_points"] = torch.from_numpy(true.astype(np.float32))
        targets[f"{name}_points_mask"] = torch.from_numpy(mask)
        offsets[name] = torch.from_numpy((true + rng.normal(size=true.shape)).astype(np.float32))
    return feature, offsets, targets


def test_every_loss_equals_the_plain_one(refiner):
    whole = np.array([[True, True, True], [False, True, True]])
    feature, offsets, targets = problem(whole)
    found = refinement_losses(SPEC, refiner, feature, offsets, targets)
    assert found.keys() == refinement_weights(FEET).keys()
    local = refiner.local_maps(feature)
    whole[0, 2] = False  # one of its points has no label
    arrays = (x.detach().double().numpy() for x in (local, targets["local"], targets["local_window"]))
    assert float(found["local"].detach()) == pytest.approx(plain_local_loss(*arrays), rel=1e-5)
    for part, column in zip(FEET.parts, (3, 4), strict=True):
        cell = targets["part_cell"][:, :, column].numpy()
        xy = np.stack((cell % WIDTH, cell // WIDTH), axis=-1)[:, :, None]
        points = offsets[part.name] + torch.from_numpy(xy)
        steps = [
            (moved.detach().double().numpy(), logits.detach().double().numpy())
            for moved, logits in refiner(part, feature, local, points)
        ]
        assert len(steps) == part.steps
        true = targets[f"{part.name}_points"].double().numpy() + xy
        refined, confidence = plain_part_losses(steps, true, whole)
        assert float(found[f"{part.name}_refined"].detach()) == pytest.approx(refined, rel=1e-5)
        assert float(found[f"{part.name}_confidence"].detach()) == pytest.approx(confidence, rel=1e-5)


def test_without_a_whole_part_losses_and_gradients_are_0_and_there(refiner):
    feature, offsets, targets = problem(np.zeros((2, 3), bool))
    feature.requires_grad_()
    found = refinement_losses(SPEC, refiner, feature, offsets, targets)
    assert not any(float(value.detach()) for value in found.values())
    torch.stack(list(found.values())).sum().backward()
    for tensor in (feature, *refiner.parameters()):
        assert tensor.grad is not None
        assert not tensor.grad.any()


def test_a_part_that_does_not_count_changes_nothing(refiner):
    """Neither do the head's offsets of such a part."""
    feature, offsets, targets = problem(np.ones((2, 3), bool))
    before = refinement_losses(SPEC, refiner, feature, offsets, targets)
    for name in ("left_foot", "right_foot"):
        offsets[name][0, 2] += 5
        targets[f"{name}_points"][0, 2] -= 3
    after = refinement_losses(SPEC, refiner, feature, offsets, targets)
    for name, value in before.items():
        assert float(value.detach()) == float(after[name].detach())


def test_no_gradient_flows_into_where_maps_are_read(refiner):
    """The head learns from its own loss alone; the feature map and all of the refinement learn."""
    feature, offsets, targets = problem(np.ones((2, 3), bool))
    for tensor in (feature, *offsets.values()):
        tensor.requires_grad_()
    found = refinement_losses(SPEC, refiner, feature, offsets, targets)
    torch.stack(list(found.values())).sum().backward()
    assert all(tensor.grad is None or not tensor.grad.any() for tensor in offsets.values())
    assert feature.grad.any()
    for name, parameter in refiner.named_parameters():
        assert parameter.grad.any(), name


def test_no_gradient_of_the_confidence_flows_into_the_error():
    error = torch.full((1, 1, 3), 0.1, requires_grad=True)
    logits, mask = torch.zeros(1, 1, 3, requires_grad=True), torch.ones(1, 1, 3, dtype=torch.bool)
    confidence_loss(logits, error, mask).backward()
    assert error.grad is None
    np.testing.assert_allclose(3 * logits.grad[0, 0], 0.5 - math.exp(-1), rtol=1e-3)
    assert float(refined_loss(error, mask).detach()) == pytest.approx(math.log(3), rel=1e-3)


def test_local_maps_learn_in_their_windows_only():
    logits = torch.zeros(1, 2, 4, 5, requires_grad=True)
    window = torch.zeros(1, 1, 4, 5, dtype=torch.bool)
    window[0, 0, 1:3, 2:] = True
    local_loss(logits, torch.zeros(1, 2, 4, 5), window).backward()
    np.testing.assert_array_equal(logits.grad != 0, window.expand(-1, 2, -1, -1))


@pytest.fixture
def one_thread():
    """Use one thread: on arrays this small several would mainly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_eight_pictures_are_learned_and_the_confidence_knows_which_are_not():
    """The heads' points are off by an eighth of the part; two pictures get new labels each time."""
    torch.manual_seed(0)
    refiner = Refiner(dataclasses.replace(FEET, hidden=128))
    feature = torch.randn(8, 6, HEIGHT, WIDTH)
    seen, unseen = slice(0, 6), slice(6, 8)
    _, _, targets = problem(np.ones((2, 3), bool))
    targets["local"], targets["local_window"] = (
        targets[name][:1].expand(8, -1, -1, -1) for name in ("local", "local_window")
    )
    targets["part_cell"] = torch.full((8, 1, 5), 5 * WIDTH + 5)
    true = torch.tensor([[0.0, -4.0], [-3.0, 4.0], [3.0, 3.0]]) + 0.5 * torch.randn(8, 1, 3, 2)
    offsets = {name: true + torch.randn(true.shape) for name in ("left_foot", "right_foot")}
    for name in offsets:
        targets[f"{name}_points_mask"] = torch.ones(8, 1, 3, dtype=torch.bool)
    weights = refinement_weights(FEET)
    optimizer = torch.optim.Adam(refiner.parameters(), lr=0.005)
    for _ in range(STEPS):
        labels = true.clone()
        labels[unseen] += 3 * torch.randn(2, 1, 3, 2)
        for name in offsets:
            targets[f"{name}_points"] = labels
        optimizer.zero_grad()
        found = refinement_losses(SPEC, refiner, feature, offsets, targets)
        torch.stack([weights[name] * value for name, value in found.items()]).sum().backward()
        optimizer.step()
    with torch.no_grad():
        local = refiner.local_maps(feature)
        for part in FEET.parts:
            (*_, (points, logits)) = refiner(part, feature, local, offsets[part.name] + 5)
            head, refined = (
                (each - true)[seen].norm(dim=-1).mean() for each in (offsets[part.name], points - 5)
            )
            assert float(head) > 0.8  # cells
            assert float(refined) < 0.2 * float(head)
            confidence = logits.sigmoid()
            assert float(confidence[seen].mean()) > 0.8
            assert float(confidence[unseen].mean()) < 0.25


def test_a_network_learns_its_refinement_with_the_rest():
    """The sum has the refinement's terms by their weights, and they reach the trunk."""
    network = create_model("hprnet-mobile")
    sample = dataclasses.replace(
        sample_of([(3, 2, 61, 62)]),
        image=np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8),
    )
    targets = default_collate([make_targets(sample, network.spec)])
    images = torch.from_numpy(sample.image[None])
    refinement = network.spec.refinement
    terms_of = refinement_weights(refinement) | absence_weights(refinement)
    loss = HprLoss(network.spec)
    total, terms = loss(network, images, targets)
    with torch.no_grad():
        heads, others = loss.sparse(network.stacks(images), targets)
    assert terms.keys() - others.keys() == terms_of.keys()
    expected = heads + sum(weight * terms[name] for name, weight in terms_of.items())
    assert float(total.detach()) == pytest.approx(float(expected), rel=1e-5)
    only = HprLoss(network.spec, weights=dict.fromkeys(others, 0.0))
    only(network, images, targets)[0].backward()
    assert network.parts.last.pointwise.weight.grad.any()
    assert network.trunk.stem[1].weight.grad.any()
    assert not network.heads["hand_lms"].branches["parts"].last[0].weight.grad.any()
