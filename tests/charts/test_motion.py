"""Tracks of points: gaps where they were not seen, ids, units, and files in every format."""

import numpy as np
import pytest

from hprnet_rt.charts.motion import read_motion
from hprnet_rt.errors import DataError, UsageError
from hprnet_rt.formats import FORMATS, Recording, read_keypoints, write_keypoints
from hprnet_rt.formats.format import Format
from tests.charts.moves import HEADER, SPEED, frames


def motion(made, points=("left_wrist",), people=(), header=HEADER, **settings):
    return read_motion(Recording(header, iter(made)), points, people, **settings)


def x_of(track):
    """The x of every row, None where there is a gap."""
    return [None if np.isnan(x) else round(float(x)) for x in track.xy[:, 0]]


def test_a_point_moves_as_fast_as_it_did():
    (track,) = motion(frames([[4]] * 5)).tracks
    assert (track.person, track.point, track.seen) == (4, "left_wrist", 5)
    assert x_of(track) == [10, 13, 16, 19, 22]
    assert track.xy[0, 1] == 49
    assert track.time == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])
    time, speed = track.speed()
    assert speed == pytest.approx([25 * SPEED] * 4)
    assert time == pytest.approx([0.02, 0.06, 0.10, 0.14])


def test_points_that_are_not_sure_are_gaps_and_have_no_speed():
    made = frames([[4]] * 5, scores=[0.9, 0.9, 0.19, 0.9, 0.9])
    (track,) = motion(made).tracks
    assert x_of(track) == [10, 13, None, 19, 22]
    assert np.isnan(track.speed()[1]).tolist() == [False, True, True, False]
    (lower,) = motion(made, point_threshold=0.1).tracks
    assert None not in x_of(lower)


def test_a_person_who_is_away_leaves_a_gap():
    away = motion(frames([[1, 2], [1], [1], [1, 2], []]))
    assert [track.person for track in away.tracks] == [1, 2]  # who is there longest comes first
    assert x_of(away.tracks[1]) == [10, None, 19]
    assert np.isnan(away.tracks[1].speed()[1]).all()


@pytest.mark.parametrize("stride", [1, 5])
def test_a_stride_is_no_gap(stride):
    (track,) = motion(frames([[1]] * 4, stride=stride)).tracks
    assert None not in x_of(track)
    assert track.speed()[1] == pytest.approx([25 * SPEED] * 3)


def test_frames_that_a_format_leaves_out_are_gaps():
    made = [frame for frame in frames([[1], [1], [], [1]], stride=2) if len(frame.poses)]
    assert x_of(motion(made, has_empty_frames=False).tracks[0]) == [10, 16, None, 28]
    assert None not in x_of(motion(made).tracks[0])  # a live run that has dropped a frame


def test_people_and_points_can_be_chosen():
    found = motion(frames([[1, 2, 3]] * 2), ("nose", "left_wrist"), [3, 1])
    assert [(track.person, track.point) for track in found.tracks] == [
        (1, "nose"),
        (1, "left_wrist"),
        (3, "nose"),
        (3, "left_wrist"),
    ]


def test_one_person_without_an_id_can_be_followed():
    found = motion(frames([[-1], [], [-1]]))
    assert [(track.person, x_of(track)) for track in found.tracks] == [(None, [10, None, 16])]
    assert found.nameless == 0


def test_people_without_an_id_beside_others_are_counted():
    assert motion(frames([[1, -1], [1, -1], [1]])).nameless == 2


@pytest.mark.parametrize(("fps", "unit", "speed"), [(25.0, "s", 75.0), (None, "frame", 3.0)])
def test_without_times_the_rate_or_the_frames_are_the_clock(fps, unit, speed):
    found = motion(frames([[1]] * 3, times=False), header={"fps": fps})
    assert found.unit == unit
    assert found.tracks[0].speed()[1] == pytest.approx([speed] * 2)


@pytest.mark.parametrize(
    ("made", "settings", "error", "words"),
    [
        (frames([[1]]), {"points": ["left_writs"]}, UsageError, "'left_writs'; did you mean left_wrist"),
        (frames([[1]]), {"points": ["xyzzy"]}, UsageError, "has all names"),
        (frames([[1, 2]]), {"people": [5]}, UsageError, "no person 5 in these keypoints; there are 1, 2"),
        (frames([[-1, -1]]), {}, UsageError, "nobody has an id"),
        (frames([[-1]]), {"people": [5]}, UsageError, "nobody has an id"),
        (frames([[], []]), {}, UsageError, "nobody is in these keypoints"),
        (frames([[1]], scores=[0.1]), {}, UsageError, "--point-threshold lowers"),
        (frames([[1]]) + frames([[], [1]], times=False)[1:], {}, DataError, "frame 1 has no time"),
        (frames([[1]] * 2)[::-1], {}, DataError, "before the one that it follows"),
    ],
)
def test_what_cannot_be_followed_is_a_sentence(made, settings, error, words):
    with pytest.raises(error, match=words):
        motion(made, **settings)


@pytest.mark.parametrize("name", [name for name, form in FORMATS.items() if form.read is not None])
def test_every_format_that_is_read_gives_the_same_way(tmp_path, name):
    form: Format = FORMATS[name]
    try:
        form.require_packages()
    except UsageError as error:
        pytest.skip(str(error))
    path = tmp_path / f"clip{form.suffix}"
    write_keypoints(path, HEADER, frames([[1], [1], [], [1]]), name)
    recording = read_keypoints(path)
    (track,) = read_motion(
        recording, ["left_wrist"], has_empty_frames="empty frames" not in form.loses
    ).tracks
    assert x_of(track) == [10, 13, None, 19]
