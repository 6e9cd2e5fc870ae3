"""Ids beside people."""

import cv2
import numpy as np
import pytest

from hprnet_rt.render.labels import draw_digits, draw_ids

DIGITS = draw_digits()


def written(ids, boxes, shape=(80, 200), visible=None, gray=128):
    image = np.full((*shape, 3), gray, np.uint8)
    seen = np.ones(len(ids), np.bool_) if visible is None else np.array(visible)
    draw_ids(image, np.array(ids), np.array(boxes, np.float32), seen, DIGITS)
    return image


def plain(text, origin, scale, shape=(80, 200), gray=128):
    image = np.full((*shape, 3), gray, np.uint8)
    for color, line in (((0, 0, 0), 4), ((255, 255, 255), 1)):
        cv2.putText(image, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, color, line, cv2.LINE_AA)
    return image


@pytest.mark.parametrize("digit", range(10))
@pytest.mark.parametrize("size", [100, 280, 400, 900])
def test_a_digit_looks_as_the_font_draws_it(digit, size):
    image = written([digit], [[50, 60, 50 + size, 70]])
    expected = plain(str(digit), (50, 60), min(1.0, max(0.4, size / 400)))
    assert np.abs(image.astype(int) - expected).max() <= 2  # cover is in 1/128


def test_many_digits_stand_side_by_side():
    number = 1234567890
    image = written([number], [[10, 60, 410, 70]], shape=(80, 320))
    expected = plain(str(number), (10, 60), 1.0, shape=(80, 320))
    assert np.abs(image.astype(int) - expected).mean() < 20  # a digit's place is whole pixels
    assert (image == 255).any() and (image == 0).any()


def test_ids_stay_inside_the_picture():
    for x, y in ((-90, -90), (500, 500), (0, 0), (199, 79)):
        image = written([88], [[x, y, x + 100, y + 100]])
        assert (image > 200).sum() > 20
    assert (written([88], [[0, 0, 9, 9]], shape=(4, 4)) != 128).any()


def test_unknown_and_invisible_people_have_none():
    assert (written([-1, 3], [[20, 30, 60, 70]] * 2, visible=[True, False]) == 128).all()


@pytest.mark.parametrize("edge", [np.nan, np.inf, -np.inf])
def test_people_without_a_box_have_none(edge):
    for side in range(4):
        box = [20.0, 30.0, 60.0, 70.0]
        box[side] = edge
        assert (written([3], [box]) == 128).all()


def test_a_box_larger_than_numbers_is_one():
    assert (written([3], [[-3e38, -3e38, 3e38, 3e38]]) == 255).any()


def test_the_first_person_s_id_is_on_top():
    both = written([1, 8], [[50, 60, 450, 70]] * 2)
    one = written([1], [[50, 60, 450, 70]])
    assert (both[one == 255] == 255).all()
