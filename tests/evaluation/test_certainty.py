"""Which faces and hands are drawn, and how many points of a score are right."""

import json

import pytest

from hprnet_rt.evaluation import MeasureOptions, measure, read_annotations, read_results, to_json
from hprnet_rt.evaluation.certainty import SCORE_CLASSES
from tests.evaluation.sets import known_errors


def measured(truth, found, **options):
    return measure(read_annotations(truth), read_results(found), options=MeasureOptions(**options))


def drawn(report):
    return {one.part: one for one in report.drawn}


def right(report, part):
    """Return (points, share) of each class of scores that has points."""
    rows = [one for one in report.reliability if one.part == part]
    assert [(one.low, one.high) for one in rows] == list(SCORE_CLASSES)
    return {one.low: (one.points, one.right) for one in rows if one.points}


def rescored(detection, field, scores):
    detection[field][2::3] = scores


def test_a_part_is_drawn_when_its_mean_score_reaches_the_threshold():
    """Two of three people are found; their left hands score 0.25 and 0.75."""
    truth, found = known_errors()
    rescored(found[0], "lefthand_kpts", [0.25] * 21)
    rescored(found[1], "lefthand_kpts", [0.5, 1.0] * 10 + [0.75])
    for least, share in ((0.2, 2 / 3), (0.25, 2 / 3), (0.3, 1 / 3), (0.76, 0)):
        left = drawn(measured(truth, found, hand_drawn=least))["left_hand"]
        assert (left.labelled, left.of_labelled, left.least_score) == (3, pytest.approx(share), least)
        assert (left.unlabelled, left.of_unlabelled) == (0, None)


def test_faces_have_a_threshold_of_their_own_and_both_hands_are_counted_together():
    truth, found = known_errors()
    for one, face, hand in zip(found, (0.25, 0.75), (0.05, 0.75), strict=True):
        rescored(one, "face_kpts", [face] * 68)
        rescored(one, "lefthand_kpts", [hand] * 21)
        rescored(one, "righthand_kpts", [1.0] * 21)
    shares = {part: one.of_labelled for part, one in drawn(measured(truth, found)).items()}
    assert shares == pytest.approx({"face": 2 / 3, "left_hand": 1 / 3, "right_hand": 2 / 3, "hand": 3 / 6})


def test_hands_that_are_not_valid_count_as_unlabelled_only_where_they_were_looked_for():
    truth, found = known_errors()
    for one, label in zip(truth["annotations"], ("ok", "body", "ok"), strict=True):
        one["label"], one["lefthand_valid"], one["lefthand_kpts"] = label, False, [0.0] * 63
    truth["annotations"].append({**truth["annotations"][0], "id": 4, "iscrowd": 1, "label": "ignore"})
    rescored(found[0], "lefthand_kpts", [0.5] * 21)
    left = drawn(measured(truth, found))["left_hand"]
    assert (left.labelled, left.of_labelled) == (0, None)
    assert (left.unlabelled, left.of_unlabelled) == (2, 0.5)


def test_a_hand_that_is_labelled_though_not_valid_is_not_among_the_unlabelled():
    truth, found = known_errors()
    truth["annotations"][0]["lefthand_valid"] = False
    any_hand, whole = (
        drawn(measured(truth, found, whole_parts=is_whole))["left_hand"] for is_whole in (False, True)
    )
    assert (any_hand.labelled, any_hand.unlabelled) == (3, 0)
    assert (whole.labelled, whole.unlabelled) == (2, 1)


def test_a_valid_hand_too_small_to_count_is_neither_labelled_nor_unlabelled():
    both = drawn(measured(*known_errors(), least_hand_px=30))["right_hand"]
    assert (both.labelled, both.unlabelled) == (0, 0)


def test_points_are_right_within_a_tenth_of_the_part_by_classes_of_their_score():
    """Left hands of 40 px: the first person's points are 4 px off, the second's 12."""
    truth, found = known_errors()
    rescored(found[0], "lefthand_kpts", [0.1] * 5 + [0.2] * 5 + [0.7] * 5 + [1.0] * 6)
    rescored(found[1], "lefthand_kpts", [0.2] * 15 + [0.65] * 6)
    assert right(measured(truth, found), "left_hand") == {
        0.0: (5, 1),
        0.2: (20, 0.25),
        0.6: (6, 0),
        0.7: (5, 1),
        0.8: (6, 1),
    }


def test_a_face_s_points_are_right_within_a_tenth_of_its_longer_side():
    """Faces of 50 px, off by 4 and 6 px; the eyes are 20 px apart."""
    truth, found = known_errors()
    for one, score in zip(found, (0.9, 0.45), strict=True):
        rescored(one, "face_kpts", [score] * 68)
    assert right(measured(truth, found), "face") == {0.8: (68, 1), 0.4: (68, 0)}


def test_points_without_labels_and_points_that_are_missing_are_in_no_class():
    truth, found = known_errors()
    truth["annotations"][0]["lefthand_kpts"][2] = 0
    found[0]["lefthand_kpts"][3:6] = [-1e5, -1e5, 0.0]
    assert sum(points for points, _ in right(measured(truth, found), "left_hand").values()) == 40


def test_flags_in_place_of_scores_say_nothing():
    truth, found = known_errors()
    for one in found:
        for field in ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts"):
            one[field][2::3] = [2.0] * (len(one[field]) // 3)
    report = measured(truth, found)
    assert (report.drawn, report.reliability) == ((), ())


def test_where_nobody_is_found_nothing_is_drawn():
    truth, _ = known_errors()
    report = measured(truth, [])
    assert drawn(report)["hand"].of_labelled == 0
    assert right(report, "face") == {}
    assert json.loads(to_json(report))["found"] == 0
