"""The largest people of a video."""

from dataclasses import replace

import numpy as np
import pytest

from hprnet_rt.errors import UsageError
from hprnet_rt.tracking import LargestPeople
from tests.tracking.scenes import people

FPS = 10.0


def scene(sizes):
    """People with these ids and areas."""
    ids = np.array(list(sizes), np.int64)
    poses = people([(1000.0 * n, 500.0) for n in range(len(ids))])
    half = np.sqrt(np.array(list(sizes.values()), np.float32))[:, None] / 2
    centers = (poses.box_xyxy[:, :2] + poses.box_xyxy[:, 2:]) / 2
    return replace(poses, track_id=ids, box_xyxy=np.concatenate((centers - half, centers + half), axis=1))


def chosen(step, scenes):
    return [sorted(step(scene(sizes), n / FPS).track_id.tolist()) for n, sizes in enumerate(scenes)]


def test_the_largest_are_left_and_a_choice_does_not_flicker():
    scenes = [{1: 100, 2: 90, 3: 10}] + [{1: 100, 2: 90 + 20 * (n % 2), 3: 10} for n in range(40)]
    assert chosen(LargestPeople(1), scenes) == [[1]] * 41
    assert chosen(LargestPeople(2), scenes) == [[1, 2]] * 41
    assert chosen(LargestPeople(5), scenes) == [[1, 2, 3]] * 41


def test_a_place_is_kept_for_a_second_and_then_given_to_another():
    scenes = [{1: 100, 2: 90}] * 3 + [{2: 90}] * 8 + [{1: 100, 2: 90}] * 2 + [{2: 90}] * 13
    found = chosen(LargestPeople(1), scenes)
    assert found[:3] == [[1]] * 3 and found[3:11] == [[]] * 8 and found[11:13] == [[1]] * 2
    assert found[13:22] == [[]] * 9 and found[23:] == [[2]] * 3


def test_somebody_much_larger_takes_over_after_a_second():
    scenes = [{1: 100}] * 2 + [{1: 100, 2: 160}] * 15
    found = chosen(LargestPeople(1), scenes)
    assert found[:12] == [[1]] * 12 and found[13:] == [[2]] * 4


def test_without_ids_each_frame_has_its_largest():
    step = LargestPeople(1)
    for n, x in enumerate((0, 1)):
        poses = scene({5: 100 + 50 * x, 6: 120})
        (box,) = step(replace(poses, track_id=np.full(2, -1)), n / FPS).box_xyxy
        assert box[0] == poses.box_xyxy[1 - x, 0]


def test_a_run_that_goes_on_chooses_as_one_run():
    scenes = [{1: 100, 2: 160} if n > 2 else {1: 100} for n in range(20)]
    whole = chosen(LargestPeople(1), scenes)
    for at in (1, 5, 12):
        first, second = LargestPeople(1), LargestPeople(1)
        found = chosen(first, scenes[:at])
        second.restore(first.state())
        for n in range(at, len(scenes)):
            found.append(second(scene(scenes[n]), n / FPS).track_id.tolist())
        assert found == whole


def test_time_that_goes_back_is_another_video():
    step = LargestPeople(1)
    step(scene({1: 100}), 5.0)
    assert step(scene({1: 100, 2: 200}), 0.0).track_id.tolist() == [2]


def test_none_is_no_number_of_people():
    with pytest.raises(UsageError, match="at least 1, got 0"):
        LargestPeople(0)
