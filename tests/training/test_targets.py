"""What the heads should say about a sample."""

import dataclasses
import math

import numpy as np
import pytest

from hprnet_rt.errors import ShapeError, UsageError
from hprnet_rt.grouping import GroupingOptions, decode_dense
from hprnet_rt.skeleton import FACE, FEET, FLIP_INDEX, KEYPOINT_NAMES, LEFT_FOOT, LEFT_HAND, PARTS, RIGHT_HAND
from hprnet_rt.spec import HPRNET_DLA34, HPRNET_DLA34_BASELINE, HPRNET_DLA34_HM1, SPECS
from hprnet_rt.training.displacement import displaced, displaced_parts
from hprnet_rt.training.sample import Sample
from hprnet_rt.training.targets import gaussian_radius, make_targets
from tests.oracles import targets as oracle

ALL_SPECS = pytest.mark.parametrize("spec", SPECS.values(), ids=list(SPECS))
LOCAL = {"local", "local_window"}  # see test_local_maps.py
FACE_CENTER = HPRNET_DLA34.joint("face_center")


def sample_of(boxes, size=(96, 128), seed=0):
    """People in these boxes (px) on an image of this (height, width), with a label for everything.

    No position is a whole number of cells, and no box of a part is empty.
    """
    rng = np.random.default_rng(seed)
    box = np.array(boxes, np.float32).reshape(-1, 4)
    people = len(box)
    first, extent = box[:, None, :2], (box[:, 2:] - box[:, :2])[:, None]
    xy = first + extent * rng.uniform(0.03, 0.97, (people, 133, 2))
    part_box = np.zeros((people, 3, 4))
    for i, (points, middle) in enumerate(
        ((FACE, (0.5, 0.2)), (LEFT_HAND, (0.8, 0.5)), (RIGHT_HAND, (0.2, 0.6)))
    ):
        low = first[:, 0] + extent[:, 0] * (np.array(middle) - 0.1)
        high = first[:, 0] + extent[:, 0] * (np.array(middle) + 0.11)
        part_box[:, i] = np.concatenate((low, high), axis=1)
        count = points.stop - points.start
        xy[:, points] = low[:, None] + (high - low)[:, None] * rng.uniform(0, 1, (people, count, 2))
    return Sample(
        7,
        np.zeros((*size, 3), np.uint8),
        xy.astype(np.float32),
        np.ones((people, 133), bool),
        box,
        np.zeros(people, bool),
        part_box.astype(np.float32),
        np.ones((people, 3), bool),
    )


def wild(seed, people=6):
    """People who cross the border, lack points and parts, or are ignored."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(-30, 100, (people, 2))
    boxes = np.concatenate((low, low + rng.uniform(5, 90, (people, 2))), axis=1)
    sample = sample_of(boxes, seed=seed)
    labelled = rng.random((people, 133)) < 0.7
    labelled[0] = False
    labelled[1, FEET] = False
    return dataclasses.replace(
        sample,
        labelled=labelled,
        ignore=rng.random(people) < 0.3,
        part_valid=rng.random((people, 3)) < 0.6,
    )


def one(targets, name, row=0):
    return targets[name][row]


def cell_xy(targets, name, *where, width=32):
    y, x = divmod(int(targets[name][where]), width)
    return x, y


@pytest.mark.parametrize(("height", "width"), [(1, 1), (10, 10), (80, 31), (3, 128), (128, 128)])
def test_radius_equals_the_plain_one_and_grows_with_the_box(height, width):
    assert gaussian_radius(height, width) == pytest.approx(oracle.radius(height, width))
    assert gaussian_radius(height, width) == gaussian_radius(width, height)
    assert gaussian_radius(height + 1, width) > gaussian_radius(height, width)


def test_radius_of_a_square_by_hand():
    """Of the three cases of a 10 x 10 box, 19.07, 36.73 and 2.73, the last decides."""
    assert gaussian_radius(10, 10) == pytest.approx((math.sqrt(28**2 + 4 * 2.8 * 30) - 28) / 2)
    assert gaussian_radius(10, 10) == pytest.approx(2.733, abs=1e-3)


def test_one_person_by_hand():
    """A box of 40 x 80 px is 10 x 20 cells: the radius is 3, sigma 7 / 6."""
    sample = sample_of([(42, 6, 82, 86)])
    left_wrist = KEYPOINT_NAMES.index("left_wrist")
    sample.xy[0, left_wrist] = 50.8, 61
    targets = make_targets(sample, HPRNET_DLA34)
    assert int(gaussian_radius(20, 10)) == 3
    assert cell_xy(targets, "person_cell", 0) == (15, 11)
    assert one(targets, "wh") == pytest.approx([10, 20])
    assert one(targets, "reg") == pytest.approx([0.5, 0.5])
    hm = targets["hm"][0]
    assert hm[11, 15] == 1.0
    assert hm[11, 16] == hm[10, 15] == pytest.approx(math.exp(-1 / (2 * (7 / 6) ** 2)))
    assert hm[14, 18] == pytest.approx(math.exp(-18 / (2 * (7 / 6) ** 2)))
    assert hm[11, 19] == hm[15, 15] == 0
    assert np.count_nonzero(hm) == 49
    assert cell_xy(targets, "joint_cell", 0, left_wrist) == (12, 15)
    assert targets["hps"][0, left_wrist] == pytest.approx([12.7 - 15, 15.25 - 11])
    assert targets["hp_offset"][0, left_wrist] == pytest.approx([0.7, 0.25])
    assert targets["hm_hp"][left_wrist, 15, 12] == 1.0
    assert np.count_nonzero(targets["hm_hp"][left_wrist]) == 49
    assert targets["person_mask"].tolist() == [True] + 31 * [False]


def test_a_joint_between_people_keeps_the_higher_gaussian():
    sample = sample_of([(4, 4, 60, 84), (56, 4, 112, 84)])
    sample.xy[:, 0] = (42, 42), (66, 42)
    heat = make_targets(sample, HPRNET_DLA34)["hm_hp"][0]
    assert heat[10, 10] == heat[10, 16] == 1.0
    r = int(gaussian_radius(20, 14))
    assert heat[10, 13] == pytest.approx(oracle.gaussian(3, 0, r))


def test_a_box_across_the_border_is_cut_there():
    sample = sample_of([(-40, -20, 40, 100)])
    targets = make_targets(sample, HPRNET_DLA34)
    assert one(targets, "wh") == pytest.approx([10, 24])
    assert cell_xy(targets, "person_cell", 0) == (5, 12)
    assert targets["hm"][0, 12, 5] == 1.0


def test_a_box_outside_or_empty_or_without_numbers_has_no_targets():
    sample = sample_of([(10, 10, 60, 60), (-50, 10, -2, 60), (60, 60, 60, 90), (200, 0, 220, 20)])
    sample = dataclasses.replace(
        sample, box_xyxy=np.concatenate((sample.box_xyxy[:3], np.full((1, 4), np.nan, np.float32)))
    )
    targets = make_targets(sample, HPRNET_DLA34)
    assert targets["person_mask"].sum() == 1
    assert (targets["hm"] == 1).sum() == 1
    assert targets["hm_known"].all()


@pytest.mark.parametrize(
    ("box", "cell"),
    [
        ((-8, 40, 8.5, 60), (0, 12)),  # the centre is a quarter of a pixel from the left border
        ((110, 40, 145.9, 60), (31, 12)),
        ((40, 80, 60, 111.9), (12, 23)),
        ((-9, 40, 8, 60), None),
        ((120, 40, 136, 60), None),  # at 128, which is no cell any more
        ((40, -10, 60, 9), None),
    ],
)
def test_a_part_center_outside_the_map_teaches_nothing(box, cell):
    """The released code teaches cell 0 its points."""
    sample = sample_of([(4, 4, 124, 92)])
    sample.part_box_xyxy[0, 0] = box
    targets = make_targets(sample, HPRNET_DLA34)
    inside = cell is not None
    assert targets["joint_mask"][0, FACE_CENTER] == inside
    assert targets["face_points_mask"][0].any() == inside
    assert (targets["hm_hp"][FACE_CENTER] == 1).any() == inside
    assert targets["wh_face"][0].any() == inside
    if cell:
        assert cell_xy(targets, "joint_cell", 0, FACE_CENTER) == cell
        points = sample.xy[0, FACE] / 4 - cell
        np.testing.assert_allclose(targets["face_points"][0], points, atol=1e-5)
        assert targets["hm_hp"][FACE_CENTER, cell[1], cell[0]] == 1.0
    else:
        for name in ("hps", "hp_offset", "joint_cell"):
            assert not targets[name][0, FACE_CENTER].any()
        assert not targets["face_points"].any()


def test_points_outside_the_map_are_masked():
    sample = sample_of([(4, 4, 124, 92)])
    sample.xy[0, 5] = -0.25, 20
    sample.xy[0, FACE.start] = 128, 20
    sample.xy[0, FACE.start + 1] = np.nan, 20
    targets = make_targets(sample, HPRNET_DLA34)
    assert not targets["joint_mask"][0, 5]
    assert not targets["hm_hp"][5].any()
    assert targets["hm_hp_known"][5].all()  # it is labelled: nothing of it is on the map
    assert targets["face_points_mask"][0].tolist() == [False, False] + 66 * [True]
    assert all(np.isfinite(values).all() for values in targets.values())


def test_a_face_box_across_the_border_has_the_size_of_what_is_on_the_map():
    sample = sample_of([(4, 4, 124, 92)])
    sample.part_box_xyxy[0, 0] = -8, 20, 24, 60
    targets = make_targets(sample, HPRNET_DLA34)
    assert cell_xy(targets, "joint_cell", 0, FACE_CENTER) == (2, 10)
    assert targets["wh_face"][0] == pytest.approx([6, 10])


def test_a_part_that_is_not_valid_or_has_no_area_has_no_targets():
    sample = sample_of([(4, 4, 60, 92), (64, 4, 124, 92)])
    sample.part_valid[0] = False, True, False
    sample.part_box_xyxy[0, 0] = np.nan
    sample.part_box_xyxy[1, 2] = 80, 40, 80, 60
    targets = make_targets(sample, HPRNET_DLA34)
    assert targets["joint_mask"][:2, 23:].tolist() == [[False, True, False], [True, True, False]]
    assert not targets["right_hand_points_mask"].any()
    assert targets["left_hand_points_mask"][:2].all()
    assert targets["face_points_mask"].any(axis=1)[:2].tolist() == [False, True]


def test_the_box_of_an_ignored_person_is_unknown_but_where_somebody_is():
    sample = sample_of([(8, 8, 40, 88), (30, 20, 90, 50)])
    sample = dataclasses.replace(sample, ignore=np.array([False, True]))
    sample.xy[0, 0] = 34, 34
    targets = make_targets(sample, HPRNET_DLA34)
    assert targets["person_mask"].sum() == 1
    expected = np.ones((24, 32), bool)
    expected[5:13, 7:23] = False  # 30 / 4 and 50 / 4 are in cells 7 and 12; 90 / 4 is in cell 22
    for maps, known in (
        (targets["hm"], targets["hm_known"]),
        (targets["hm_hp"], targets["hm_hp_known"]),
    ):
        np.testing.assert_array_equal(known, expected | (maps > 0))
    assert targets["hm_hp_known"][0, 8, 8]
    assert not targets["hm_hp_known"][0, 12, 22]


def test_missing_labels_are_background_or_unknown():
    sample = sample_of([(8, 8, 40, 88), (60, 8, 100, 88)])
    sample.labelled[0, 9] = False
    sample.part_valid[1, 0] = False
    as_background = make_targets(sample, HPRNET_DLA34)
    assert as_background["hm_hp_known"].all()
    targets = make_targets(sample, HPRNET_DLA34, unlabelled_is_background=False)
    first, second = np.ones((24, 32), bool), np.ones((24, 32), bool)
    first[2:22, 2:10] = False
    second[2:22, 15:25] = False
    for j in range(26):
        expected = {9: first, FACE_CENTER: second}.get(j, np.ones((24, 32), bool))
        np.testing.assert_array_equal(
            targets["hm_hp_known"][j], expected | (targets["hm_hp"][j] > 0), err_msg=str(j)
        )
    assert targets["hm_known"].all()


def test_the_largest_people_stay_and_the_others_are_ignored():
    sample = sample_of([(4, 4, 24, 24), (30, 4, 70, 60), (80, 4, 120, 80), (4, 60, 25, 90)])
    targets = make_targets(sample, HPRNET_DLA34, max_people=2)
    assert targets["hps"].shape == (2, 26, 2)
    assert targets["wh"].tolist() == [[10, 14], [10, 19]]  # in the sample's order
    assert not targets["hm_known"][0, 3, 3]
    assert not targets["hm_known"][0, 18, 3]
    assert targets["hm_known"][0, 3, 25]
    assert (targets["hm"] == 1).sum() == 2


def test_hm1_reads_a_foot_at_the_middle_of_its_labelled_points():
    spec = HPRNET_DLA34_HM1
    sample = sample_of([(8, 8, 120, 88)])
    sample.xy[0, LEFT_FOOT] = (41, 70), (61, 74), (45, 90)
    sample.labelled[0, LEFT_FOOT] = True, True, False
    sample.labelled[0, 20:23] = False
    targets = make_targets(sample, spec)
    left, right = spec.joint("left_foot_center"), spec.joint("right_foot_center")
    assert cell_xy(targets, "joint_cell", 0, left) == (12, 18)  # (51, 72) / 4
    assert targets["hp_offset"][0, left] == pytest.approx([0.75, 0])
    assert targets["left_foot_points_mask"][0].tolist() == [True, True, False]
    assert targets["left_foot_points"][0].tolist() == [[10.25 - 12, -0.5], [15.25 - 12, 0.5], [0, 0]]
    assert not targets["joint_mask"][0, right]
    assert not targets["right_foot_points_mask"].any()


def test_the_baseline_has_every_point_as_a_joint():
    sample = sample_of([(8, 8, 120, 88)])
    targets = make_targets(sample, HPRNET_DLA34_BASELINE)
    assert targets["hm_hp"].shape == (133, 24, 32)
    assert targets["joint_mask"][0].all()
    x, y = cell_xy(targets, "person_cell", 0)
    np.testing.assert_allclose(targets["hps"][0], sample.xy[0] / 4 - (x, y), atol=1e-5)
    assert not any("points" in name or name == "wh_face" for name in targets)


@ALL_SPECS
@pytest.mark.parametrize("unlabelled_is_background", [True, False])
def test_targets_equal_the_plain_ones(spec, unlabelled_is_background):
    for seed in range(2 if spec.num_joints > 30 else 4):
        sample = wild(seed)
        ours = make_targets(sample, spec, max_people=3, unlabelled_is_background=unlabelled_is_background)
        plain = oracle.plain_targets(sample, spec, 3, unlabelled_is_background)
        assert ours.keys() - LOCAL == plain.keys()
        for name, expected in plain.items():
            assert ours[name].shape == expected.shape
            np.testing.assert_allclose(ours[name], expected, atol=2e-5, err_msg=name)


@ALL_SPECS
def test_targets_of_a_mirrored_sample_are_the_mirrored_targets(spec):
    sample = wild(11)
    plain = make_targets(sample, spec, unlabelled_is_background=False)
    mirrored = make_targets(oracle.flipped(sample), spec, unlabelled_is_background=False)
    swap = list(spec.flip_index)
    for name in ("hm", "hm_known"):
        np.testing.assert_array_equal(mirrored[name], plain[name][..., ::-1])
    for name in ("hm_hp", "hm_hp_known"):
        np.testing.assert_array_equal(mirrored[name], plain[name][swap][..., ::-1])
    np.testing.assert_array_equal(mirrored["person_mask"], plain["person_mask"])
    np.testing.assert_allclose(mirrored["wh"], plain["wh"], atol=1e-5)

    def seen_in_a_mirror(offsets, mask):
        """A cell's left border becomes its right border."""
        return np.where(mask[..., None], offsets * (-1, 1) + (1, 0), 0)

    def check(name, mask, order):
        expected_mask = plain[mask][:, order] if order else plain[mask]
        expected = plain[name][:, order] if order else plain[name]
        np.testing.assert_array_equal(mirrored[mask], expected_mask)
        np.testing.assert_allclose(
            mirrored[name], seen_in_a_mirror(expected, expected_mask), atol=2e-5, err_msg=name
        )

    check("reg", "person_mask", None)
    check("hps", "joint_mask", swap)
    check("hp_offset", "joint_mask", swap)
    for part in spec.parts:
        other = {"left": "right", "right": "left"}.get(part.name.split("_")[0])
        name = f"{other}_{part.name.split('_')[1]}" if other else part.name
        start = spec.parts[[p.name for p in spec.parts].index(name)].keypoints.start
        order = [FLIP_INDEX[i] - start for i in range(part.keypoints.start, part.keypoints.stop)]
        expected_mask = plain[f"{name}_points_mask"][:, order]
        np.testing.assert_array_equal(mirrored[f"{part.name}_points_mask"], expected_mask)
        np.testing.assert_allclose(
            mirrored[f"{part.name}_points"],
            seen_in_a_mirror(plain[f"{name}_points"][:, order], expected_mask),
            atol=2e-5,
        )


def heads_of(targets, spec):
    """Dense heads (1, C, h, w) that say exactly what the targets do; heat-maps as probabilities.

    Joints of several kinds in one cell have one offset between them, unless each has its own: the middle.
    """
    height, width = targets["hm"].shape[1:]
    maps = {head.name: np.zeros((head.channels, height * width), np.float32) for head in spec.heads}
    maps["hm"], maps["hm_hp"] = targets["hm"], targets["hm_hp"]
    offsets = {}
    for row in np.flatnonzero(targets["person_mask"]):
        cell = targets["person_cell"][row]
        for name in ("wh", "reg", "hps"):
            maps[name][:, cell] = targets[name][row].reshape(-1)
        for j in np.flatnonzero(targets["joint_mask"][row]):
            first = 2 * j if spec.offset_per_joint else 0
            where = first, targets["joint_cell"][row, j]
            offsets.setdefault(where, []).append(targets["hp_offset"][row, j])
        for part in spec.parts:
            cell = targets["joint_cell"][row, spec.joint(part.center)]
            channels = slice(part.first_channel, part.first_channel + 2 * part.num_keypoints)
            maps[part.head][channels, cell] = targets[f"{part.name}_points"][row].reshape(-1)
            if part.size_head:
                maps[part.size_head][:, cell] = targets[part.size_head][row]
    for (first, cell), found in offsets.items():
        middle = (np.min(found, axis=0) + np.max(found, axis=0)) / 2
        maps["hp_offset"][first : first + 2, cell] = middle
    return {name: values.reshape(1, -1, height, width) for name, values in maps.items()}


@ALL_SPECS
def test_heads_that_equal_the_targets_decode_to_the_labels(spec):
    spec = dataclasses.replace(spec, trained=tuple(PARTS))
    sample = sample_of([(5, 9, 110, 250), (150, 21, 251, 262), (280, 30, 395, 340)], size=(384, 416), seed=3)
    heads = heads_of(make_targets(sample, spec), spec)
    (poses,) = decode_dense(heads, spec, options=GroupingOptions(person_threshold=0.1), probabilities=True)
    assert len(poses) == 3
    poses_of = [int(np.argmin(np.abs(poses.box_xyxy - box / 4).sum(axis=1))) for box in sample.box_xyxy]
    assert sorted(poses_of) == [0, 1, 2]
    # half a cell where two joints share one cell and its one offset; else rounding
    off = np.abs(poses.xy[poses_of] - sample.xy / 4)
    assert off.max() < 0.5
    assert np.median(off) < 1e-5
    np.testing.assert_allclose(poses.box_xyxy[poses_of], sample.box_xyxy / 4, atol=1e-4)
    if spec.parts:
        np.testing.assert_allclose(poses.face_xyxy[poses_of], sample.part_box_xyxy[:, 0] / 4, atol=1e-4)


def test_an_image_without_people_has_targets_too():
    targets = make_targets(sample_of([]), HPRNET_DLA34_HM1)
    for name, values in targets.items():
        assert values.all() if "known" in name else not values.any()


@ALL_SPECS
def test_shapes_and_types_do_not_depend_on_the_sample(spec):
    def kinds(sample):
        return {name: (v.shape, v.dtype.name) for name, v in make_targets(sample, spec).items()}

    assert kinds(sample_of([])) == kinds(wild(1))
    assert {kind for _, kind in kinds(wild(1)).values()} == {"float32", "int64", "bool"}


def test_wrong_sizes_are_sentences():
    with pytest.raises(ShapeError, match=r"multiples of 4.*\(95, 128\)"):
        make_targets(sample_of([(1, 2, 30, 40)], size=(95, 128)), HPRNET_DLA34)
    with pytest.raises(UsageError, match="max_people"):
        make_targets(sample_of([(1, 2, 30, 40)]), HPRNET_DLA34, max_people=0)


def displaced_all(targets, spec, rng, share):
    """People, joints and all parts, by the same share."""
    shares = {part.name: share for part in spec.parts}
    return displaced_parts(displaced(targets, rng, share), spec, rng, shares)


def absolute(targets, spec, width):
    """What the offsets point at, by name: positions in cells, 0 where nothing is known."""

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
        moved = displaced_parts(targets, HPRNET_DLA34, rng, {"face": 0.15})
        np.testing.assert_array_equal(moved["part_cell"][:, 1:], targets["part_cell"][:, 1:])
        before, after = (cell_xy(each, "part_cell", 0, 0, width=104) for each in (targets, moved))
        steps.append(np.subtract(after, before))
    points = targets["face_points"][0]
    reach = np.floor(0.15 * (points.max(axis=0) - points.min(axis=0)) + 1)
    np.testing.assert_array_equal(np.abs(steps).max(axis=0), reach)
    assert np.abs(np.mean(steps, axis=0)).max() < 0.5
    for name in ("person_cell", "joint_cell", "hps", "left_hand_points"):
        np.testing.assert_array_equal(moved[name], targets[name])
