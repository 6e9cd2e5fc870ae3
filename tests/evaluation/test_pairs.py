"""Pairs of true people and detections."""

import numpy as np

from hprnet_rt.evaluation import match_people, read_annotations, read_results
from hprnet_rt.evaluation.pairs import box_iou, partners
from tests.evaluation.sets import annotations, detection, person


def test_pairs_are_one_to_one_and_best_in_sum():
    similarity = np.array([[0.9, 0.8], [0.85, 0.1], [0.0, 0.3]])
    assert match_people(similarity).tolist() == [[0, 1], [1, 0]]
    assert match_people(similarity, least=0.82).tolist() == [[0, 0]]
    assert match_people(np.zeros((2, 3))).tolist() == []
    assert match_people(np.zeros((0, 3))).shape == (0, 2)


def test_box_overlap():
    boxes = np.array([[0.0, 0, 10, 10], [5, 0, 10, 10], [0, 0, 0, 0], [np.nan] * 4])
    assert box_iou(boxes, boxes[:2]).round(6).tolist() == [[1, 0.333333], [0.333333, 1], [0, 0], [0, 0]]


def boxed(*boxes_xywh, crowd=()):
    """Make people of one image with these boxes and no labelled points."""
    people = [
        person(np.zeros((133, 2)), np.zeros(133), box[2] * box[3], box, 1, number)
        for number, box in enumerate(boxes_xywh, start=1)
    ]
    for number in crowd:
        people[number]["iscrowd"] = 1
    return people


def paired(true, found, **how):
    results = read_results([detection(one, np.zeros((133, 2)), 0.9) for one in found])
    return partners(read_annotations(annotations(true)), results, np.arange(len(found)), **how).tolist()


def test_with_overlap_two_people_may_share_a_detection_that_one_to_one_keeps_apart():
    true, found = boxed([0, 0, 100, 100], [20, 0, 100, 100]), boxed([10, 0, 100, 100], [500, 0, 100, 100])
    assert paired(true, found, pair_by="overlap") == [0, 0]
    assert sorted(paired(true, found, pair_by="box")) == [-1, 0]


def test_everyone_meets_the_box_that_overlaps_most_and_the_first_of_equals():
    found = boxed([0, 0, 100, 50], [0, 0, 100, 90], [0, 10, 100, 90])
    assert paired(boxed([0, 0, 100, 100]), found, pair_by="overlap") == [1]


def test_an_overlap_of_three_tenths_is_too_little():
    found = boxed([0, 0, 100, 30])
    assert paired(boxed([0, 0, 100, 100], [0, 0, 100, 99]), found, pair_by="overlap") == [-1, 0]
    assert paired(boxed([0, 0, 100, 100]), found, pair_by="overlap", least=0.2) == [0]


def test_crowds_meet_nobody():
    found = boxed([0, 0, 100, 100])
    assert paired(boxed([0, 0, 100, 100], crowd=[0]), found, pair_by="overlap") == [-1]
