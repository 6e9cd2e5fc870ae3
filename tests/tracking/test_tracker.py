import numpy as np
import pytest

from hprnet_rt.errors import UsageError
from hprnet_rt.tracking import Tracker, TrackerOptions, kernels
from hprnet_rt.types import Poses
from tests.oracles import tracking as oracle
from tests.tracking.scenes import FPS, SHAPE, SIZE_PX, people


def ids(tracker, poses, time_s):
    return tracker(poses, time_s).track_id.tolist()


def walk(tracker, frame, *, start=0, speed=200.0, hidden=()):
    """Return the ids of those not hidden, of two people who walk towards each other and past."""
    time_s = frame / FPS
    at = {0: (start + speed * time_s, 300), 1: (800 - speed * time_s, 310)}
    shown = [n for n in at if n not in hidden]
    if frame % 2:
        shown.reverse()  # the order does not matter
    found = ids(tracker, people([at[n] for n in shown]), time_s)
    return dict(zip(shown, found, strict=True))


def bodies(rng, where):
    """Return joints (6, 17, 2), half of them absent, and boxes (6, 4) of people somewhere in a square."""
    xy = rng.uniform(0, 60, (6, 17, 2)).astype(np.float32)
    xy[rng.uniform(size=(6, 17)) < 0.5] = np.nan
    corner = rng.uniform(0, 60, (6, 2))
    box = np.concatenate((corner, corner + rng.uniform(0, 90, (6, 2))), 1).astype(np.float32)
    at = rng.uniform(0, where, (6, 2)).astype(np.float32)
    return xy + at[:, None], box + np.tile(at, 2)


@pytest.mark.parametrize("where", [1, 400])
@pytest.mark.parametrize("least", [1e-5, 0.2])
def test_similarity_equals_the_plain_rule_wherever_it_reaches_the_least(least, where):
    rng = np.random.default_rng(0)
    reached = 0
    for _ in range(20):
        (xy, box), (expected, expected_box) = bodies(rng, where), bodies(rng, where)
        away = rng.uniform(0, 1, 6).astype(np.float32)
        ours = kernels.similarity(xy, box, expected, expected_box, away, 4, least)
        plain = np.array(
            [
                [oracle.similarity(xy[n], box[n], expected[t], expected_box[t], away[t], 4) for t in range(6)]
                for n in range(6)
            ]
        )
        np.testing.assert_allclose(ours, np.where(ours > 0, plain, 0), atol=1e-5)  # float32 against float64
        np.testing.assert_allclose(ours[plain >= least], plain[plain >= least], atol=1e-5)
        reached += (plain >= least).sum()
    assert reached > 10


def test_two_people_who_cross_keep_their_ids():
    tracker = Tracker()
    first = walk(tracker, 0)
    assert all(walk(tracker, frame) == first for frame in range(1, 100))


def test_who_is_hidden_while_crossing_comes_back_as_the_same():
    tracker = Tracker()
    first = walk(tracker, 0)
    for frame in range(1, 100):
        hidden = (1,) if 45 <= frame < 55 else ()
        found = walk(tracker, frame, hidden=hidden)
        assert all(found[n] == first[n] for n in found), frame


@pytest.mark.parametrize(("gap_s", "same"), [(0.9, True), (1.1, False)])
def test_patience_ends_a_track(gap_s, same):
    tracker = Tracker(TrackerOptions(patience_s=1.0))
    assert ids(tracker, people([(100, 300)]), 0.0) == [0]
    for step in range(1, round(gap_s * 10)):
        assert ids(tracker, Poses.empty(), step / 10) == []
    assert ids(tracker, people([(100, 300)]), gap_s) == [0 if same else 1]


def test_who_enters_elsewhere_when_another_leaves_is_new():
    tracker = Tracker()
    assert ids(tracker, people([(100, 300)]), 0.0) == [0]
    assert ids(tracker, people([(900, 300)]), 0.04) == [1]


def test_equal_boxes_are_told_apart_by_joints():
    tracker = Tracker()
    mirrored = SHAPE * (-1, 1)
    both, turned = np.stack((SHAPE, mirrored)), np.stack((mirrored, SHAPE))
    at = [(300, 300), (300, 300)]
    assert ids(tracker, people(at, shapes=both), 0.0) == [0, 1]
    assert ids(tracker, people(at, shapes=turned), 0.04) == [1, 0]


def test_boxes_are_compared_where_joints_are_weak():
    tracker = Tracker()
    assert ids(tracker, people([(300, 300), (700, 300)], score=0.1), 0.0) == [0, 1]
    assert ids(tracker, people([(705, 300), (305, 300)], score=0.1), 0.04) == [1, 0]


def test_flicker_of_one_frame_changes_no_id():
    tracker = Tracker()
    at = [(300, 300), (380, 300)]
    assert ids(tracker, people(at), 0.0) == [0, 1]
    assert ids(tracker, people(at[:1]), 0.04) == [0]
    assert ids(tracker, people([*at, (900, 300)]), 0.08) == [0, 1, 2]
    assert ids(tracker, people(at), 0.12) == [0, 1]


def test_time_going_backwards_begins_anew_and_reuses_no_id():
    tracker = Tracker()
    assert ids(tracker, people([(300, 300)]), 5.0) == [0]
    assert ids(tracker, people([(300, 300)]), 5.0) == [0]
    assert ids(tracker, people([(300, 300)]), 4.9) == [1]
    assert ids(tracker, people([(300, 300)]), 500.0) == [2]
    with pytest.raises(UsageError, match="finite"):
        tracker(Poses.empty(), float("nan"))


def test_people_and_their_order_stay_as_they_were():
    tracker, given = Tracker(), people([(700, 300), (100, 300), (400, 300)])
    got = tracker(given, 0.0)
    assert got.track_id.tolist() == [0, 1, 2]
    for name in ("xy", "score", "box_xyxy", "face_xyxy", "person_score"):
        assert getattr(got, name) is getattr(given, name)
    assert given.track_id.tolist() == [-1, -1, -1]


def test_who_comes_and_goes_leaves_bounded_memory_and_is_always_named_alike():
    def run():
        rng = np.random.default_rng(1)
        tracker = Tracker(TrackerOptions(max_tracks=8))
        found = []
        for frame in range(1000):
            found.append(ids(tracker, people(rng.uniform(0, 1e4, (rng.integers(0, 12), 2))), frame / FPS))
            assert len(set(found[-1])) == len(found[-1])
        assert [len(array) for array in tracker._tracks] == [8] * 6
        return found

    assert run() == run()


def test_more_people_than_are_remembered_all_get_ids():
    tracker = Tracker(TrackerOptions(max_tracks=2))
    at = [(100 + 2 * SIZE_PX * n, 300) for n in range(3)]
    assert ids(tracker, people(at), 0.0) == [0, 1, 2]
    assert ids(tracker, people(at), 0.04) == [0, 1, 3]


def test_a_small_body_in_a_tracks_place_is_someone_else():
    tracker = Tracker()
    (first,) = ids(tracker, people([(100, 300)]), 0.0)
    small = people([(100, 300)], shapes=SHAPE[None] / 4)
    small.box_xyxy[:] = (100 - 15, 300 - 37, 100 + 15, 300 + 37)
    (second,) = ids(tracker, small, 1 / FPS)
    assert second != first
