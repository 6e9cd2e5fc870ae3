"""Input sizes and matchings of a loaded model."""

import cv2
import numpy as np
import pytest

import hprnet_rt
from hprnet_rt.errors import UsageError
from hprnet_rt.video import VideoSource
from tests.clips import SAMPLE


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


def test_released_matching_is_for_the_asking(picture):
    with hprnet_rt.load(matching="released", threshold=0.5) as model:
        poses = model(picture)
    assert len(poses) >= 3
    with pytest.raises(UsageError, match="one-to-one"):
        hprnet_rt.load(matching="best")
