"""The targets of a network's heads for a sample."""

import dataclasses
import math

import numpy as np
import pytest

from hprnet_rt.errors import ShapeError, UsageError
from hprnet_rt.grouping import GroupingOptions, decode_dense
from hprnet_rt.skeleton import FACE, FLIP_INDEX, KEYPOINT_NAMES, LEFT_FOOT, PARTS
from hprnet_rt.spec import HPRNET_DLA34, HPRNET_DLA34_BASELINE, HPRNET_DLA34_HM1
from hprnet_rt.training.targets import gaussian_radius, make_targets
from tests.oracles import targets as oracle
from tests.training.people import ALL_SPECS, cell_xy, heads_of, sample_of, wild

LOCAL = {"local", "local_window"}  # see test_local_maps.py
FACE_CENTER = HPRNET_DLA34.joint("face_center")


def one(targets, name, row=0):
    return targets[name][row]


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
    """In the released code its points are targets at cell 0."""
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
        """Mirror a target, where a cell's left border becomes its right border."""
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
