"""Points refined after grouping, against the golden numbers and a plain oracle."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hprnet_rt.errors import ModelError, ShapeError
from hprnet_rt.geometry import Letterbox
from hprnet_rt.grouping import Grouper, GroupingOptions
from hprnet_rt.grouping.refine import PartRefiner
from hprnet_rt.skeleton import PARTS
from hprnet_rt.spec import HPRNET_MOBILE, PeakLayout
from hprnet_rt.types import Maps, Peaks
from tests.oracles import refine as oracle

GOLDEN = Path(__file__).parents[1] / "golden" / "refiner.npz"
WEIGHTS = GOLDEN.with_name("refiner_weights.npz")  # with which the golden numbers were made
REFINEMENT = HPRNET_MOBILE.refinement
KINDS = pytest.mark.parametrize("part", REFINEMENT.parts, ids=lambda part: part.name)
CELLS = 32
WHOLE_INPUT = Letterbox.fit((4 * CELLS, 4 * CELLS), (4 * CELLS, 4 * CELLS))
BOUND = 1e-4  # cells


@pytest.fixture(scope="module")
def weights():
    with np.load(WEIGHTS) as arrays:
        return {name: values.astype(np.float32) for name, values in arrays.items()}


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as arrays:
        return {name: values.astype(np.float32) for name, values in arrays.items()}


def last(maps):
    return np.ascontiguousarray(maps.transpose(1, 2, 0))


def random_maps(seed, hw=(20, 28)):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(*hw, REFINEMENT.features)).astype(np.float32)
    return Maps(features, (4 * rng.normal(size=(*hw, REFINEMENT.local_maps))).astype(np.float32))


@KINDS
@pytest.mark.parametrize("image", [0, 1])
def test_refined_points_are_the_golden_ones(golden, weights, part, image):
    refine = PartRefiner.of(part, REFINEMENT, weights)
    maps = last(golden["feature"][image]), last(golden["local"][image])
    points, confidence = refine(*maps, golden[f"{part.name}/points"][image])
    np.testing.assert_allclose(points, golden[f"{part.name}/1/points"][image], atol=BOUND)
    np.testing.assert_allclose(confidence, golden[f"{part.name}/1/confidence"][image], atol=1e-5)


@KINDS
@pytest.mark.parametrize("count", [1, 2, 5])
def test_refined_points_are_those_of_the_plain_rule(weights, part, count):
    maps, rng = random_maps(count), np.random.default_rng(count)
    places = rng.uniform(-4, 32, (count, 1, 2))  # some reach out of the maps, one lies outside
    points = (places + rng.uniform(0, 9, (count, part.num_keypoints, 2))).astype(np.float32)
    points[0] += 1000 if count > 2 else 0
    found, confidence = PartRefiner.of(part, REFINEMENT, weights)(maps.features, maps.local, points)
    for mine, sure, before in zip(found, confidence, points, strict=True):
        expected, expected_sure = oracle.refine(part, weights, maps.features, maps.local, before)
        np.testing.assert_allclose(mine, expected, atol=BOUND if before.max() < 100 else 1e-2)
        np.testing.assert_allclose(sure, expected_sure, atol=1e-4)


@KINDS
def test_a_part_is_refined_as_it_would_be_alone(weights, part):
    maps, rng = random_maps(9), np.random.default_rng(9)
    points = rng.uniform(2, 16, (7, part.num_keypoints, 2)).astype(np.float32)
    refine = PartRefiner.of(part, REFINEMENT, weights)
    together = refine(maps.features, maps.local, points)
    for m in range(len(points)):
        alone = refine(maps.features, maps.local, points[m : m + 1])
        for ours, theirs in zip(together, alone, strict=True):
            np.testing.assert_allclose(ours[m], theirs[0], atol=1e-5)


@KINDS
def test_weights_that_are_no_halves_are_taken_as_they_are(weights, part):
    rng = np.random.default_rng(4)
    others = {name: (w * rng.normal(1, 0.1, w.shape)).astype(np.float32) for name, w in weights.items()}
    maps = random_maps(4)
    points = rng.uniform(2, 16, (3, part.num_keypoints, 2)).astype(np.float32)
    found, confidence = PartRefiner.of(part, REFINEMENT, others)(maps.features, maps.local, points)
    for mine, sure, before in zip(found, confidence, points, strict=True):
        expected, expected_sure = oracle.refine(part, others, maps.features, maps.local, before)
        np.testing.assert_allclose(mine, expected, atol=BOUND)
        np.testing.assert_allclose(sure, expected_sure, atol=1e-4)


def test_points_that_are_no_numbers_and_none_at_all_do_no_harm(weights):
    maps = random_maps(3)
    refine = PartRefiner.of(REFINEMENT.parts[1], REFINEMENT, weights)
    points = np.full((2, 21, 2), 8, np.float32)
    points[1] = np.nan
    found, _ = refine(maps.features, maps.local, points)
    assert np.isfinite(found[0]).all()
    assert np.isnan(found[1]).all()
    assert [len(each) for each in refine(maps.features, maps.local, points[:0])] == [0, 0]


def test_arrays_of_another_shape_are_refused(weights):
    maps, face = random_maps(1), PartRefiner.of(REFINEMENT.parts[0], REFINEMENT, weights)
    points = np.zeros((1, 68, 2), np.float32)
    with pytest.raises(ShapeError, match="face is 68 points on 88 channels"):
        face(maps.features, maps.local, points[:, :21])
    with pytest.raises(ShapeError, match="88 channels"):
        face(maps.features[..., :87], maps.local, points)
    hand = PartRefiner.of(REFINEMENT.parts[1], REFINEMENT, weights)
    with pytest.raises(ShapeError, match="local maps"):
        hand(maps.features, maps.local[:, :-1], points[:, :21])


def test_weights_of_another_refinement_are_refused(weights):
    with pytest.raises(ModelError, match=r"mix\.weight is missing"):
        Grouper(HPRNET_MOBILE, weights={name: w for name, w in weights.items() if "mix" not in name})
    with pytest.raises(ModelError, match=r"norm is \(87,\), not \(88,\)"):
        Grouper(HPRNET_MOBILE, weights={**weights, "norm": weights["norm"][:87]})


def one_person(layout, centers=("face", "left_hand"), score=0.8):
    """Return a person at (16, 16) with some parts' centres, which score `score`, and points around them."""
    packed, columns = np.zeros((4, layout.width), np.float32), layout.columns
    packed[0, columns["person_score"]] = 0.9
    packed[0, columns["person_cell"]] = (16, 16)
    packed[0, columns["person_wh"]] = (20, 26)
    packed[0, columns["joint_regressed"]] = 16
    packed[0, columns["joint_regressed_score"]][:17] = 0.9
    rng = np.random.default_rng(0)
    for part in HPRNET_MOBILE.parts:
        joint = HPRNET_MOBILE.joint(part.center)
        if part.name in centers:
            packed[0, columns["peak_score"].start + joint] = score
            packed[0, columns["peak_xy"]][2 * joint : 2 * joint + 2] = 15
        points = rng.uniform(12, 19, 2 * part.num_keypoints)
        packed[0, columns[f"{part.name}_peak"]] = points
    return packed


EVERYONE = GroupingOptions(person_threshold=0.0, part_threshold=0.0)


def test_only_parts_that_are_there_are_refined_and_scores_are_centre_times_confidence(weights):
    maps, layout = random_maps(5, (CELLS, CELLS)), PeakLayout.of(HPRNET_MOBILE)
    packed = one_person(layout)
    plain = Grouper(HPRNET_MOBILE, EVERYONE).in_cells(packed)
    refined = Grouper(HPRNET_MOBILE, EVERYONE, weights).in_cells(packed, maps)
    for part in REFINEMENT.parts:
        points = PARTS[part.name]
        if part.name == "right_hand":
            assert np.isnan(refined.xy[0, points]).all()
            assert (refined.score[0, points] == 0).all()
            continue
        xy, sure = oracle.refine(part, weights, maps.features, maps.local, plain.xy[0, points])
        np.testing.assert_allclose(refined.xy[0, points], xy, atol=BOUND)
        np.testing.assert_allclose(refined.score[0, points], 0.8 * sure, atol=1e-4)
        assert np.abs(refined.xy[0, points] - plain.xy[0, points]).max() > 0.1
    body = PARTS["body"]
    np.testing.assert_array_equal(refined.xy[0, body], plain.xy[0, body])
    np.testing.assert_array_equal(refined.score[0, body], plain.score[0, body])
    np.testing.assert_array_equal(refined.person_score, plain.person_score)


def test_a_part_below_the_threshold_is_absent_and_so_is_the_faces_box(weights):
    maps, layout = random_maps(5, (CELLS, CELLS)), PeakLayout.of(HPRNET_MOBILE)
    packed = one_person(layout)
    packed[0, layout.columns["face_peak_wh"]] = 6
    refined = Grouper(HPRNET_MOBILE, EVERYONE, weights).in_cells(packed, maps)
    means = {name: float(refined.score[0, PARTS[name]].mean()) for name in ("face", "left_hand")}
    assert not np.isnan(refined.face_xyxy).any()
    for name, mean in means.items():
        for least, there in ((0.99 * mean, True), (1.01 * mean, False)):
            options = replace(EVERYONE, part_threshold=least)
            poses = Grouper(HPRNET_MOBILE, options, weights).in_cells(packed, maps)
            assert np.isfinite(poses.xy[0, PARTS[name]]).all() == there
            assert (poses.score[0, PARTS[name]] > 0).all() == there
            if name == "face":
                assert np.isfinite(poses.face_xyxy).all() == there


def test_peaks_refined_in_the_engine_give_the_same_people(weights):
    maps, layout = random_maps(6, (CELLS, CELLS)), PeakLayout.of(HPRNET_MOBILE)
    inside = PeakLayout.of(HPRNET_MOBILE, refined=True)
    coarse = one_person(layout, ("face", "left_hand", "right_hand"))
    packed = np.zeros((4, inside.width), np.float32)
    packed[:, : layout.width] = coarse
    for part in REFINEMENT.parts:
        points = coarse[:1, layout.columns[f"{part.name}_peak"]].reshape(1, -1, 2)
        xy, sure = PartRefiner.of(part, REFINEMENT, weights)(maps.features, maps.local, points)
        packed[0, inside.columns[f"{part.name}_peak"]] = xy.ravel()
        packed[0, inside.columns[f"{part.name}_peak_confidence"]] = sure.ravel()
    group = Grouper(HPRNET_MOBILE, replace(EVERYONE, part_threshold=0.2), weights)
    after, before = group(Peaks(coarse, layout, WHOLE_INPUT, maps)), group(Peaks(packed, inside, WHOLE_INPUT))
    for name in ("xy", "score", "box_xyxy", "face_xyxy", "person_score"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), atol=1e-4, err_msg=name)


def person_with_hands(left: np.ndarray, right: np.ndarray, left_sure: float, right_sure: float) -> np.ndarray:
    """Return refined peaks of one person, whose hands have these points (21, 2) and confidences."""
    coarse, inside = PeakLayout.of(HPRNET_MOBILE), PeakLayout.of(HPRNET_MOBILE, refined=True)
    packed = np.zeros((4, inside.width), np.float32)
    packed[:, : coarse.width] = one_person(coarse, ("left_hand", "right_hand"))
    for name, points, sure in (("left_hand", left, left_sure), ("right_hand", right, right_sure)):
        packed[0, inside.columns[f"{name}_peak"]] = points.ravel()
        packed[0, inside.columns[f"{name}_peak_confidence"]] = sure
    return packed


@pytest.mark.parametrize("weaker", ["left_hand", "right_hand"])
def test_one_hand_that_is_seen_as_both_hands_is_doubted_on_the_weaker_side(weaker):
    hand = np.random.default_rng(8).uniform(10, 20, (21, 2)).astype(np.float32)
    sure = {"left_hand": 0.9, "right_hand": 0.9, weaker: 0.5}
    group = Grouper(HPRNET_MOBILE, EVERYONE)
    poses = group.in_cells(person_with_hands(hand, hand + 0.5, sure["left_hand"], sure["right_hand"]))
    for name, points in ((name, PARTS[name]) for name in ("left_hand", "right_hand")):
        factor = 0.3 if name == weaker else 1.0
        np.testing.assert_allclose(poses.score[0, points], 0.8 * sure[name] * factor, rtol=1e-5)
        assert np.isfinite(poses.xy[0, points]).all()


def test_hands_side_by_side_or_one_hand_alone_are_not_doubted():
    hand = np.random.default_rng(8).uniform(10, 20, (21, 2)).astype(np.float32)
    longer = float(np.ptp(hand, axis=0).max())
    group = Grouper(HPRNET_MOBILE, EVERYONE)
    for shift, doubted in ((0.19, True), (0.21, False)):
        beside = hand + np.float32([shift * longer, 0])
        poses = group.in_cells(person_with_hands(hand, beside, 0.9, 0.5))
        expected = 0.8 * 0.5 * (0.3 if doubted else 1.0)
        np.testing.assert_allclose(poses.score[0, PARTS["right_hand"]], expected, rtol=1e-5)
    for sure in ((0.9, 0.0), (0.0, 0.9)):
        poses = Grouper(HPRNET_MOBILE, replace(EVERYONE, part_threshold=0.03)).in_cells(
            person_with_hands(hand, hand, *sure)
        )
        for name, confidence in zip(("left_hand", "right_hand"), sure, strict=True):
            assert np.isfinite(poses.xy[0, PARTS[name]]).all() == (confidence > 0)
            np.testing.assert_allclose(poses.score[0, PARTS[name]], 0.8 * confidence, rtol=1e-5)


def test_the_released_rule_refines_nothing(weights):
    maps, layout = random_maps(5, (CELLS, CELLS)), PeakLayout.of(HPRNET_MOBILE)
    packed = one_person(layout)
    options = GroupingOptions(matching="released")
    ours = Grouper(HPRNET_MOBILE, options, weights).in_cells(packed, maps)
    plain = Grouper(HPRNET_MOBILE, options).in_cells(packed)
    np.testing.assert_array_equal(ours.xy, plain.xy)
    np.testing.assert_array_equal(ours.score, plain.score)
