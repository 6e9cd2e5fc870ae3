"""Errors of matched people in plain units."""

import math

import numpy as np
import pytest

from hprnet_rt.errors import UsageError
from hprnet_rt.evaluation import match_people, measure, oks, read_annotations, read_results
from hprnet_rt.evaluation.measures import box_iou, inter_ocular, nme, pck
from hprnet_rt.evaluation.parts import PART_TYPES, box_of_points
from tests.evaluation.sets import EXAMPLE_GT, EXAMPLE_RESULTS, annotations, detection, person

STEP = np.array([3.0, 4.0])
"""px, 5 in all."""


def test_pairs_are_one_to_one_and_best_in_sum():
    similarity = np.array([[0.9, 0.8], [0.85, 0.1], [0.0, 0.3]])
    assert match_people(similarity).tolist() == [[0, 1], [1, 0]]
    assert match_people(similarity, least=0.82).tolist() == [[0, 0]]
    assert match_people(np.zeros((2, 3))).tolist() == []
    assert match_people(np.zeros((0, 3))).shape == (0, 2)


def test_box_overlap():
    boxes = np.array([[0.0, 0, 10, 10], [5, 0, 10, 10], [0, 0, 0, 0], [np.nan] * 4])
    assert box_iou(boxes, boxes[:2]).round(6).tolist() == [[1, 0.333333], [0.333333, 1], [0, 0], [0, 0]]


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
    assert len(rows) == 4 * len(PART_TYPES)
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
    assert measure(truth, results, ["body"], match_by="box").found == 2
    assert measure(truth, results, ["body"], match_by="box", least_score=0.5).found == 1
    assert measure(truth, results, ["body"], least_score=0.5).extra == 1
    with pytest.raises(UsageError, match="'oks' or 'box'"):
        measure(truth, results, match_by="luck")
    with pytest.raises(UsageError, match="face_box cannot be measured"):
        measure(truth, results, ["face_box"])


def test_the_example_is_measured_in_all_parts():
    report = measure(read_annotations(EXAMPLE_GT), read_results(EXAMPLE_RESULTS))
    assert (report.people, report.found, report.extra) == (26, 26, 0)
    rows = {row.part: row for row in report.rows if row.size == "all"}
    assert rows["body"].people == 24
    assert all(0.5 < rows[part].oks < 1 for part in PART_TYPES)
    assert rows["face"].nme < 0.2
