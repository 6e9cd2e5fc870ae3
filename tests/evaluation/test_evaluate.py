"""The evaluator against COCO-WholeBody's own numbers, another library, and by hand."""

import contextlib
import copy
import io
import json
import logging
import subprocess
import sys

import numpy as np
import pytest

from hprnet_rt.errors import UsageError
from hprnet_rt.evaluation import (
    BOX_METRICS,
    FACE_BOXES,
    KEYPOINT_METRICS,
    PART_TYPES,
    evaluate,
    oks,
    read_annotations,
    read_results,
)
from hprnet_rt.skeleton import SIGMAS
from tests.evaluation.sets import (
    EXAMPLE_GT,
    EXAMPLE_RESULTS,
    annotations,
    detection,
    person,
    random_set,
)
from tests.oracles.oks import plain_oks

EQUAL = 1e-9  # the same arithmetic in another order; 0 measured
REFERENCE_NAMES = {"left_hand": "lefthand", "right_hand": "righthand", "whole_body": "wholebody"}


@pytest.fixture(scope="module")
def example():
    return evaluate(EXAMPLE_GT, EXAMPLE_RESULTS)


@pytest.mark.parametrize("part", PART_TYPES)
def test_every_number_of_every_part_equals_coco_wholebodys_own(part, example):
    reference = json.loads(EXAMPLE_GT.with_name("example_reference_stats.json").read_text())
    expected = reference[REFERENCE_NAMES.get(part, part)]
    assert tuple(example[part]) == KEYPOINT_METRICS
    np.testing.assert_allclose(list(example[part].values()), expected, rtol=0, atol=EQUAL)


def test_hand_is_the_mean_of_both_hands_and_wholebody_mean_that_of_five_rows(example):
    for metric in KEYPOINT_METRICS:
        row = {part: example[part][metric] for part in example.scores}
        assert row["hand"] == pytest.approx((row["left_hand"] + row["right_hand"]) / 2)
        five = (row["body"], row["foot"], row["face"], row["hand"], row["whole_body"])
        assert row["wholebody_mean"] == pytest.approx(sum(five) / 5)


def test_means_are_there_only_when_all_their_rows_are():
    assert list(evaluate(EXAMPLE_GT, EXAMPLE_RESULTS, ["left_hand"]).scores) == ["left_hand"]
    both = evaluate(EXAMPLE_GT, EXAMPLE_RESULTS, ["hand"])
    assert list(both.scores) == ["left_hand", "right_hand", "hand"]


def with_pycocotools(truth, results, part, ranking):
    """Return AP ... ARL by pycocotools with its own OKS; sizes are as in our documentation."""
    coco = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    truth, results = copy.deepcopy(truth), copy.deepcopy(results)
    for people in (truth["annotations"], results):
        for n, p in enumerate(people, start=1):
            p["id"] = n
            p["keypoints"] = [value for field in PART_TYPES[part].fields for value in p[field]]
            p["num_keypoints"] = sum(v > 0 for v in p["keypoints"][2::3])
            p.setdefault("area", p["bbox"][2] * p["bbox"][3])
            if ranking == "part":
                p["score"] = p.get(PART_TYPES[part].score_field, p.get("score"))
    with contextlib.redirect_stdout(io.StringIO()):
        sides = [coco.COCO(), coco.COCO()]
        sides[0].dataset = truth
        sides[1].dataset = {**truth, "annotations": results}
        for side in sides:
            side.createIndex()
        evaluator = cocoeval.COCOeval(*sides, "keypoints")
        evaluator.params.kpt_oks_sigmas = np.array(SIGMAS[PART_TYPES[part].points])
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return [None if value == -1 else value for value in evaluator.stats]


@pytest.mark.parametrize("ranking", ["part", "person"])
@pytest.mark.parametrize("seed", range(4))
def test_random_people_score_as_pycocotools_says(seed, ranking):
    truth, results = random_set(seed)
    ours = evaluate(truth, results, ranking=ranking)
    for part in PART_TYPES:
        expected = with_pycocotools(truth, results, part, ranking)
        assert list(ours[part].values()) == pytest.approx(expected, abs=EQUAL), part


def test_own_scores_rank_a_part_only_when_asked_to():
    by_part = evaluate(EXAMPLE_GT, EXAMPLE_RESULTS, ["face", "body"])
    by_person = evaluate(EXAMPLE_GT, EXAMPLE_RESULTS, ["face", "body"], ranking="person")
    assert by_part["body"] == by_person["body"]
    assert by_part["face"]["AP"] != by_person["face"]["AP"]
    bare = [
        {key: value for key, value in one.items() if key == "score" or not key.endswith("score")}
        for one in json.loads(EXAMPLE_RESULTS.read_text())
    ]
    assert evaluate(EXAMPLE_GT, bare, ["face"])["face"] == by_person["face"]


@pytest.mark.parametrize("points", [6, 21, 133])
def test_oks_equals_the_plain_one(points):
    rng = np.random.default_rng(points)
    found, true = rng.uniform(0, 100, (5, points, 2)), rng.uniform(0, 100, (4, points, 2))
    found[:4] = true + rng.normal(0, 2, true.shape)
    labelled = rng.random((4, points)) < 0.6
    labelled[2] = False
    area, box = np.array([900.0, 4000.0, 90.0, 0.0]), rng.uniform(0, 20, (4, 4))
    sigmas = np.array(SIGMAS[:points])
    got = oks(found, true, labelled, area, box, sigmas)
    for i in range(5):
        for j in range(4):
            expected = plain_oks(found[i], true[j], labelled[j], area[j], box[j], sigmas)
            assert got[i, j] == pytest.approx(expected, abs=1e-14)  # sums of 133 in another order


def test_a_point_that_was_not_found_agrees_with_nothing():
    true = np.zeros((1, 17, 2))
    found = true.copy()
    found[0, 3] = np.nan
    everything = (
        np.ones((1, 17), bool),
        np.array([1e4]),
        np.array([[0.0, 0, 50, 50]]),
        np.array(SIGMAS[:17]),
    )
    assert oks(found, true, *everything) == pytest.approx(16 / 17)
    nothing = (np.zeros((1, 17), bool), *everything[1:])
    assert oks(found, true, *nothing) == pytest.approx(16 / 17)


def one_person(seed=0, image_id=1, number=1):
    xy = np.random.default_rng(seed).uniform(100, 300, (133, 2))
    return xy, person(xy, np.ones(133), 20000, [100, 100, 200, 200], image_id, number)


def test_a_person_found_twice_is_right_once():
    xy, truth = one_person()
    once = evaluate(annotations([truth]), [detection(truth, xy, 0.9)])
    twice = evaluate(annotations([truth]), [detection(truth, xy, 0.8), detection(truth, xy, 0.9)])
    weaker_first = evaluate(
        annotations([truth]), [detection(truth, xy + 400, 0.9), detection(truth, xy, 0.8)]
    )
    for part in PART_TYPES:
        assert once[part]["AP"] == pytest.approx(1)
        assert twice[part]["AP"] == pytest.approx(1)
        assert weaker_first[part]["AP"] == pytest.approx(0.5)


def test_only_the_twenty_strongest_of_an_image_count():
    xy, truth = one_person()
    wrong = [detection(truth, xy + 900, 0.9) for _ in range(20)]
    assert evaluate(annotations([truth]), [*wrong[1:], detection(truth, xy, 0.8)])["body"]["AR"] == 1
    assert evaluate(annotations([truth]), [*wrong, detection(truth, xy, 0.8)])["body"]["AR"] == 0


def test_unlabelled_parts_and_crowds_ask_for_nothing_and_forgive_what_is_found_there():
    xy, truth = one_person()
    elsewhere = xy + 2000
    blind = person(elsewhere, np.arange(133) < 17, 20000, [2100, 2100, 200, 200], 1, 2)
    found = [detection(truth, xy, 0.8), detection(blind, elsewhere, 0.9)]
    scores = evaluate(annotations([truth, blind]), found)
    assert all(scores[part]["AP"] == pytest.approx(1) for part in PART_TYPES)
    blind["iscrowd"] = 1
    assert evaluate(annotations([truth, blind]), found)["body"]["AP"] == pytest.approx(1)
    assert evaluate(annotations([truth, blind]), found).people == 1


def test_a_part_that_nobody_shows_has_no_score_and_neither_have_its_means():
    xy, _ = one_person()
    truth = person(xy, np.arange(133) < 91, 20000, [100, 100, 200, 200], 1, 1)
    scores = evaluate(annotations([truth]), [detection(truth, xy, 0.9)])
    assert scores["body"]["APM"] is None
    assert set(scores["left_hand"].values()) == set(scores["wholebody_mean"].values()) == {None}


def test_face_boxes_by_field_and_by_extreme_visible_points():
    xy, truth = one_person()
    face = xy[23:91]
    box = [*face.min(axis=0).tolist(), *np.ptp(face, axis=0).tolist()]
    truth["face_box"] = box
    found = detection(truth, xy, 0.9, face_box=[box[0], box[1], box[2], 0.72 * box[3]])
    scores = evaluate(annotations([truth]), [found], FACE_BOXES)
    assert tuple(scores["face_box"]) == BOX_METRICS
    assert scores["face_points_box"]["AP"] == pytest.approx(1)
    assert scores["face_box"]["AP"] == pytest.approx(0.5)  # IoU 0.72 passes 5 of 10 thresholds
    assert scores["face_box"]["AP75"] == 0
    found["face_kpts"][2::3] = [0.0] * 68
    assert evaluate(annotations([truth]), [found], ["face_points_box"])["face_points_box"]["AP"] == 0


@pytest.mark.parametrize("seed", range(3))
def test_face_boxes_score_as_pycocotools_says(seed):
    """In its box evaluation, people without a labelled face are ignored, and sizes are the person's."""
    coco = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    truth, results = random_set(seed)
    results = [one for one in results if "face_box" in one]
    ours = evaluate(truth, results, ["face_box"])["face_box"]
    for n, p in enumerate(truth["annotations"], start=1):
        p.update(id=n, bbox=p["face_box"])
    hidden = {p["id"] for p in truth["annotations"] if not any(v > 0 for v in p["face_kpts"][2::3])}
    for n, p in enumerate(results, start=1):
        p.update(id=n, area=p["bbox"][2] * p["bbox"][3], bbox=p["face_box"], score=p["facebox_score"])
    with contextlib.redirect_stdout(io.StringIO()):
        sides = [coco.COCO(), coco.COCO()]
        sides[0].dataset = truth
        sides[1].dataset = {**truth, "annotations": results}
        for side in sides:
            side.createIndex()
        evaluator = cocoeval.COCOeval(*sides, "bbox")
        prepare = evaluator._prepare

        def ignoring():
            prepare()
            for people in evaluator._gts.values():
                for p in people:
                    p["ignore"] = p["ignore"] or p["id"] in hidden

        evaluator._prepare = ignoring
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    assert list(ours.values()) == pytest.approx([None if v == -1 else v for v in evaluator.stats], abs=EQUAL)


def test_annotations_without_people_give_no_numbers_and_say_so(caplog):
    nobody = annotations([], image_ids=[1, 2])
    with caplog.at_level(logging.WARNING):
        scores = evaluate(nobody, [])
    assert set(scores["body"].values()) == {None}
    assert "has no people" in caplog.text
    assert "no detections" not in caplog.text


def test_no_detections_score_0_and_say_so(caplog):
    with caplog.at_level(logging.WARNING):
        scores = evaluate(EXAMPLE_GT, [])
    assert "has no detections" in caplog.text
    assert all(scores[part][metric] == 0 for part in PART_TYPES for metric in ("AP", "AR"))


def test_body_alone_on_plain_coco_keypoints():
    truth = json.loads(EXAMPLE_GT.read_text())
    results = json.loads(EXAMPLE_RESULTS.read_text())
    whole = evaluate(truth, results)["body"]
    for one in (*truth["annotations"], *results):
        for field in ("foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts", "face_box"):
            one.pop(field, None)
    scores = evaluate(truth, results)
    assert list(scores.scores) == ["body"]
    assert scores["body"] == whole
    with pytest.raises(UsageError, match=r"no foot_kpts, so foot cannot be evaluated; .* body$"):
        evaluate(truth, results, ["foot"])


def test_results_of_bodies_alone_are_told_which_parts_they_can_have():
    results = json.loads(EXAMPLE_RESULTS.read_text())
    bodies = [{key: one[key] for key in ("image_id", "category_id", "keypoints", "score")} for one in results]
    with pytest.raises(UsageError, match=r"list of results has no foot_kpts, .* choose among the parts body"):
        evaluate(EXAMPLE_GT, bodies)
    assert evaluate(EXAMPLE_GT, bodies, ["body"])["body"] == evaluate(EXAMPLE_GT, results, ["body"])["body"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"parts": ["nose"]}, "no part 'nose'; the parts are body, foot"),
        ({"parts": []}, "no part to evaluate"),
        ({"ranking": "luck"}, "'part' or 'person'"),
    ],
)
def test_what_cannot_be_asked_for_is_a_sentence(arguments, sentence):
    with pytest.raises(UsageError, match=sentence):
        evaluate(EXAMPLE_GT, EXAMPLE_RESULTS, **arguments)


def test_the_order_of_images_and_results_changes_nothing_where_no_scores_tie():
    truth, results = random_set(9)
    for n, one in enumerate(results):
        for key in ("score", "foot_score", "face_score", "lefthand_score"):
            one[key] = (n + 1) / 1000
    first = evaluate(truth, results)
    truth["images"].reverse()
    assert evaluate(truth, results[::-1]).scores == first.scores


def test_read_once_evaluate_often():
    truth, results = read_annotations(EXAMPLE_GT), read_results(EXAMPLE_RESULTS)
    assert evaluate(truth, results) == evaluate(EXAMPLE_GT, EXAMPLE_RESULTS)


def test_without_the_library_a_sentence_says_what_to_install():
    script = (
        "import sys; sys.modules['faster_coco_eval'] = None\n"
        "import hprnet_rt.cli\n"
        f"sys.exit(hprnet_rt.cli.main(['eval', '--annotations', {str(EXAMPLE_GT)!r}, "
        f"'--results', {str(EXAMPLE_RESULTS)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100)
    assert done.returncode == 1
    assert 'pip install "hprnet-rt[eval]"' in done.stderr
    assert "Traceback" not in done.stderr
