"""The losses between a network and its targets."""

import dataclasses
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from torch.utils.data import default_collate  # noqa: E402

from hprnet_rt.errors import UsageError  # noqa: E402
from hprnet_rt.model import create_model  # noqa: E402
from hprnet_rt.skeleton import SIGMAS  # noqa: E402
from hprnet_rt.spec import HPRNET_DLA34, HPRNET_DLA34_HM1, SPECS  # noqa: E402
from hprnet_rt.training.losses import HprLoss, focal_loss, masked_mean, wing  # noqa: E402
from hprnet_rt.training.targets import make_targets  # noqa: E402
from tests.model.recipe import images, recipe_network  # noqa: E402
from tests.model.shrunk import make_thin  # noqa: E402
from tests.training.people import heads_of, sample_of, wild  # noqa: E402

TWO = [(5, 9, 60, 90), (70, 31, 121, 120)]
IDLE = {"base", "base.level3.project", "base.level4.project"}  # in the released files, but read by nothing


@pytest.fixture(params=list(SPECS))
def network(request, monkeypatch):
    make_thin(monkeypatch)
    return recipe_network(request.param)


def batch_of(samples, spec, **options):
    return default_collate([make_targets(sample, spec, **options) for sample in samples])


def square(sample):
    """Make a sample of 128 x 128 px, with maps of 32 x 32 cells."""
    return dataclasses.replace(sample, image=np.zeros((128, 128, 3), np.uint8))


def dense_stacks(network, batch):
    return [
        {head.name: branch(head.name)(feature) for head in network.spec.heads}
        for feature, branch in network.stacks(batch)
    ]


def logit(p):
    return math.log(p / (1 - p))


def test_focal_loss_by_hand():
    """The cells are a right one, a wrong one, one near a right one, and two unknown ones."""
    heat = torch.tensor([1.0, 0.0, 0.5, 0.0, 1.0])
    known = torch.tensor([True, True, True, False, False])
    logits = torch.tensor([logit(0.8), logit(0.3), logit(0.6), 3.0, -1.0])
    expected = -(
        0.2**2 * math.log(0.8) + 0.3**2 * math.log(0.7) + 0.5**4 * 0.6**2 * math.log(0.4)
    )  # over one positive
    assert float(focal_loss(logits, heat, known)) == pytest.approx(expected, rel=1e-5)
    twice = focal_loss(logits.repeat(2), heat.repeat(2), known.repeat(2))
    assert float(twice) == pytest.approx(expected, rel=1e-5)


def test_focal_loss_of_an_image_without_people_is_the_plain_sum():
    logits = torch.full((2, 3), logit(0.3))
    loss = focal_loss(logits, torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.bool))
    assert float(loss) == pytest.approx(-6 * 0.3**2 * math.log(0.7), rel=1e-5)


def test_focal_loss_never_lets_go_of_a_cell_that_is_wrong():
    """At logits whose probability rounds to 0 or 1, the loss is the logit, with its full gradient."""
    logits = torch.tensor([-1e4, 1e4, 0.0], requires_grad=True)
    loss = focal_loss(logits, torch.tensor([1.0, 0.0, 1.0]), torch.ones(3, dtype=torch.bool))
    assert float(loss.detach()) == pytest.approx((2e4 - 0.25 * math.log(0.5)) / 2, rel=1e-6)
    loss.backward()
    np.testing.assert_allclose(logits.grad[:2], [-0.5, 0.5], rtol=1e-6)


def test_masked_mean_counts_values_that_have_a_label():
    error = torch.tensor([[[1.0, 2.0], [5.0, 7.0]]])
    mean = masked_mean(error, torch.tensor([[True, False]]))
    assert float(mean) == pytest.approx(3 / 2.0001)
    assert float(masked_mean(error, torch.tensor([[False, False]]))) == 0


def test_wing_is_a_logarithm_then_a_line_without_a_step():
    error = torch.tensor([0.0, 0.5, 2.5 - 1e-6, 2.5, 4.5])
    zero, near, below, at, far = wing(error).tolist()
    assert zero == 0
    assert near == pytest.approx(2.5 * math.log(2))
    assert below == pytest.approx(at, abs=1e-4)
    assert far - at == pytest.approx(2)


@pytest.mark.parametrize("name", list(SPECS))
def test_heads_that_equal_the_targets_cost_nothing_but_on_the_heat_maps(name):
    """Every joint is in the middle of its cell, so that those in one cell agree about its offset."""
    spec = SPECS[name]
    people = square(sample_of(TWO))
    for positions in (people.xy, people.part_box_xyxy):
        positions[:] = np.floor(positions / 8) * 8 + 2
    targets = make_targets(people, spec)
    heads = {k: torch.from_numpy(v) for k, v in heads_of(targets, spec).items()}
    for heat in ("hm", "hm_hp"):
        heads[heat] = torch.logit((heads[heat] == 1).float(), eps=1e-6)
    total, terms = HprLoss(spec).dense([heads], default_collate([targets]))
    assert all(float(value) < 1e-5 for value in terms.values())
    assert float(total) < 1e-4


def test_a_parts_error_is_measured_in_eighths_of_its_size_and_a_joints_in_cells():
    """Every head is 0, so that an error is the target itself."""
    spec = HPRNET_DLA34
    targets = batch_of([square(wild(3)), square(sample_of(TWO))], spec)
    zeros = {head.name: torch.zeros(2, head.channels, 32, 32) for head in spec.heads}
    _, plain = HprLoss(spec).dense([zeros], targets)
    _, terms = HprLoss(spec, points="size").dense([zeros], targets)
    assert float(terms["hps"]) == float(plain["hps"])
    for part in ("face", "left_hand"):
        points, mask = targets[f"{part}_points"].numpy(), targets[f"{part}_points_mask"].numpy()
        total = count = 0.0
        for image, row in zip(*mask.any(axis=2).nonzero(), strict=True):
            own = points[image, row][mask[image, row]]
            size = max(float(np.ptp(own, axis=0).max()), 5.0)
            total += float(np.abs(own).sum()) * 8 / size
            count += own.size
        assert float(terms[part]) == pytest.approx(total / (count + 1e-4), rel=1e-4)


@pytest.mark.parametrize("name", ["hprnet-mobile", "hprnet-dla34-hm1"])
def test_labels_of_parts_alone_teach_nothing_about_the_body(name):
    """The body's labels may be anything, and nothing of the body's outputs has a gradient."""
    spec = SPECS[name]
    targets = batch_of([square(wild(3)), square(sample_of(TWO))], spec)
    heads = {head.name: torch.randn(2, head.channels, 32, 32).requires_grad_() for head in spec.heads}
    loss = HprLoss(spec, labels="parts")
    total, terms = loss.dense([heads], targets)
    assert not {"hm", "wh", "reg"} & terms.keys()
    total.backward()
    body = [joint for joint, anchor in enumerate(spec.anchor_of_joint) if anchor < 0]
    parts = [joint for joint, anchor in enumerate(spec.anchor_of_joint) if anchor >= 0]
    assert not heads["hm_hp"].grad[:, body].any()
    assert heads["hm_hp"].grad[:, parts].any()
    pairs = heads["hps"].grad.reshape(2, spec.num_joints, 2, 32, 32)
    assert not pairs[:, body].any()
    assert pairs[:, parts].any()
    changed = dict(targets)
    for key in ("hm_hp", "hps", "hp_offset"):
        changed[key] = targets[key].clone()
        channel = (slice(None), body) if key == "hm_hp" else (slice(None), slice(None), body)
        changed[key][channel] += 3
    again, _ = loss.dense([heads], changed)
    assert float(again.detach()) == float(total.detach())


def test_each_l1_term_by_hand():
    """Every head is 0, so that every term is the mean of the targets' sizes."""
    spec = HPRNET_DLA34
    targets = batch_of([square(wild(3)), square(sample_of(TWO))], spec)
    zeros = {head.name: torch.zeros(2, head.channels, 32, 32) for head in spec.heads}
    loss = HprLoss(spec)
    total, terms = loss.dense([zeros], targets | {"image_id": torch.arange(2)})

    def mean(name, mask):
        chosen = targets[name][targets[mask]]
        return float(chosen.abs().sum() / (chosen.numel() + 1e-4))

    for name, mask in (
        ("wh", "person_mask"),
        ("reg", "person_mask"),
        ("hps", "joint_mask"),
        ("hp_offset", "joint_mask"),
    ):
        assert float(terms[name]) == pytest.approx(mean(name, mask), rel=1e-5)
    for part in ("face", "left_hand", "right_hand"):
        expected = mean(f"{part}_points", f"{part}_points_mask")
        assert float(terms[part]) == pytest.approx(expected, rel=1e-5)
    face = targets["wh_face"][targets["joint_mask"][..., spec.joint("face_center")]]
    assert float(terms["wh_face"]) == pytest.approx(float(face.mean()), rel=1e-4)
    tenth = {"wh", "wh_face"}
    expected = sum(float(value) * (0.1 if name in tenth else 1) for name, value in terms.items())
    assert float(total) == pytest.approx(expected, rel=1e-5)
    assert list(terms) == list(loss.weights)


def test_a_pair_of_channels_of_its_own_is_read_for_each_joint():
    """The pair of joint j is (j, -j) everywhere."""
    spec = SPECS["hprnet-mobile"]
    targets = batch_of([square(sample_of(TWO))], spec)
    heads = {head.name: torch.zeros(1, head.channels, 32, 32) for head in spec.heads}
    steps = torch.arange(26.0)
    heads["hp_offset"] = torch.stack((steps, -steps), 1).reshape(1, 52, 1, 1).expand(-1, -1, 32, 32)
    error = torch.stack((steps, -steps), 1) - targets["hp_offset"][0, :2]
    expected = error[targets["joint_mask"][0, :2]].abs().mean()
    _, terms = HprLoss(spec).dense([heads], targets)
    assert float(terms["hp_offset"]) == pytest.approx(float(expected), rel=1e-4)


def test_sparse_losses_and_gradients_equal_dense_ones(network):
    spec = network.spec
    targets = batch_of([square(sample_of(TWO)), square(wild(5))], spec, unlabelled_is_background=False)
    batch, loss = torch.from_numpy(images((128, 128), 2)), HprLoss(spec)
    totals, terms, gradients = [], [], []
    for total, found in (
        loss.dense(dense_stacks(network, batch), targets),
        loss.sparse(network.stacks(batch), targets),
    ):
        network.zero_grad()
        total.backward()
        totals.append(float(total.detach()))
        terms.append({name: float(value) for name, value in found.items()})
        gradients.append({name: p.grad for name, p in network.named_parameters() if p.grad is not None})
    assert total.dtype == torch.float32
    assert totals[0] == pytest.approx(totals[1], rel=1e-5)
    assert terms[0] == pytest.approx(terms[1], rel=1e-4)
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        # 1e-3 of the largest: sums of up to 1e5 float32 products in another order
        limit = 1e-3 * float(gradient.abs().max()) + 1e-7
        assert float((gradient - gradients[1][name]).abs().max()) <= limit, name


def test_gradients_reach_every_weight_that_learns(network):
    network.train()
    targets = batch_of([square(sample_of(TWO)), square(sample_of(TWO, seed=1))], network.spec)
    total, _ = HprLoss(network.spec)(network, torch.from_numpy(images((128, 128), 2)), targets)
    total.backward()
    idle = {name.rsplit(".", 2)[0] for name, p in network.named_parameters() if p.grad is None}
    assert idle == (IDLE if "dla34" in network.spec.name else set())
    dead = [name for name, p in network.named_parameters() if p.grad is not None and not p.grad.any()]
    assert not dead


def test_every_stack_of_an_hourglass_counts_alike(monkeypatch):
    make_thin(monkeypatch)
    network = recipe_network("hprnet-hourglass104")
    targets = batch_of([square(sample_of(TWO))], network.spec)
    loss, batch = HprLoss(network.spec), torch.from_numpy(images((128, 128)))
    with torch.no_grad():
        stacks = network.stacks(batch)
        both, terms = loss.sparse(stacks, targets)
        single = [loss.sparse([stack], targets) for stack in stacks]
        last = network.dense(batch)
        torch.testing.assert_close(stacks[-1][1]("wh")(stacks[-1][0]), last["wh"])
    assert len(stacks) == 2
    assert stacks[0][1]("hm") is not stacks[1][1]("hm")
    assert float(both) == pytest.approx(sum(float(total) for total, _ in single) / 2, rel=1e-5)
    for name, value in terms.items():
        assert float(value) == pytest.approx(sum(float(t[name]) for _, t in single) / 2, rel=1e-4)


def test_a_batch_without_people_has_a_loss_and_a_gradient_everywhere():
    """Processes that share gradients wait for those of every weight."""
    network = create_model("hprnet-mobile")
    targets = batch_of([square(sample_of([]))], network.spec)
    total, terms = HprLoss(network.spec)(network, torch.from_numpy(images((128, 128))), targets)
    total.backward()
    assert float(terms["hm"]) > 0
    assert all(float(value) == 0 for name, value in terms.items() if name not in ("hm", "hm_hp"))
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


def test_losses_are_float32_under_autocast():
    network = recipe_network("hprnet-mobile")
    targets = batch_of([square(sample_of(TWO))], network.spec)
    loss, batch = HprLoss(network.spec), torch.from_numpy(images((128, 128)))
    plain, _ = loss(network, batch, targets)
    with torch.autocast("cpu", torch.bfloat16):
        total, terms = loss(network, batch, targets)
    assert total.dtype == torch.float32
    assert {value.dtype for value in terms.values()} == {torch.float32}
    assert float(total.detach()) == pytest.approx(float(plain.detach()), rel=0.1)
    total.backward()


def test_unknown_cells_have_no_gradient():
    spec = HPRNET_DLA34
    sample = dataclasses.replace(square(sample_of(TWO)), ignore=np.array([False, True]))
    targets = batch_of([sample], spec)
    heads = {head.name: torch.zeros(1, head.channels, 32, 32, requires_grad=True) for head in spec.heads}
    total, _ = HprLoss(spec).dense([heads], targets)
    total.backward()
    for name in ("hm", "hm_hp"):
        np.testing.assert_array_equal(heads[name].grad != 0, targets[f"{name}_known"])


def test_oks_points_are_measured_by_what_oks_tolerates():
    spec = HPRNET_DLA34_HM1
    targets = batch_of([square(sample_of(TWO[:1]))], spec)
    zeros = {head.name: torch.zeros(1, head.channels, 32, 32) for head in spec.heads}
    _, terms = HprLoss(spec, points="oks").dense([zeros], targets)
    side = math.sqrt(55 * 81) / 4
    double = 2 * np.array(SIGMAS)
    points = np.abs(targets["face_points"][0, 0].numpy())
    expected = (points / (double[23:91, None] * side)).mean()
    assert float(terms["face"]) == pytest.approx(expected, rel=1e-4)
    of_joint = np.array(
        [
            *double[:17],
            *(double[part].mean() for part in (slice(23, 91), slice(91, 112), slice(112, 133))),
            *(double[part].mean() for part in (slice(17, 20), slice(20, 23))),
        ]
    )
    expected = (np.abs(targets["hps"][0, 0].numpy()) / (of_joint[:, None] * side)).mean()
    assert float(terms["hps"]) == pytest.approx(expected, rel=1e-4)


def test_wing_points_are_wings_of_the_error():
    spec = HPRNET_DLA34
    targets = batch_of([square(sample_of(TWO[:1]))], spec)
    zeros = {head.name: torch.zeros(1, head.channels, 32, 32) for head in spec.heads}
    _, terms = HprLoss(spec, points="wing").dense([zeros], targets)
    _, plain = HprLoss(spec).dense([zeros], targets)
    assert float(terms["hps"]) == pytest.approx(float(wing(targets["hps"][0, 0].abs()).mean()), rel=1e-4)
    assert float(terms["wh"]) == float(plain["wh"])


def test_weights_are_by_name():
    loss = HprLoss(HPRNET_DLA34, weights={"face": 0.5})
    assert loss.weights["face"] == 0.5
    assert loss.weights["wh"] == loss.weights["wh_face"] == 0.1
    with pytest.raises(UsageError, match=r"no loss face_lms.*left_hand"):
        HprLoss(HPRNET_DLA34, weights={"face_lms": 1.0})
    with pytest.raises(UsageError, match=r"l1.*'l2'"):
        HprLoss(HPRNET_DLA34, points="l2")
