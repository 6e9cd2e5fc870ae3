"""Scenes: they have the requested number of people, and are the same every time."""

import numpy as np
import pytest

from hprnet_rt.bench.scenes import picture, places, planted_heads, planted_peaks
from hprnet_rt.errors import UsageError
from hprnet_rt.geometry import Letterbox
from hprnet_rt.grouping import Grouper, pack_peaks
from hprnet_rt.spec import HPRNET_DLA34, HPRNET_DLA34_HM1, HPRNET_MOBILE

WIDE = Letterbox.fit((720, 1280), (224, 384))


@pytest.mark.parametrize("people", [0, 1, 2, 5, 10, 20, 35, 50, 100])
def test_places_lie_apart_inside_the_picture(people):
    found = places(people, 16 / 9)
    assert len(found) == people
    for n, a in enumerate(found):
        assert a.left >= 0 and a.left + a.width <= 1 and a.top >= 0 and a.top + a.height <= 1
        for b in found[:n]:
            assert abs(a.left - b.left) >= a.width or abs(a.top - b.top) >= a.height


def test_pictures_are_the_same_every_time_and_show_more_with_more_people():
    first, again, more = picture(3, (640, 360)), picture(3, (640, 360)), picture(10, (640, 360))
    assert first.shape == (360, 640, 3)
    assert (first == again).all()
    assert (first != more).any()
    assert (picture(0, (64, 32)) == picture(0, (64, 32))[0, 0]).all()


@pytest.mark.parametrize("spec", [HPRNET_MOBILE, HPRNET_DLA34, HPRNET_DLA34_HM1], ids=lambda spec: spec.name)
@pytest.mark.parametrize("people", [0, 1, 20, 50, 100])
def test_everyone_who_is_planted_is_found(spec, people):
    peaks = planted_peaks(spec, people, WIDE, max(people, 32))
    poses = Grouper(spec)(peaks)
    assert len(poses) == people
    if people:
        known = np.array(spec.trained_keypoints)
        assert (poses.score[:, known] > 0).mean() > 0.97


def test_planted_people_keep_their_own_parts():
    """A face lies around its own nose, hands near their own wrists."""
    poses = Grouper(HPRNET_DLA34)(planted_peaks(HPRNET_DLA34, 10, WIDE, 32))
    size = poses.box_xyxy[:, 3] - poses.box_xyxy[:, 1]
    face = poses.xy[:, 23:91].mean(axis=1)
    assert (np.linalg.norm(face - poses.xy[:, 0], axis=1) < 0.2 * size).all()


def test_an_engine_with_less_room_cannot_return_them():
    with pytest.raises(UsageError, match="32 people"):
        planted_peaks(HPRNET_MOBILE, 33, WIDE, 32)
    with pytest.raises(UsageError, match="0 to 1000 people, got -1"):
        places(-1, 1.0)


def test_planted_heads_are_the_same_every_time():
    first, again = (planted_heads(HPRNET_MOBILE, 5, (96, 128)) for _ in range(2))
    assert all((first[name] == again[name]).all() for name in first)
    assert pack_peaks(first, HPRNET_MOBILE, 32)[0, :5, 0].min() > 0.5
