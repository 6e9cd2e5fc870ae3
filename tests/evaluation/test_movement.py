"""The differences between two backends."""

import dataclasses

import numpy as np
import pytest

from hprnet_rt.evaluation import movement
from hprnet_rt.types import Poses

BODY = 17


def people(*places, score=0.9):
    """Make a person at each place: a grid of joints of 100 px, with all other points absent."""
    count = len(places)
    empty = Poses.empty()
    xy = np.full((count, *empty.xy.shape[1:]), np.nan, np.float32)
    grid = np.stack((np.arange(BODY) % 4, np.arange(BODY) // 4), axis=1) * 25.0
    for row, place in enumerate(places):
        xy[row, :BODY] = grid + place
    return Poses(
        xy,
        np.where(np.isnan(xy[..., 0]), 0, 0.8).astype(np.float32),
        np.array([[x, y, x + 100, y + 100] for x, y in places], np.float32).reshape(-1, 4),
        np.full((count, 4), np.nan, np.float32),
        np.full(count, score, np.float32),
        np.full(count, -1, np.int64),
    )


def test_points_move_in_the_units_of_the_scale():
    moved = movement([people((0, 0), (300, 0))], [people((302, 0), (0, 0))], [0.5])
    assert (moved.people, moved.lost, moved.new) == (2, 0, 0)
    np.testing.assert_allclose(moved.distance_px, [0] * BODY + [1] * BODY)
    assert (moved.within(0.5), moved.within(1)) == (0.5, 1)


def test_people_who_are_not_found_again_are_lost_and_others_new():
    moved = movement([people((0, 0)), people()], [people((500, 0)), people((0, 0))], [1, 1])
    assert (moved.people, moved.lost, moved.new) == (1, 1, 2)
    assert len(moved.distance_px) == 0
    assert np.isnan(moved.within(1))
    assert moved.to_dict()["median_px"] is None


@pytest.mark.parametrize(("score", "lost"), [(0.25, 0), (0.15, 1)])
def test_a_score_that_falls_a_little_below_what_is_sure_loses_nobody(score, lost):
    assert movement([people((0, 0))], [people((0, 0), score=score)], [1]).lost == lost


def test_a_point_that_is_gone_is_infinitely_far():
    after = people((0, 0))
    xy = after.xy.copy()
    xy[0, 3] = np.nan
    moved = movement([people((0, 0))], [dataclasses.replace(after, xy=xy)], [1])
    assert moved.within(1e9) == pytest.approx(1 - 1 / BODY)
