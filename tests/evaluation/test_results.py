"""People in COCO-WholeBody's results format, and the scores of both ways of matching."""

import dataclasses
import json

import numpy as np
import pytest

from hprnet_rt.errors import OutputError
from hprnet_rt.evaluation import (
    PART_TYPES,
    compare,
    evaluate,
    read_annotations,
    read_results,
    to_results,
    write_results,
)
from hprnet_rt.types import Poses
from hprnet_rt.types.coco import ABSENT_PX
from tests.evaluation.sets import EXAMPLE_GT, annotations, decoded, golden_annotations, person

ROUNDED = 6e-4  # px; three decimals are written
SIX_DIGITS = 6e-6  # of a point's score


def poses_of(truth):
    """Return the annotated people of one image as exact poses; unlabelled points are absent."""
    people = len(truth)
    corners = np.concatenate((truth.box_xywh[:, :2], truth.box_xywh[:, :2] + truth.box_xywh[:, 2:]), axis=1)
    return Poses(
        np.where(truth.labelled[..., None], truth.xy, np.nan).astype(np.float32),
        np.where(truth.labelled, 0.8, 0).astype(np.float32),
        corners.astype(np.float32),
        np.full((people, 4), np.nan, np.float32),
        np.linspace(0.9, 0.5, people).astype(np.float32),
        np.full(people, -1),
    )


def test_poses_make_the_round_trip(tmp_path):
    rng = np.random.default_rng(3)
    xy = rng.uniform(-5, 900, (4, 133, 2)).astype(np.float32)
    score = rng.random((4, 133)).astype(np.float32)
    absent = rng.random((4, 133)) < 0.2
    xy[absent], score[absent] = np.nan, 0
    score[0, 5] = np.finfo(np.float32).tiny  # there, though without a score
    xy[0, 5] = 40
    absent[0, 5] = False
    corner = rng.uniform(0, 100, (4, 2))
    box = np.concatenate((corner, corner + rng.uniform(10, 90, (4, 2))), axis=1).astype(np.float32)
    face = box / 2
    face[2] = np.nan
    poses = Poses(xy, score, box, face, rng.random(4).astype(np.float32), np.full(4, -1))
    path = tmp_path / "results.json"
    assert write_results(path, to_results(17, poses)) == 4
    back = read_results(path)
    assert (back.image_id == 17).all()
    assert (back.visible == ~absent).all()
    np.testing.assert_allclose(back.point_score, score, rtol=SIX_DIGITS)
    assert back.has_point_scores
    np.testing.assert_allclose(back.xy[~absent], xy[~absent], atol=ROUNDED)
    assert (back.xy[absent] == ABSENT_PX).all()
    assert (back.scores["score"].astype(np.float32) == poses.person_score).all()
    np.testing.assert_allclose(back.box_xywh[:, :2], box[:, :2], atol=ROUNDED)
    np.testing.assert_allclose(back.box_xywh[:, 2:], box[:, 2:] - box[:, :2], atol=2 * ROUNDED)
    assert np.isnan(back.face_box_xywh[2]).all()
    assert np.isfinite(back.face_box_xywh[[0, 1, 3]]).all()
    for name, part in PART_TYPES.items():
        if name not in ("body", "whole_body"):
            expected = poses.person_score * score[:, part.points].mean(axis=1)
            np.testing.assert_allclose(back.scores[part.score_field], expected, rtol=1e-5)


def test_an_absent_point_scores_nowhere_not_even_on_a_large_person_in_the_corner():
    xy = np.zeros((133, 2)) + np.arange(133)[:, None] / 50
    truth = read_annotations(annotations([person(xy, np.ones(133), 4e8, [0, 0, 2e4, 2e4], 1, 1)]))
    poses = poses_of(truth)
    poses.xy[:], poses.score[:] = np.nan, 0
    scores = evaluate(truth, to_results(1, poses))
    assert all(scores[part]["AR"] == 0 for part in PART_TYPES)


def test_true_people_score_100():
    truth = read_annotations(EXAMPLE_GT)
    image = truth.image == 1
    one = dataclasses.replace(
        truth,
        image_ids=truth.image_ids[[1]],
        image_hw=truth.image_hw[[1]],
        image=np.zeros(image.sum(), np.int64),
        **{
            name: getattr(truth, name)[image]
            for name in ("area", "box_xywh", "crowd", "xy", "labelled", "face_box_xywh", "body_only")
        },
    )
    scores = evaluate(one, to_results(int(one.image_ids[0]), poses_of(one)))
    assert all(scores[part]["AP"] == pytest.approx(1) for part in PART_TYPES)


def test_a_network_that_knows_bodies_only_writes_bodies_only():
    truth = read_annotations(golden_annotations())
    (first, *_) = to_results(1, poses_of(truth), parts=("body",))
    assert set(first) == {"image_id", "category_id", "bbox", "score", "keypoints"}
    assert to_results(1, Poses.empty()) == []


def test_a_file_is_complete_or_not_there(tmp_path):
    path = tmp_path / "results.json"
    path.write_text("before")

    def breaking():
        yield {"image_id": 1}
        raise RuntimeError("the model broke")

    with pytest.raises(RuntimeError, match="broke"):
        write_results(path, breaking())
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_results(path, [{"score": float("nan")}])
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
    assert write_results(path, []) == 0
    assert json.loads(path.read_text()) == []
    with pytest.raises(OutputError, match="cannot write"):
        write_results(tmp_path / "nowhere" / "results.json", [])


def test_released_matching_loses_most_of_the_whole_body_and_little_of_the_parts():
    """With the same heads, a face or hand of another person costs the whole body, but each part little."""
    truth = read_annotations(golden_annotations())
    released, ours = (
        evaluate(truth, decoded(matching), name=matching) for matching in ("released", "one-to-one")
    )
    assert released["whole_body"]["AP"] < 0.5 < 0.9 < ours["whole_body"]["AP"]  # 0.379 and 0.939
    change = compare(released, ours)
    assert abs(change["body"]["AP"]) < 1e-6
    for part in ("foot", "face", "left_hand", "right_hand"):
        assert -0.01 < change[part]["AP"] < 0.1
