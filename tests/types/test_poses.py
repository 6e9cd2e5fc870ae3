"""People of one image: choosing them and their points, and other programs' forms of them."""

import builtins
import math
from fractions import Fraction

import numpy as np
import pytest

import hprnet_rt
from hprnet_rt import PARTS, Frame, Poses, index
from hprnet_rt.errors import BackendError, DataError, ShapeError, UsageError
from hprnet_rt.types import HAND_THRESHOLD, POINT_THRESHOLD

SIZES = ((100, 200), (50, 60), (300, 400))


def three(score=0.9):
    """Three people side by side, of different sizes; some points of the second one are absent."""
    rng = np.random.default_rng(1)
    boxes = np.array([(400 * n, 0, 400 * n + w, h) for n, (w, h) in enumerate(SIZES)], np.float32)
    points = np.full((3, 133, 3), score, np.float32)
    points[..., :2] = rng.uniform(boxes[:, None, :2], boxes[:, None, 2:], (3, 133, 2))
    points[1, PARTS["feet"]] = np.nan
    faces = np.full((3, 4), np.nan)
    faces[0] = (10, 10, 40, 50)
    return Poses.from_numpy(
        points, box_xyxy=boxes, face_xyxy=faces, person_score=(0.9, 0.8, 0.7), track_id=(4, -1, 6)
    )


def equal(one, other):
    return all(
        np.allclose(getattr(one, name), getattr(other, name), atol=2e-3, equal_nan=True)
        for name in ("xy", "score", "box_xyxy", "face_xyxy", "person_score", "track_id")
    )


def test_points_are_asked_for_by_name():
    person = three()[0]
    assert person["left_knee"] == (*person.xy[13].tolist(), pytest.approx(0.9))
    x, y, score = three()[1]["right_heel"]
    assert math.isnan(x) and math.isnan(y) and score == 0
    assert (person.track_id, three()[1].track_id) == (4, None)
    with pytest.raises(UsageError, match="no point 'left_nee'; did you mean left_knee"):
        person["left_nee"]
    with pytest.raises(UsageError, match="KEYPOINT_NAMES has all"):
        index("zzzzzzzz")


def test_every_name_has_its_number():
    assert [index(name) for name in hprnet_rt.KEYPOINT_NAMES] == list(range(133))
    assert all(len({a, b}) == 2 for a, b in hprnet_rt.SKELETON)


def test_an_angle_is_that_of_the_picture_and_nan_where_a_point_is_absent():
    points = np.full((1, 133, 3), np.nan)
    for name, at in (("left_hip", (0, 0)), ("left_knee", (0, 10)), ("left_ankle", (10, 10))):
        points[0, index(name)] = (*at, 0.9)
    person = Poses.from_numpy(points)[0]
    assert person.angle("left_hip", "left_knee", "left_ankle") == pytest.approx(90)
    assert math.isnan(person.angle("left_hip", "left_knee", "left_wrist"))
    assert math.isnan(person.angle("left_hip", "left_hip", "left_ankle"))


def test_guesses_become_absent_by_part():
    poses = three()
    for part, score in (("body", POINT_THRESHOLD), ("left_hand", HAND_THRESHOLD), ("right_hand", 0.07)):
        poses.score[:, PARTS[part]] = score
    poses.score[0, index("nose")] = 0.19
    sure = poses.confident()
    assert np.isfinite(sure.xy[:, PARTS["left_hand"]]).all()
    assert np.isnan(sure.xy[:, PARTS["right_hand"]]).all() and not sure.score[:, PARTS["right_hand"]].any()
    assert math.isnan(sure[0]["nose"][0]) and not math.isnan(sure[2]["nose"][0])
    assert (np.isfinite(sure.xy[..., 0]) == poses.shown()).all()
    assert equal(sure.confident(), sure)
    assert len(sure) == 3 and np.isfinite(poses.xy[0, index("nose")]).all(), "the first ones are not changed"


def test_a_threshold_of_one_s_own_holds_for_every_part():
    poses = three(0.5)
    assert np.isfinite(poses.confident(0.5).xy[0]).all()
    assert np.isnan(poses.confident(0.51).xy).all()
    with pytest.raises(UsageError, match="from 0 to 1"):
        poses.confident(1.5)


def test_parts_people_and_places_are_chosen():
    poses = three()
    hands = poses.only("left_hand", "right_hand")
    assert np.isfinite(hands.xy[0, PARTS["left_hand"].start :]).all()
    assert np.isnan(hands.xy[0, : PARTS["left_hand"].start]).all() and np.isnan(hands.face_xyxy).all()
    assert equal(poses.only("face").select([0]), poses.select([0]).only("face"))
    with pytest.raises(UsageError, match="no part 'hand'"):
        poses.only("hand")
    assert poses.largest(2).track_id.tolist() == [4, 6]
    assert poses.largest(9).track_id.tolist() == poses.track_id.tolist()
    assert poses.inside((350, -10, 500, 100)).person_score.tolist() == pytest.approx([0.8])
    assert len(poses.inside((0, 0, 49, 200))) == 0 and len(poses.inside((0, 0, 49, 200), least=0.4)) == 1
    assert poses.select(poses.person_score > 0.75).track_id.tolist() == [4, -1]
    assert poses.select([2, 0]).track_id.tolist() == [6, 4]
    assert (
        len(poses.select([])) == len(Poses.empty().largest(1)) == len(Poses.empty().inside((0, 0, 9, 9))) == 0
    )
    with pytest.raises(TypeError, match="select"):
        poses[0:1]


def test_what_cannot_be_chosen_is_refused():
    poses = three()
    assert poses.select(1).person_score.tolist() == poses.select([1]).person_score.tolist()
    with pytest.raises(UsageError, match="at least 0, got -1"):
        poses.largest(-1)
    with pytest.raises(ShapeError, match="left, top, right and bottom"):
        poses.inside((1, 2, 3))


def test_numpy_gives_back_what_it_got():
    poses = three()
    again = Poses.from_numpy(
        poses.to_numpy(),
        box_xyxy=poses.box_xyxy,
        face_xyxy=poses.face_xyxy,
        person_score=poses.person_score,
        track_id=poses.track_id,
    )
    assert equal(again, poses)
    assert len(Poses.from_numpy(np.zeros((0, 133, 3)))) == 0


def test_what_an_array_does_not_say_is_made_of_its_points():
    points = np.full((1, 133, 3), np.nan)
    points[0, 3:5] = [(10, 20, 0.4), (30, 60, 0.6)]
    poses = Poses.from_numpy(points)
    assert poses.box_xyxy.tolist() == [[10, 20, 30, 60]]
    assert poses.person_score.tolist() == pytest.approx([0.5]) and poses[0].track_id is None
    with pytest.raises(ShapeError, match="person 0 has no point"):
        Poses.from_numpy(points * np.nan)
    with pytest.raises(ShapeError, match=r"\(N, 133, 3\), got \(1, 17, 3\)"):
        Poses.from_numpy(points[:, :17])


def test_coco_results_give_back_what_they_got():
    poses = three()
    results = poses.to_coco(7)
    assert [each["image_id"] for each in results] == [7, 7, 7]
    assert [each.get("track_id") for each in results] == [4, None, 6]
    assert equal(Poses.from_coco(results), poses)
    assert len(Poses.from_coco([])) == 0
    with pytest.raises(DataError, match="several images"):
        Poses.from_coco([*results, *poses.to_coco(8)])
    for wrong in ([{"image_id": 1}], ["person"], [{"bbox": 3, "score": 1}]):
        with pytest.raises(DataError, match="no COCO-WholeBody results"):
            Poses.from_coco(wrong)


def test_a_table_gives_back_what_it_got():
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    poses = three()
    table = poses.to_pandas(Frame(5, np.zeros((2, 2, 3), np.uint8), 0.0, 10, Fraction(1, 20)))
    assert table[["frame", "pts_s", "person"]].to_numpy().tolist() == [[5, 0.5, n] for n in range(3)]
    assert table["left_heel_x"].isna().tolist() == [False, True, False]
    assert table["track_id"].isna().tolist() == [False, True, False]
    assert equal(Poses.from_pandas(table), poses)
    assert poses.to_pandas()["frame"].isna().all()
    assert len(Poses.from_pandas(Poses.empty().to_pandas())) == 0
    with pytest.raises(UsageError, match="several frames"):
        Poses.from_pandas(pd.concat([table, table.assign(frame=6)]))
    with pytest.raises(UsageError, match="has a column nose_x"):
        Poses.from_pandas(table.drop(columns="nose_x"))


def test_without_pandas_a_sentence_says_what_to_install(monkeypatch):
    known = builtins.__import__

    def absent(name, *arguments, **settings):
        if name == "pandas":
            raise ImportError("No module named 'pandas'")
        return known(name, *arguments, **settings)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(BackendError, match=r"pip install 'hprnet-rt\[pandas\]'"):
        three().to_pandas()
