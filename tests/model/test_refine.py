"""The refinement in torch: the golden numbers, both ways to read the map, and where it runs."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from hprnet_rt.backends import ModelFile  # noqa: E402
from hprnet_rt.errors import ModelError  # noqa: E402
from hprnet_rt.model import HprnetMobile, create_model, load_weights  # noqa: E402
from hprnet_rt.model.peaks import PeakNetwork  # noqa: E402
from hprnet_rt.model.refine import Refiner  # noqa: E402
from hprnet_rt.spec import (  # noqa: E402
    HPRNET_DLA34,
    HPRNET_DLA34_BASELINE,
    HPRNET_MOBILE,
    PeakLayout,
    refined,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "refiner.npz"
WEIGHTS = GOLDEN.with_name("refiner_weights.npz")  # with which the golden numbers were made
REFINEMENT = HPRNET_MOBILE.refinement
KINDS = pytest.mark.parametrize("part", REFINEMENT.parts, ids=lambda part: part.name)
BOUND = 1e-4  # cells


@pytest.fixture(scope="module")
def network():
    """The shipped network, with the refinement of the golden numbers."""
    network = load_weights(HprnetMobile(), ModelFile.find("hprnet-mobile").path)
    with np.load(WEIGHTS) as arrays:
        network.refiner.load_state_dict(
            {name: torch.from_numpy(values.astype(np.float32)) for name, values in arrays.items()}
        )
    return network


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as arrays:
        return {name: torch.from_numpy(values.astype(np.float32)) for name, values in arrays.items()}


@KINDS
@pytest.mark.parametrize("project", [False, True], ids=["sample first", "project first"])
def test_every_step_gives_the_golden_numbers(network, golden, part, project):
    maps = golden["feature"], golden["local"]
    with torch.no_grad():
        steps = network.refiner(part, *maps, golden[f"{part.name}/points"], project=project)
    assert len(steps) == part.steps
    for t, (points, logit) in enumerate(steps):
        assert (points - golden[f"{part.name}/{t}/points"]).abs().max() < BOUND
        assert (logit.sigmoid() - golden[f"{part.name}/{t}/confidence"]).abs().max() < 1e-5


def test_the_local_maps_are_the_golden_ones(network, golden):
    with torch.no_grad():
        assert (network.refiner.local_maps(golden["feature"]) - golden["local"]).abs().max() < BOUND


@KINDS
def test_a_new_refinement_moves_nothing_and_is_undecided(part):
    refiner = Refiner(REFINEMENT)
    points = 10 * torch.rand(2, 3, part.num_keypoints, 2)
    for found, logit in refiner(part, torch.rand(2, 88, 12, 16), torch.rand(2, 21, 12, 16), points):
        assert torch.equal(found, points)
        assert not logit.any()


@KINDS
def test_gradients_reach_the_map_and_not_where_it_is_read(network, part):
    feature = torch.rand(1, 88, 12, 16, requires_grad=True)
    local = torch.rand(1, 21, 12, 16, requires_grad=True)
    points = (3 + 6 * torch.rand(1, 2, part.num_keypoints, 2)).requires_grad_()
    total = sum(found.sum() + logit.sum() for found, logit in network.refiner(part, feature, local, points))
    total.backward()
    assert points.grad is None
    assert feature.grad.any()
    assert (local.grad is not None and local.grad.any().item()) == bool(part.reach)


def test_a_network_refines_inside_as_it_does_after_its_peaks(network):
    """All candidates in one go, against each of them by the refinement alone."""
    torch.manual_seed(0)
    images = torch.randint(0, 256, (2, 6, 8, 3), dtype=torch.uint8)
    images = images.repeat_interleave(16, 1).repeat_interleave(16, 2)
    k, layout = 8, PeakLayout.of(HPRNET_MOBILE, refined=True)
    with torch.no_grad():
        plain, features, local, inside = PeakNetwork(network, k, refine="both")(images)
        alone = PeakNetwork(network, k)(images)
        assert torch.equal(inside, alone)
        maps = features.permute(0, 3, 1, 2), local.permute(0, 3, 1, 2)
        assert torch.equal(plain, PeakNetwork(network, k, refine="after")(images)[0])
        for part in REFINEMENT.parts:
            for where in ("peak", "regressed"):
                columns = layout.columns[f"{part.name}_{where}"]
                points = plain[:, :, columns].reshape(2, k, -1, 2)
                expected, logit = network.refiner(part, *maps, points)[-1]
                assert (inside[:, :, columns] - expected.flatten(2)).abs().max() < BOUND
                sure = inside[:, :, layout.columns[f"{part.name}_{where}_confidence"]]
                assert (sure - logit.sigmoid()).abs().max() < 1e-5
    for name in PeakLayout.of(HPRNET_MOBILE).columns:
        if name.endswith(("_peak", "_regressed")) and name != "joint_regressed":
            continue
        assert torch.equal(inside[:, :, layout.columns[name]], plain[:, :, layout.columns[name]]), name


def test_the_papers_network_can_be_given_the_refinement():
    network = create_model("hprnet-dla34-r").eval()
    plain = create_model("hprnet-dla34").eval()
    new = {name for name in network.state_dict() if name not in plain.state_dict()}
    assert new
    assert all(name.startswith("refiner.") for name in new)
    plain.load_state_dict({name: w for name, w in network.state_dict().items() if name not in new})
    images = torch.randint(0, 256, (1, 64, 96, 3), dtype=torch.uint8)
    with torch.no_grad():
        with_it, without = PeakNetwork(network, 4)(images), PeakNetwork(plain, 4)(images)
    width = PeakLayout.of(HPRNET_DLA34).width
    assert torch.equal(with_it[:, :, :width], without)  # new, it moves nothing
    assert (with_it[:, :, width:] == 0.5).all()


def test_a_network_without_centres_of_parts_cannot_be_refined():
    with pytest.raises(ModelError, match="hprnet-dla34-baseline has no parts"):
        refined(HPRNET_DLA34_BASELINE, 64)
