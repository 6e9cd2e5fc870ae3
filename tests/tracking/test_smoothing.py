from dataclasses import replace

import numpy as np
import pytest

from hprnet_rt.errors import UsageError
from hprnet_rt.tracking import OneEuro, OneEuroOptions, smooth_both_ways
from hprnet_rt.types import Poses
from tests.tracking.scenes import SIZE_PX, people

FPS = 30
NOISE_PX = 0.005 * SIZE_PX
SPEED_PX = 0.5 * SIZE_PX  # a second


def named(poses, first=0):
    return replace(poses, track_id=np.arange(first, first + len(poses)))


def still(seed=0, frames=300, noise=NOISE_PX):
    rng = np.random.default_rng(seed)
    return [
        (i / FPS, named(replace(p, xy=p.xy + rng.normal(0, noise, p.xy.shape).astype(np.float32))))
        for i, p in enumerate([people([(300, 300)])] * frames)
    ]


def moving(frames=90):
    return [(i / FPS, named(people([(300 + SPEED_PX * i / FPS, 300)]))) for i in range(frames)]


def live(sequence, options=None):
    smooth = OneEuro(options)
    return [(time_s, smooth(poses, time_s)) for time_s, poses in sequence]


def points(sequence):
    return np.stack([poses.xy[0] for _, poses in sequence])


def test_a_still_person_jitters_a_third_and_a_moving_one_lags_less_than_a_frame():
    raw, smooth = (points(s)[FPS:] for s in (still(), live(still())))
    assert raw.std(axis=0).mean() > 3 * smooth.std(axis=0).mean()  # 3.2 measured
    lag_px = (points(moving()) - points(live(moving())))[-1, :, 0]
    assert 0.5 < lag_px.mean() / (SPEED_PX / FPS) < 1  # 0.88 frames measured


def test_far_people_are_treated_as_near_ones():
    sequence = still()
    small = [
        (t, replace(p, xy=p.xy / np.float32(5), box_xyxy=p.box_xyxy / np.float32(5))) for t, p in sequence
    ]
    np.testing.assert_allclose(points(live(small)) * 5, points(live(sequence)), atol=1e-2)  # px, float32


def test_a_low_score_trusts_its_history_more():
    sequence = still()
    weak = [(t, replace(p, score=p.score * np.float32(0.2))) for t, p in sequence]
    assert points(live(weak))[FPS:].std(axis=0).mean() < points(live(sequence))[FPS:].std(axis=0).mean()


def test_a_new_id_and_a_point_that_was_absent_begin_anew():
    (_, first), (_, second), (_, third) = still(frames=3)
    smooth = OneEuro()
    smooth(first, 0.0)
    xy, score = second.xy.copy(), second.score.copy()
    xy[0, 4], score[0, 4] = np.nan, 0
    absent = smooth(replace(second, xy=xy, score=score), 0.1)
    assert np.isnan(absent.xy[0, 4]).all()
    assert np.isfinite(absent.xy[0, 5:]).all()
    assert (absent.xy[0, 5] != second.xy[0, 5]).all()
    back = smooth(third, 0.2)
    np.testing.assert_array_equal(back.xy[0, 4], third.xy[0, 4])
    assert (back.xy[0, 5] != third.xy[0, 5]).all()
    other = smooth(replace(first, track_id=np.array([9])), 0.3)
    np.testing.assert_array_equal(other.xy, first.xy)


def test_without_ids_or_when_time_stands_nothing_changes():
    (_, first), (_, second) = still(frames=2)
    for smooth, now, time_s in ((OneEuro(), [-1], 0.1), (OneEuro(), [0], 0.0), (OneEuro(), [0], -1.0)):
        smooth(replace(first, track_id=np.array(now)), 0.0)
        got = smooth(replace(second, track_id=np.array(now)), time_s)
        np.testing.assert_array_equal(got.xy, second.xy)


def test_history_is_that_of_the_frame_before_and_what_was_given_stays():
    smooth = OneEuro()
    sequence = still(frames=50)
    before = points(sequence)
    for n, (time_s, poses) in enumerate(sequence):
        smooth(replace(poses, track_id=np.array([n])), time_s)
        assert all(len(array) == 1 for array in smooth._history)
    np.testing.assert_array_equal(points(sequence), before)
    assert len(smooth(Poses.empty(), 99.0)) == 0
    np.testing.assert_array_equal(points(live(sequence)), points(live(sequence)))


def test_both_ways_there_is_no_lag_and_no_bridge():
    inner = slice(30, 60)
    lag = points(moving())[inner] - points(smooth_both_ways(moving()))[inner]
    assert np.abs(lag).max() < 0.05 * SPEED_PX / FPS  # px; of a frame's way
    noisy = still()
    assert points(noisy).std(axis=0).mean() > 3 * points(smooth_both_ways(noisy)).std(axis=0).mean()
    noisy[100] = (noisy[100][0], Poses.empty())
    got = smooth_both_ways(noisy)
    assert [len(p) for _, p in got] == [len(p) for _, p in noisy]
    apart = smooth_both_ways(noisy[:100]) + smooth_both_ways(noisy[101:])
    np.testing.assert_array_equal(points(got[:100] + got[101:]), points(apart))


def test_impossible_settings_are_sentences():
    with pytest.raises(UsageError, match="still_hz"):
        OneEuroOptions(still_hz=0)
    with pytest.raises(UsageError, match="finite"):
        OneEuro()(Poses.empty(), float("inf"))
