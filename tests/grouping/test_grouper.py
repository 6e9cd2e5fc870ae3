import numpy as np
import pytest

from hprnet_rt.errors import ShapeError, UsageError
from hprnet_rt.geometry import Letterbox
from hprnet_rt.grouping import Grouper, GroupingOptions
from hprnet_rt.grouping.assignment import assign
from hprnet_rt.skeleton import PARTS
from hprnet_rt.spec import PeakLayout
from hprnet_rt.types import Peaks
from tests.grouping.scenes import ALL_TRAINED, BODY_ONLY, CELLS, EVERY_NETWORK, K, random_peaks
from tests.oracles import grouping as oracle

LAYOUT = PeakLayout.of(ALL_TRAINED)
COLUMNS = LAYOUT.columns
WHOLE_INPUT = Letterbox.fit((4 * CELLS, 4 * CELLS), (4 * CELLS, 4 * CELLS))


@pytest.fixture(scope="module")
def grouper():
    return Grouper(ALL_TRAINED, GroupingOptions(person_threshold=0.0))


@pytest.mark.parametrize("seed", range(12))
@EVERY_NETWORK
def test_grouping_equals_the_plain_rule(spec, seed):
    people = (1, 2, 5, 20)[seed % 4]
    packed = random_peaks(people, seed, spec)
    options = GroupingOptions(person_threshold=0.0)
    poses = Grouper(spec, options).in_cells(packed)
    grouped = (poses.person_score, poses.xy, poses.score, poses.box_xyxy, poses.face_xyxy)
    plain = oracle.group(packed, spec, people, options.reach, options.peak_threshold, spec.margin)
    for ours, theirs in zip(grouped, plain, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)  # cells; float32 against float64


@EVERY_NETWORK
@pytest.mark.parametrize("seed", range(20))
def test_no_part_peak_serves_two_people(spec, seed):
    packed = random_peaks(20, seed, spec)  # the points of each peak are like no other's
    poses = Grouper(spec, GroupingOptions(person_threshold=0.0, peak_threshold=0.1)).in_cells(packed)
    columns = PeakLayout.of(spec).columns
    for part in spec.parts:
        at_peaks = packed[:, columns[f"{part.name}_peak"]].reshape(K, -1, 2)
        taken = [
            k for points in poses.xy[:, part.keypoints] for k in range(K) if (points == at_peaks[k]).all()
        ]
        assert len(taken) > 2
        assert len(set(taken)) == len(taken)


@EVERY_NETWORK
@pytest.mark.parametrize("seed", range(20))
def test_no_joint_peak_serves_two_people(spec, seed):
    packed = random_peaks(20, seed, spec)
    poses = Grouper(spec, GroupingOptions(person_threshold=0.0)).in_cells(packed)
    columns = PeakLayout.of(spec).columns
    peaks = packed[:, columns["peak_xy"]].reshape(K, -1, 2)
    taken = 0
    for joint, point in enumerate(spec.keypoint_of_joint):
        if point < 0:
            continue
        xy = poses.xy[:, point]
        ranks = [k for at in xy for k in range(K) if (at == peaks[k, joint]).all()]
        assert len(set(ranks)) == len(ranks)
        taken += len(ranks)
    assert taken > 20


def test_assignment_is_as_cheap_as_scipys_and_never_shares_a_peak():
    from scipy.optimize import linear_sum_assignment

    rng = np.random.default_rng(7)
    for _ in range(500):
        people, peaks = rng.integers(1, 12), rng.integers(0, 12)
        cost = np.minimum(1.0, rng.uniform(0, 1.6, (people, peaks))).astype(np.float32)
        chosen = assign(cost)
        taken = chosen[chosen >= 0]
        assert len(set(taken)) == len(taken)
        ours = sum(cost[n, k] if k >= 0 else 1.0 for n, k in enumerate(chosen))
        padded = np.concatenate((cost, np.ones((people, people))), axis=1)
        rows, columns = linear_sum_assignment(padded)
        assert ours == pytest.approx(padded[rows, columns].sum(), abs=1e-5)


def two_people() -> np.ndarray:
    """Return two people, side by side; the weaker one has the stronger face."""
    packed = np.zeros((K, LAYOUT.width), np.float32)
    face = ALL_TRAINED.joint("face_center")
    regressed = packed[:, COLUMNS["joint_regressed"]].reshape(K, -1, 2)
    peak_xy = packed[:, COLUMNS["peak_xy"]].reshape(K, -1, 2)
    for row, (x, score) in enumerate(((20, 0.9), (60, 0.8))):
        packed[row, COLUMNS["person_score"]] = score
        packed[row, COLUMNS["person_cell"]] = (x, 40)
        packed[row, COLUMNS["person_wh"]] = (24, 60)
        regressed[row] = (x, 30)
    packed[:, COLUMNS["joint_regressed"]] = regressed.reshape(K, -1)
    packed[:, COLUMNS["joint_regressed_score"]] = 0.05
    for row, (x, score) in enumerate(((60, 0.95), (20, 0.7))):
        peak_xy[row, face] = (x, 29)
        packed[row, COLUMNS["peak_score"].start + face] = score
        packed[row, COLUMNS["face_peak"]] = x
    packed[:, COLUMNS["peak_xy"]] = peak_xy.reshape(K, -1)
    return packed


def test_each_person_gets_their_own_face_whatever_the_faces_rank(grouper):
    poses = grouper(Peaks(two_people(), LAYOUT, WHOLE_INPUT))
    face = PARTS["face"]
    by_x = sorted(poses, key=lambda person: person.box_xyxy[0])
    assert [person.xy[face][0, 0] for person in by_x] == [80, 240]  # 4 px a cell
    assert by_x[0].score[face][0] == pytest.approx(0.7)


def test_one_face_never_serves_two_people(grouper):
    packed = two_people()
    packed[1, COLUMNS["peak_score"].start + ALL_TRAINED.joint("face_center")] = 0.0
    packed[0, COLUMNS["person_wh"]] = packed[1, COLUMNS["person_wh"]] = (90, 90)
    packed[:, COLUMNS["face_regressed"]] = 7
    left, right = sorted(
        grouper(Peaks(packed, LAYOUT, WHOLE_INPUT)), key=lambda p: -p.score[PARTS["face"]][0]
    )
    assert left.score[PARTS["face"]][0] == pytest.approx(0.95)
    assert right.xy[PARTS["face"]][0, 0] == 28  # read at its own regressed centre
    assert right.score[PARTS["face"]][0] == pytest.approx(0.05)


def test_a_part_whose_centre_is_outside_the_map_is_absent_not_zero(grouper):
    packed = two_people()
    packed[:, COLUMNS["joint_regressed_score"]] = 0.0
    poses = grouper(Peaks(packed, LAYOUT, WHOLE_INPUT))
    hand = PARTS["left_hand"]
    assert np.isnan(poses.xy[:, hand]).all()
    assert (poses.score[:, hand] == 0).all()


def test_points_are_absent_exactly_where_their_score_is_zero(grouper):
    for seed in range(5):
        poses = grouper(Peaks(random_peaks(10, seed), LAYOUT, WHOLE_INPUT))
        assert (np.isnan(poses.xy).any(axis=2) == (poses.score == 0)).all()


def test_neighbouring_centres_of_equal_score_are_one_person(grouper):
    packed = two_people()
    packed[1, COLUMNS["person_cell"]] = packed[0, COLUMNS["person_cell"]] + (1, 1)
    assert len(grouper(Peaks(packed, LAYOUT, WHOLE_INPUT))) == 1


def test_a_second_centre_on_one_body_is_the_same_person_and_a_close_neighbour_is_not(grouper):
    for shift, expected in ((0.5, 1), (12, 2)):
        packed = two_people()
        packed[1] = packed[0]
        packed[1, COLUMNS["person_score"]] = 0.8
        packed[1, COLUMNS["person_cell"]] += (6, 0)
        packed[1, COLUMNS["joint_regressed"]] += shift
        assert len(grouper(Peaks(packed, LAYOUT, WHOLE_INPUT))) == expected


def test_untrained_parts_are_absent():
    body_only = Grouper(BODY_ONLY, GroupingOptions(person_threshold=0.0))
    poses = body_only(Peaks(random_peaks(3, 0), LAYOUT, WHOLE_INPUT))
    assert len(poses) == 3
    assert not np.isnan(poses.xy[:, :17]).all()
    assert np.isnan(poses.xy[:, 17:]).all()


def test_people_come_strongest_first_and_the_threshold_holds(grouper):
    all_scores = grouper(Peaks(random_peaks(20, 3), LAYOUT, WHOLE_INPUT)).person_score
    assert (np.diff(all_scores) <= 0).all()
    strict = Grouper(ALL_TRAINED, GroupingOptions(person_threshold=float(all_scores[9])))
    assert len(strict(Peaks(random_peaks(20, 3), LAYOUT, WHOLE_INPUT))) == 10


def test_a_face_box_lies_around_the_face_and_ends_at_the_border_of_the_image(grouper):
    packed = two_people()
    packed[:, COLUMNS["face_peak_wh"]] = (6, 80)
    poses = grouper(Peaks(packed, LAYOUT, WHOLE_INPUT))
    left = min(poses, key=lambda person: person.box_xyxy[0])
    np.testing.assert_allclose(left.face_xyxy, (4 * 17, 0, 4 * 23, 4 * 69))


def test_a_face_box_is_unknown_without_a_face_or_a_size(grouper):
    packed = two_people()
    packed[0, COLUMNS["face_peak_wh"]] = (6, 8)
    packed[1, COLUMNS["face_peak_wh"]] = (6, -8)
    known = {p.xy[30, 0]: ~np.isnan(p.face_xyxy).any() for p in grouper(Peaks(packed, LAYOUT, WHOLE_INPUT))}
    assert known == {240: True, 80: False}
    packed[:, COLUMNS["peak_score"]] = packed[:, COLUMNS["joint_regressed_score"]] = 0
    packed[:, COLUMNS["face_regressed_wh"]] = 5
    assert np.isnan(grouper(Peaks(packed, LAYOUT, WHOLE_INPUT)).face_xyxy).all()
    body_only = Grouper(BODY_ONLY, GroupingOptions(person_threshold=0.0))
    assert np.isnan(body_only(Peaks(random_peaks(3, 0), LAYOUT, WHOLE_INPUT)).face_xyxy).all()


def test_peaks_of_another_network_are_refused(grouper):
    with pytest.raises(ShapeError, match=f"{LAYOUT.width}.*\\(32, 7\\)"):
        grouper.in_cells(np.zeros((32, 7), np.float32))


def test_an_unknown_matching_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="'one-to-one' or 'released', got 'greedy'"):
        GroupingOptions(matching="greedy")


def test_a_threshold_that_is_no_score_is_refused():
    with pytest.raises(UsageError, match="between 0 and 1"):
        GroupingOptions(person_threshold=1.5)
