"""The benchmark of people who hide each other counts what it says."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from hprnet_rt.skeleton import NUM_KEYPOINTS
from hprnet_rt.types import Poses

WRIST = 9


@pytest.fixture
def crowd(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    return importlib.import_module("crowd")


def placed(crowd, *lefts, seen=17):
    """Return people of one shape, 300 px tall."""
    shape = np.random.default_rng(5).uniform(0, 1, (17, 2)) * (100, 300)
    return [
        crowd.Placed(shape + np.array((left, 50)), np.arange(17) < seen, 0.53 * 100 * 300, 300.0)
        for left in lefts
    ]


def found(*bodies):
    """Return the poses of people with these joints."""
    people = len(bodies)
    xy = np.full((people, NUM_KEYPOINTS, 2), np.nan, np.float32)
    for n, joints in enumerate(bodies):
        xy[n, :17] = joints
    nothing = np.zeros((people, 4), np.float32)
    ones = np.ones(people, np.float32)
    return Poses(xy, np.ones(xy.shape[:2], np.float32), nothing, nothing, ones, np.zeros(people, np.int64))


def test_people_who_are_found_as_they_are_have_their_own_limbs(crowd):
    everyone = placed(crowd, 100, 300)
    counts, who = crowd.judge(found(everyone[1].xy, everyone[0].xy), everyone)
    assert who.tolist() == [1, 0]
    assert counts["found"] == counts["placed"] == 2
    assert counts["oks"] == pytest.approx(2)
    assert counts["limbs"] == 16
    assert not any(counts[name] for name in ("found twice", "false", "other owner", "on two people"))


def test_a_wrist_of_somebody_else_is_counted_as_theirs_and_as_on_two_people(crowd):
    everyone = placed(crowd, 100, 300)
    wrong = everyone[0].xy.copy()
    wrong[WRIST] = everyone[1].xy[WRIST]
    counts, _ = crowd.judge(found(wrong, everyone[1].xy), everyone)
    assert (counts["other owner"], counts["on two people"]) == (1, 1)


def test_who_is_found_twice_is_not_false_and_who_is_nowhere_is(crowd):
    everyone = placed(crowd, 100)
    counts, who = crowd.judge(found(everyone[0].xy, everyone[0].xy + 3, everyone[0].xy + 500), everyone)
    assert (counts["found"], counts["found twice"], counts["false"]) == (1, 1, 1)
    assert sorted(who.tolist()) == [-1, -1, 0]


def test_who_is_hidden_need_not_be_found_and_is_not_false(crowd):
    everyone = placed(crowd, 100) + placed(crowd, 300, seen=5)
    counts, who = crowd.judge(found(everyone[0].xy, everyone[1].xy), everyone)
    assert (counts["placed"], counts["found"], counts["false"]) == (1, 1, 0)
    assert who.tolist() == [0, -1]


def test_a_body_hides_the_one_behind_it(crowd):
    image = np.full((100, 50, 4), 255, np.uint8)
    body = crowd.Body(image, np.full((23, 2), 25, np.float32))
    background = np.zeros((crowd.TALL, crowd.WIDE, 3), np.uint8)
    picture, everyone = crowd.scene(background, [body, body], [100.0, 110.0], [300, 300], [0, 1])
    assert not everyone[0].seen.any() and everyone[1].seen.all()
    assert (picture[500, 120] == 255).all() and not picture[500, 400].any()
