"""Targets made on a device equal those of `make_targets`, one image at a time."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from hprnet_rt.spec import HPRNET_MOBILE  # noqa: E402
from hprnet_rt.training.affine import clip_sample  # noqa: E402
from hprnet_rt.training.feed.labels import Labels, pack_labels  # noqa: E402
from hprnet_rt.training.feed.targets import Spread, batch_targets  # noqa: E402
from hprnet_rt.training.feed.views import clip_labels  # noqa: E402
from hprnet_rt.training.targets import HEAT_TARGETS, make_targets  # noqa: E402
from tests.training.people import ALL_SPECS, sample_of, wild  # noqa: E402

HW = (96, 128)
ROWS = 6
FLOAT32 = 2e-5  # cells; positions of up to 32 cells have steps of 4e-6


def made(samples, spec, *, background=True, **options):
    return batch_targets(pack_labels(samples, ROWS, background=background), spec, HW, **options)


def assert_equal_targets(found, sample, spec, image, background):
    """Compare with `make_targets`, whose rows are the people, without gaps."""
    expected = make_targets(sample, spec, max_people=ROWS, unlabelled_is_background=background)
    rows = found["person_mask"][image].numpy()
    count = int(expected["person_mask"].sum())
    assert rows.sum() == count
    for name, wanted in expected.items():
        got = found[name][image].numpy()
        if name not in HEAT_TARGETS:
            got, wanted = got[rows], wanted[:count]
        assert got.dtype == wanted.dtype, name
        if got.dtype.kind == "f":
            np.testing.assert_allclose(got, wanted, atol=FLOAT32, err_msg=name)
        else:
            np.testing.assert_array_equal(got, wanted, err_msg=name)


@ALL_SPECS
@pytest.mark.parametrize("background", [True, False])
def test_targets_of_a_batch_equal_those_of_each_image(spec, background):
    """People cross the border, lack points and parts, are ignored, and are small."""
    samples = [
        clip_sample(dataclasses.replace(wild(seed), image=np.zeros((*HW, 3), np.uint8))) for seed in range(8)
    ]
    found = made(samples, spec, background=background)
    for image, sample in enumerate(samples):
        assert_equal_targets(found, sample, spec, image, background)


def test_a_loss_of_parts_alone_needs_the_maps_of_parts_alone():
    spec = HPRNET_MOBILE
    samples = [clip_sample(wild(seed)) for seed in range(3)]
    whole, parts = made(samples, spec, background=False), made(samples, spec, background=False, heat="parts")
    first = spec.joint("left_big_toe")
    for name in ("hm_hp", "hm_hp_known"):
        assert torch.equal(whole[name][:, first:], parts[name][:, first:])
        assert not parts[name][:, :first].any()
    assert not parts["hm_known"].any()
    for name in whole.keys() - set(HEAT_TARGETS):
        assert torch.equal(whole[name], parts[name]), name


def test_an_absent_face_is_background_where_an_unlabelled_one_is_unknown():
    spec = HPRNET_MOBILE
    sample = sample_of([(20, 10, 100, 90)])
    sample.part_valid[0, 0] = False
    face = spec.joint("face_center")
    unknown = made([sample], spec, background=False)
    assert not unknown["hm_hp_known"][0, face, 10, 15]
    assert not unknown["part_absent"].any()
    sample.part_absent[0, 0] = True
    absent = made([sample], spec, background=False)
    assert absent["hm_hp_known"][0, face].all()
    assert absent["part_absent"][0, 0].tolist() == [True, False, False]


def test_moved_cells_point_to_the_same_places_and_stay_within_reach():
    spec = HPRNET_MOBILE
    samples = [clip_sample(wild(seed)) for seed in range(6)]
    shares = {"face": 0.2, "left_hand": 0.1}
    numbers = 2 + 2 * spec.num_joints + 2 * len(spec.parts)
    chance = torch.rand(len(samples), ROWS, numbers, generator=torch.Generator().manual_seed(0))
    exact = made(samples, spec)
    moved = made(samples, spec, spread=Spread(0.15, shares, chance))
    width = HW[1] // 4

    def place(targets, cell, offset):
        xy = torch.stack((targets[cell] % width, targets[cell] // width), dim=-1)
        while xy.ndim < targets[offset].ndim:
            xy = xy.unsqueeze(2)
        return xy + targets[offset]

    for cell, offset, mask in (
        ("person_cell", "reg", "person_mask"),
        ("person_cell", "hps", "joint_mask"),
        ("joint_cell", "hp_offset", "joint_mask"),
    ):
        there = exact[mask]
        torch.testing.assert_close(place(moved, cell, offset)[there], place(exact, cell, offset)[there])
        assert not torch.equal(moved[cell], exact[cell])
    for index, part in enumerate(spec.parts):
        mask = exact[f"{part.name}_points_mask"]
        shift = moved[f"{part.name}_points"] - exact[f"{part.name}_points"]
        column = torch.stack((exact["part_cell"] % width, exact["part_cell"] // width), -1)[:, :, index]
        new = torch.stack((moved["part_cell"] % width, moved["part_cell"] // width), -1)[:, :, index]
        torch.testing.assert_close(shift[mask], (column - new).unsqueeze(2).expand(shift.shape)[mask].float())
        assert (shift[mask] != 0).any() == (part.name in shares)
        sides = exact[f"{part.name}_points"].masked_fill(~mask.unsqueeze(-1), 0).abs().amax()
        assert shift[mask].abs().max() <= shares.get(part.name, 0) * 2 * sides + 1


def test_the_largest_people_are_kept_and_come_before_regions():
    boxes = [(0, 0, 20, 20), (10, 10, 90, 90), (30, 30, 60, 60), (5, 5, 100, 95)]
    sample = sample_of(boxes)
    sample.ignore[3] = True
    labels = pack_labels([sample], 2, background=True)
    assert labels.there.tolist() == [[True, True]]
    np.testing.assert_array_equal(labels.box_xyxy[0], np.array(boxes, np.float32)[[1, 2]])
    all_rows = pack_labels([sample], ROWS, background=True)
    both = Labels.joined([all_rows, all_rows], dim=1).first_rows(3)
    assert not both.ignore.any()
    assert both.there.all()


def test_people_outside_of_the_input_are_not_there():
    labels = clip_labels(pack_labels([wild(3)], ROWS, background=True), HW)
    sample = clip_sample(wild(3))
    assert int(labels.there.sum()) == len(sample)
