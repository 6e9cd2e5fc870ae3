"""Errors of matched people in plain units."""

import math

import numpy as np
import pytest

from hprnet_rt.errors import UsageError
from hprnet_rt.evaluation import MeasureOptions, measure, oks, read_annotations, read_results
from hprnet_rt.evaluation.measures import inter_ocular, nme, pck
from hprnet_rt.evaluation.parts import PART_TYPES, box_of_points
from hprnet_rt.render import OverlayStyle
from tests.evaluation.sets import EXAMPLE_GT, EXAMPLE_RESULTS, annotations, detection, known_errors, person

STEP = np.array([3.0, 4.0])
"""px, 5 in all."""


def test_box_of_the_extreme_visible_points():
    xy = np.array([[[3.0, 4], [9, 1], [100, 100]], [[0, 0], [0, 0], [0, 0]]])
    visible = np.array([[True, True, False], [False] * 3])
    box = box_of_points(xy, visible)
    assert box[0].tolist() == [3, 1, 6, 3]
    assert np.isnan(box[1]).all()
    assert box_of_points(np.zeros((0, 3, 2)), np.zeros((0, 3), bool)).shape == (0, 4)


def test_pck_counts_labelled_points_within_the_radius():
    true = np.zeros((3, 4, 2))
    found = np.array([[[3.0, 4], [5.1, 0], [0, 0], [np.nan, np.nan]]] * 3)
    labelled = np.array([[True] * 4, [True, False, False, False], [False] * 4])
    share = pck(found, true, labelled, np.array([50.0, 50, 50]), 0.1)
    assert share[:2].tolist() == [0.5, 1]
    assert math.isnan(share[2])
    assert math.isnan(pck(found, true, labelled, np.array([np.nan, 1, 1]), 0.1)[0])


def test_nme_is_the_mean_distance_of_points_that_are_labelled_and_found():
    true = np.zeros((2, 3, 2))
    found = np.array([[[3.0, 4], [0, 10], [np.nan, np.nan]]] * 2)
    labelled = np.array([[True, True, True], [False, False, True]])
    error = nme(found, true, labelled, np.array([100.0, 100]))
    assert error[0] == pytest.approx(0.075)
    assert math.isnan(error[1])
    assert math.isnan(nme(found, true, labelled, np.array([0.0, 1]))[0])


def test_faces_are_measured_by_the_outer_eye_corners():
    xy = np.zeros((2, 68, 2))
    xy[:, 45] = (30, 40)
    labelled = np.ones((2, 68), bool)
    labelled[1, 36] = False
    assert inter_ocular(xy, labelled)[0] == 50
    assert math.isnan(inter_ocular(xy, labelled)[1])


def people():
    rng = np.random.default_rng(1)
    first, second = rng.uniform(0, 100, (133, 2)), rng.uniform(300, 320, (133, 2))
    second_labelled = np.arange(133) < 17
    return [
        person(first, np.ones(133), 5000, [0, 0, 100, 100], 1, 1),
        person(second, second_labelled, 400, [300, 300, 20, 20], 1, 2),
    ], (first, second)


def test_a_small_set_by_part_and_size():
    true, (first, second) = people()
    found = [
        detection(true[1], second, 0.7),
        detection(true[0], first + STEP, 0.9),
        detection(true[0], first + 500, 0.2),
    ]
    report = measure(read_annotations(annotations(true)), read_results(found))
    assert (report.people, report.found, report.extra) == (2, 2, 1)
    rows = {(row.part, row.size): row for row in report.rows}
    assert len(rows) == 4 * (len(PART_TYPES) + 1)  # both hands together
    assert (rows["body", "all"].people, rows["body", "all"].matched) == (2, 2)
    assert rows["body", "medium"].nme == pytest.approx(0.05)
    assert rows["body", "small"].oks == 1
    assert rows["body", "small"].pck == 1
    assert rows["body", "large"].people == 0
    assert rows["body", "large"].oks is None
    assert rows["foot", "all"].people == 1
    eyes = np.hypot(*(first[23 + 36] - first[23 + 45]))
    assert rows["face", "all"].nme == pytest.approx(5 / eyes)
    hand = np.ptp(first[91:112], axis=0).max()
    assert rows["left_hand", "all"].nme == pytest.approx(5 / hand)
    expected = oks(
        (first + STEP)[None, :17],
        first[None, :17],
        np.ones((1, 17), bool),
        np.array([5000.0]),
        np.zeros((1, 4)),
        PART_TYPES["body"].sigmas,
    )[0, 0]
    assert rows["body", "medium"].oks == pytest.approx(expected)


def test_weak_detections_can_be_left_out_and_people_matched_by_boxes():
    true, (first, second) = people()
    found = [detection(true[0], first + 2000, 0.9), detection(true[1], second, 0.3)]
    truth, results = read_annotations(annotations(true)), read_results(found)
    assert measure(truth, results, ["body"]).found == 1
    assert measure(truth, results, ["body"], MeasureOptions(pair_by="box")).found == 2
    assert measure(truth, results, ["body"], MeasureOptions(pair_by="box", least_score=0.5)).found == 1
    assert measure(truth, results, ["body"], MeasureOptions(least_score=0.5)).extra == 1
    with pytest.raises(UsageError, match="face_box cannot be measured"):
        measure(truth, results, ["face_box"])


def test_the_example_is_measured_in_all_parts():
    report = measure(read_annotations(EXAMPLE_GT), read_results(EXAMPLE_RESULTS))
    assert (report.people, report.found, report.extra) == (26, 26, 0)
    rows = {row.part: row for row in report.rows if row.size == "all"}
    assert rows["body"].people == 24
    assert all(0.5 < rows[part].oks < 1 for part in PART_TYPES)
    assert rows["face"].nme < 0.2


def row(report, part, size="all"):
    (one,) = (row for row in report.rows if (row.part, row.size) == (part, size))
    return one


def read(truth, found):
    return read_annotations(truth), read_results(found)


def test_only_the_found_count_unless_missing_ones_are_wrong():
    """Left hands of 40 px are off by 4 and 12 px, faces with 20 px between the eyes by 4 and 6."""
    truth, results = read(*known_errors())
    hand = row(measure(truth, results, options=MeasureOptions(alpha=0.2)), "left_hand")
    assert (hand.people, hand.matched, hand.missing) == (3, 2, 1)
    assert (hand.nme, hand.nme_median, hand.pck) == pytest.approx((0.2, 0.2, 0.5))

    report = measure(truth, results, options=MeasureOptions(alpha=0.2, missing_wrong=True))
    hand, face, body = (row(report, part) for part in ("left_hand", "face", "body"))
    assert (hand.nme, hand.nme_median, hand.pck) == pytest.approx((1.4 / 3, 0.3, 1 / 3))
    assert (face.nme, face.nme_median, face.missing) == pytest.approx((0.5, 0.3, 1))
    assert (body.nme, body.nme_median, body.pck, body.oks) == pytest.approx((1 / 3, 0, 2 / 3, 2 / 3))


def test_a_part_that_a_found_person_lacks_is_missing():
    truth, found = known_errors()
    found[0]["lefthand_kpts"] = [-1e5, -1e5, 0.0] * 21
    left_out, wrong = (
        row(measure(*read(truth, found), options=MeasureOptions(missing_wrong=is_wrong)), "left_hand")
        for is_wrong in (False, True)
    )
    assert (left_out.matched, left_out.missing, left_out.nme) == (2, 2, pytest.approx(0.3))
    assert (wrong.missing, wrong.nme, wrong.nme_median) == (2, pytest.approx(2.3 / 3), 1)


@pytest.mark.parametrize(("alpha", "share"), [(0.05, 0), (0.11, 1 / 3), (0.31, 2 / 3)])
def test_pck_is_within_any_share_of_the_part_s_length(alpha, share):
    report = measure(*read(*known_errors()), ["left_hand"], MeasureOptions(alpha=alpha, missing_wrong=True))
    assert row(report, "left_hand").pck == pytest.approx(share)


def test_the_hands_of_both_sides_are_counted_one_by_one():
    """Left hands: 0.1, 0.3 and a missing one. Right hands: 0.2, 0.6 and a missing one."""
    report = measure(*read(*known_errors()), options=MeasureOptions(missing_wrong=True))
    both = row(report, "hand")
    assert (both.people, both.missing) == (6, 2)
    assert (both.nme, both.nme_median) == pytest.approx((3.2 / 6, 0.45))
    assert "hand" not in {one.part for one in measure(*read(*known_errors()), ["left_hand"]).rows}


def test_small_hands_and_those_that_are_not_whole_can_be_left_out():
    truth, found = known_errors()
    assert row(measure(*read(truth, found), options=MeasureOptions(least_hand_px=20)), "hand").people == 6
    assert row(measure(*read(truth, found), options=MeasureOptions(least_hand_px=21)), "hand").people == 3
    first, second, third = truth["annotations"]
    first["lefthand_kpts"][2] = 0
    second["lefthand_valid"] = False
    third["face_kpts"][5] = 0
    whole = measure(*read(truth, found), options=MeasureOptions(whole_parts=True))
    assert [row(whole, part).people for part in ("left_hand", "right_hand", "face", "body")] == [1, 3, 2, 3]


def test_a_crowd_is_not_missing():
    truth, found = known_errors()
    truth["annotations"][2]["iscrowd"] = 1
    report = measure(*read(truth, found), options=MeasureOptions(missing_wrong=True))
    assert [(row(report, part).people, row(report, part).missing) for part in ("body", "face")] == [
        (2, 0)
    ] * 2


def test_a_file_that_calls_nothing_valid_has_whole_parts_too():
    truth, found = known_errors()
    for one in truth["annotations"]:
        for part in ("face", "lefthand", "righthand"):
            del one[f"{part}_valid"]
    whole = measure(*read(truth, found), options=MeasureOptions(whole_parts=True))
    assert row(whole, "left_hand").people == 3


def test_a_detection_that_two_people_share_is_no_extra_one():
    truth, found = known_errors()
    truth["annotations"][2]["bbox"] = truth["annotations"][1]["bbox"]
    report = measure(*read(truth, found), options=MeasureOptions(pair_by="overlap"))
    assert (report.people, report.found, report.extra) == (3, 3, 0)


def test_what_is_drawn_is_read_from_the_style_of_drawing():
    options, style = MeasureOptions(), OverlayStyle()
    assert (options.face_drawn, options.hand_drawn) == (style.point_threshold, style.hand_threshold)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"pair_by": "luck"}, "oks, box, overlap; got 'luck'"),
        ({"alpha": 0}, "alpha"),
        ({"least_hand_px": -1}, "size of a hand"),
        ({"hand_drawn": 30}, "hand that is drawn"),
        ({"face_drawn": math.nan}, "face that is drawn"),
    ],
)
def test_what_cannot_count_is_refused(wrong, words):
    with pytest.raises(UsageError, match=words):
        MeasureOptions(**wrong)
