"""Displaced targets: offsets that start beside the centres and end at the same points."""

import numpy as np

from hprnet_rt.spec import HPRNET_DLA34
from hprnet_rt.training.displacement import displace_parts, displace_targets
from hprnet_rt.training.targets import make_targets
from tests.training.people import ALL_SPECS, cell_xy, sample_of, wild


def displaced_all(targets, spec, rng, share):
    """Displace people, joints and all parts by the same share."""
    shares = {part.name: share for part in spec.parts}
    return displace_parts(displace_targets(targets, rng, share), spec, rng, shares)


def absolute(targets, spec, width):
    """Return the positions in cells to which the offsets point, by name; 0 where nothing is known."""

    def at(cell):
        return np.stack((cell % width, cell // width), axis=-1).astype(np.float64)

    person = at(targets["person_cell"])
    joints = targets["joint_mask"]
    found = {
        "center": (person + targets["reg"]) * targets["person_mask"][:, None],
        "joints": (person[:, None] + targets["hps"]) * joints[..., None],
    }
    for i, part in enumerate(spec.parts):
        mask = targets[f"{part.name}_points_mask"]
        points = at(targets["part_cell"][:, i])[:, None] + targets[f"{part.name}_points"]
        found[part.name] = points * mask[..., None]
    return found


@ALL_SPECS
def test_displaced_offsets_point_at_the_same_places_from_cells_beside_the_centres(spec):
    sample = sample_of([(5, 9, 110, 250), (150, 21, 251, 262), (330, 30, 414, 380)], size=(384, 416), seed=3)
    targets = make_targets(sample, spec)
    moved = displaced_all(targets, spec, np.random.default_rng(1), 0.15)
    width = 104
    before, after = absolute(targets, spec, width), absolute(moved, spec, width)
    for name, positions in before.items():
        np.testing.assert_allclose(after[name], positions, atol=1e-4, err_msg=name)
    step = np.abs(np.diff(np.stack([
        np.stack((t["person_cell"] % width, t["person_cell"] // width), axis=1) for t in (targets, moved)
    ]), axis=0)[0])  # fmt: skip
    assert (step[:3] <= 0.15 * targets["wh"][:3] + 1).all()
    assert step[:3].any()
    assert not step[3:].any()
    cells = [np.stack((t["joint_cell"] % width, t["joint_cell"] // width), axis=-1) for t in (targets, moved)]
    assert np.abs(cells[1] - cells[0]).max() == 1
    assert not (cells[1] - cells[0])[~targets["joint_mask"]].any()
    there = [cell + t["hp_offset"] for cell, t in zip(cells, (targets, moved), strict=True)]
    np.testing.assert_allclose(there[1], there[0], atol=1e-4)
    for name in ("hm", "hm_hp", "wh", "person_mask"):
        np.testing.assert_array_equal(moved[name], targets[name])


@ALL_SPECS
def test_displaced_cells_stay_on_the_map_and_what_is_unknown_stays_0(spec):
    targets = make_targets(wild(4), spec)
    for seed in range(20):
        moved = displaced_all(targets, spec, np.random.default_rng(seed), 0.45)
        for name in ("person_cell", "part_cell", "joint_cell"):
            assert ((moved[name] >= 0) & (moved[name] < 24 * 32)).all()
        nobody = ~targets["person_mask"]
        assert not moved["reg"][nobody].any()
        assert not moved["hps"][~targets["joint_mask"]].any()
        assert not moved["hp_offset"][~targets["joint_mask"]].any()
        for part in spec.parts:
            assert not moved[f"{part.name}_points"][~targets[f"{part.name}_points_mask"]].any()


def test_the_same_chance_displaces_alike():
    targets = make_targets(sample_of([(42, 6, 82, 86)]), HPRNET_DLA34)
    one, same = (displaced_all(targets, HPRNET_DLA34, np.random.default_rng(5), 0.2) for _ in range(2))
    for name, values in one.items():
        np.testing.assert_array_equal(values, same[name])


def test_parts_without_a_share_stay_and_others_move_by_up_to_it():
    sample = sample_of([(5, 9, 380, 370)], size=(384, 416), seed=3)
    targets = make_targets(sample, HPRNET_DLA34)
    rng, steps = np.random.default_rng(2), []
    for _ in range(200):
        moved = displace_parts(targets, HPRNET_DLA34, rng, {"face": 0.15})
        np.testing.assert_array_equal(moved["part_cell"][:, 1:], targets["part_cell"][:, 1:])
        before, after = (cell_xy(each, "part_cell", 0, 0, width=104) for each in (targets, moved))
        steps.append(np.subtract(after, before))
    points = targets["face_points"][0]
    reach = np.floor(0.15 * (points.max(axis=0) - points.min(axis=0)) + 1)
    np.testing.assert_array_equal(np.abs(steps).max(axis=0), reach)
    assert np.abs(np.mean(steps, axis=0)).max() < 0.5
    for name in ("person_cell", "joint_cell", "hps", "left_hand_points"):
        np.testing.assert_array_equal(moved[name], targets[name])
