"""The released matching, against the released code's own numbers and a plain version."""

import numpy as np
import pytest

from hprnet_rt.geometry import Letterbox
from hprnet_rt.grouping import Grouper, GroupingOptions, decode_dense
from hprnet_rt.skeleton import PARTS
from hprnet_rt.spec import HPRNET_DLA34, PeakLayout
from hprnet_rt.types import Peaks
from tests.grouping.scenes import BODY_ONLY, CELLS, EVERY_NETWORK, WHOLE_BODY_SPECS, K, random_peaks
from tests.oracles.golden import SCENES, dense_heads, golden
from tests.oracles.released import NO_SCORE, group_as_released

RELEASED = GroupingOptions(person_threshold=0.0, matching="released")
CELL_ATOL = 1e-3  # float32 sums in another order; 0 measured
SCORE_ATOL = 1e-6
PART_COLUMNS = {
    "face": (55, slice(56, 192)),
    "left_hand": (193, slice(194, 236)),
    "right_hand": (236, slice(237, 279)),
}
KEEP_RES_500X480 = Letterbox(image_hw=(480, 500), input_hw=(512, 512), inner_hw=(480, 500), pad_yx=(16, 6))
"""Input 512 x 512, unscaled, image centre (250, 240) in the middle: p_img = (p - 64) * 512 / 128 + c."""


@pytest.mark.parametrize("k", [25, 100])
@pytest.mark.parametrize("scene", SCENES)
def test_released_matching_equals_the_released_code(scene, k):
    (poses,) = decode_dense(dense_heads(scene), HPRNET_DLA34, k=k, options=RELEASED, probabilities=True)
    expected = golden(scene, f"dets{k}")
    assert len(poses) == k
    np.testing.assert_allclose(poses.box_xyxy, expected[:, :4], atol=CELL_ATOL)
    np.testing.assert_allclose(poses.person_score, expected[:, 4], atol=SCORE_ATOL)
    np.testing.assert_allclose(poses.xy[:, :23].reshape(k, -1), expected[:, 5:51], atol=CELL_ATOL)
    rejected = expected[:, 55] == 0
    assert (np.isnan(poses.face_xyxy).all(axis=1) == rejected).all()
    assert (expected[rejected, 51:55] == 0).all()
    np.testing.assert_allclose(poses.face_xyxy[~rejected], expected[~rejected, 51:55], atol=CELL_ATOL)
    for part, (score, points) in PART_COLUMNS.items():
        found = poses.xy[:, PARTS[part]].reshape(k, -1)
        np.testing.assert_allclose(found, expected[:, points], atol=CELL_ATOL)
        for i in range(PARTS[part].start, PARTS[part].stop):
            np.testing.assert_allclose(poses.score[:, i], expected[:, score], atol=SCORE_ATOL)


@pytest.mark.parametrize("scene", SCENES)
def test_image_pixels_equal_the_released_post_processing(scene):
    (poses,) = decode_dense(
        dense_heads(scene),
        HPRNET_DLA34,
        [KEEP_RES_500X480],
        k=25,
        options=RELEASED,
        probabilities=True,
    )
    expected = golden(scene, "post25")
    atol = 4 * CELL_ATOL  # a cell is 4 px
    border = np.array([500, 480, 500, 480])
    np.testing.assert_allclose(poses.box_xyxy, np.clip(expected[:, :4], 0, border), atol=atol)
    np.testing.assert_allclose(poses.xy[:, :23].reshape(25, -1), expected[:, 5:51], atol=atol)
    served = expected[:, 55] > 0
    np.testing.assert_allclose(
        poses.face_xyxy[served], np.clip(expected[served, 51:55], 0, border), atol=atol
    )
    for part, points in (
        ("face", slice(56, 192)),
        ("left_hand", slice(193, 235)),
        ("right_hand", slice(236, 278)),
    ):
        np.testing.assert_allclose(poses.xy[:, PARTS[part]].reshape(25, -1), expected[:, points], atol=atol)


@pytest.mark.parametrize("seed", range(8))
@EVERY_NETWORK
def test_released_matching_equals_its_plain_version(spec, seed):
    people = (1, 2, 5, 20)[seed % 4]
    packed = random_peaks(people, seed, spec)
    columns = PeakLayout.of(spec).columns
    packed[:3, columns["person_wh"]] *= (-1, 1)  # not clamped; a box without area admits nothing
    poses = Grouper(spec, RELEASED).in_cells(packed)
    ours = (poses.person_score, poses.xy, poses.score, poses.box_xyxy, poses.face_xyxy)
    for found, expected in zip(ours, group_as_released(packed, spec, people), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)  # cells; float32 against float64


def test_faces_go_by_rank_and_so_to_the_wrong_people_in_the_scene_made_to_show_it():
    poses = {
        matching: decode_dense(
            dense_heads(9),
            HPRNET_DLA34,
            options=GroupingOptions(person_threshold=0.1, peak_threshold=0.1, matching=matching),
            probabilities=True,
        )[0]
        for matching in ("released", "one-to-one")
    }
    for part in ("face", "right_hand"):
        released, own = (poses[matching].xy[:2, PARTS[part]] for matching in ("released", "one-to-one"))
        np.testing.assert_allclose(released, own[::-1], atol=CELL_ATOL)


def test_everyone_whose_centre_scores_enough_is_a_person_in_rank_order():
    packed = random_peaks(20, 3)
    scores = packed[:20, 0]
    options = GroupingOptions(person_threshold=float(scores[9]), matching="released")
    poses = Grouper(WHOLE_BODY_SPECS[0], options).in_cells(packed)
    np.testing.assert_array_equal(poses.person_score, scores[:10])
    packed[1] = packed[0]  # neighbours and repeats stay, too
    assert len(Grouper(WHOLE_BODY_SPECS[0], options).in_cells(packed)) == 10


def test_own_thresholds_and_reach_do_not_change_released_matching():
    packed = random_peaks(5, 1)
    own = GroupingOptions(person_threshold=0.0, peak_threshold=0.9, reach=0.01, matching="released")
    a, b = (Grouper(WHOLE_BODY_SPECS[0], options).in_cells(packed) for options in (own, RELEASED))
    np.testing.assert_array_equal(a.xy, b.xy)


@pytest.mark.parametrize(("score", "served"), [(0.1, False), (0.1001, True)])
def test_a_peak_serves_with_more_than_a_tenth(score, served):
    packed = random_peaks(1, 0)
    spec, columns = WHOLE_BODY_SPECS[0], PeakLayout.of(WHOLE_BODY_SPECS[0]).columns
    packed[0, columns["person_wh"]] = 60
    center = packed[0, columns["person_cell"]]
    packed[:, columns["peak_score"]] = 0
    packed[0, columns["peak_score"].start] = score
    packed[0, columns["peak_xy"].start : columns["peak_xy"].start + 2] = center + 1
    packed[0, columns["joint_regressed"].start : columns["joint_regressed"].start + 2] = center
    nose = Grouper(spec, RELEASED).in_cells(packed).xy[0, 0]
    np.testing.assert_allclose(nose, center + 1 if served else center)


def test_points_without_a_score_are_present_with_the_least_one_and_missing_peaks_absent():
    packed = random_peaks(4, 2)
    spec, columns = WHOLE_BODY_SPECS[0], PeakLayout.of(WHOLE_BODY_SPECS[0]).columns
    packed[:, columns["joint_regressed_score"]] = 0
    packed[:, columns["peak_score"]] = 0
    packed[:2, columns["peak_score"].start + spec.joint("face_center")] = 0.05
    whole = Letterbox.fit((4 * CELLS, 4 * CELLS), (4 * CELLS, 4 * CELLS))
    poses = Grouper(spec, RELEASED)(Peaks(packed, PeakLayout.of(spec), whole))
    assert (poses.score[:, :23] == NO_SCORE).all()
    assert (poses.score[:2, PARTS["face"]] == NO_SCORE).all()
    assert (poses.score[2:, PARTS["face"]] == 0).all()
    assert (np.isnan(poses.xy[..., 0]) == (poses.score == 0)).all()


def test_untrained_parts_are_absent_here_too():
    poses = Grouper(BODY_ONLY, RELEASED).in_cells(random_peaks(K, 0))
    assert len(poses) == K
    assert not np.isnan(poses.xy[:, :17]).any()
    assert np.isnan(poses.xy[:, 17:]).all()
    assert np.isnan(poses.face_xyxy).all()
