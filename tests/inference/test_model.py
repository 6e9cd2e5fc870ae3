"""Input sizes and matchings of a loaded model."""

import cv2
import numpy as np
import pytest

import hprnet_rt
from hprnet_rt.errors import MediaError, UsageError
from hprnet_rt.grouping import GroupingOptions
from hprnet_rt.video import VideoSource, capture
from tests.clips import SAMPLE
from tests.tracking.scenes import people


@pytest.fixture(scope="module")
def picture():
    """A frame of the shipped sample: three people."""
    source = VideoSource(SAMPLE)
    image = next(iter(source)).image
    source.close()
    return image


def test_kept_size_finds_the_people_where_the_default_size_does(picture):
    image = cv2.resize(picture, (415, 233))
    with hprnet_rt.load(input_px="keep") as kept, hprnet_rt.load() as usual:
        assert kept.letterbox(image.shape[:2]).input_hw == (256, 416)
        ours, expected = kept(image), usual(image)
    assert len(ours) == len(expected) == 3
    order = np.argsort(ours.box_xyxy[:, 0]), np.argsort(expected.box_xyxy[:, 0])
    boxes = ours.box_xyxy[order[0]], expected.box_xyxy[order[1]]
    np.testing.assert_allclose(*boxes, atol=20)


@pytest.mark.parametrize("size", [100, 0, "huge"])
def test_an_impossible_input_size_is_a_sentence(size):
    with pytest.raises(UsageError, match="input size"):
        hprnet_rt.load(input_px=size)


@pytest.mark.parametrize("threshold", ["a", None, float("nan"), 2])
def test_an_impossible_threshold_is_a_sentence(threshold):
    with pytest.raises(UsageError, match="person_threshold is a score between 0 and 1"):
        GroupingOptions(person_threshold=threshold)


def test_a_person_and_a_part_that_are_not_there_are_sentences():
    poses = people([(50.0, 60.0)])
    assert len(poses[np.int64(0)].part("face")[0]) == 68
    with pytest.raises(UsageError, match="no part 'bodyy'; use one of: body, feet, face"):
        poses[0].part("bodyy")
    with pytest.raises(TypeError, match=r"one whole number, got slice.*poses\.xy\[1:3\]"):
        poses[0:1]
    with pytest.raises(IndexError):
        poses[1]


@pytest.mark.parametrize(("source", "live"), [(0, False), (None, False), (None, True), ([], True)])
def test_what_is_no_source_is_a_sentence(source, live):
    with pytest.raises(UsageError, match=r"a source is a file, with live=True also a camera's number"):
        next(hprnet_rt.stream(source, live=live))


def test_a_camera_may_be_a_number(monkeypatch):
    def no_camera(name, _):
        raise MediaError(f"no camera {name}")

    monkeypatch.setattr(capture, "open_live", no_camera)
    with pytest.raises(MediaError, match="no camera 3"):
        next(hprnet_rt.stream(3, live=True))


def test_released_matching_is_for_the_asking(picture):
    with hprnet_rt.load(matching="released", threshold=0.5) as model:
        poses = model(picture)
    assert len(poses) >= 3
    with pytest.raises(UsageError, match="one-to-one"):
        hprnet_rt.load(matching="best")
