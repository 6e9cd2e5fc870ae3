"""Image, points and boxes are transformed together; the cases are small enough to check by hand."""

import dataclasses

import numpy as np
import pytest

from hprnet_rt.skeleton import FACE, FLIP_INDEX, LEFT_HAND, RIGHT_HAND
from hprnet_rt.training import affine
from hprnet_rt.training.affine import clip_sample, placement_matrix, transform_sample
from tests.training.samples import MIRROR, brightest, identical, same, sample_of, with_one


def test_mirroring_all_points_twice_gives_the_sample_back():
    sample = sample_of(people=3)
    sample = dataclasses.replace(sample, labelled=np.random.default_rng(1).random((3, 133)) < 0.9)
    sample = with_one(
        sample, part_valid=[True, False, True], part_box_xyxy=[[9, 9, 20, 20], [0] * 4, [1, 2, 8, 8]]
    )
    sample = clip_sample(
        with_one(sample, labelled=[not LEFT_HAND.start <= i < LEFT_HAND.stop for i in range(133)])
    )
    once = transform_sample(sample, MIRROR, (60, 80))
    assert not identical(once, sample)
    same(transform_sample(once, MIRROR, (60, 80)), sample)


def test_a_mirrored_left_hand_is_a_right_hand():
    sample = with_one(
        sample_of(),
        part_box_xyxy=[[30, 10, 40, 20], [50, 20, 60, 35], [0, 0, 0, 0]],
        part_valid=[True, True, False],
        labelled=[not RIGHT_HAND.start <= i < RIGHT_HAND.stop for i in range(133)],
    )
    out = transform_sample(sample, MIRROR, (60, 80))
    assert out.part_valid[0].tolist() == [True, False, True]
    assert out.part_box_xyxy[0].tolist() == [[40, 10, 50, 20], [0, 0, 0, 0], [20, 20, 30, 35]]
    np.testing.assert_allclose(out.xy[0, RIGHT_HAND, 0], 80 - sample.xy[0, LEFT_HAND, 0], atol=1e-5)
    assert out.labelled[0, RIGHT_HAND].all()
    assert not out.labelled[0, LEFT_HAND].any()
    np.testing.assert_allclose(out.xy[0, 5], (80, 0) + sample.xy[0, 6] * (-1, 1), atol=1e-5)
    assert FLIP_INDEX[5] == 6


@pytest.mark.parametrize(
    "matrix",
    [
        placement_matrix((40, 30), 1.0, (60, 80)),
        MIRROR,
        placement_matrix((40, 30), 1.0, (60, 80), turn_deg=180),
        np.array([[1.0, 0, 3], [0, 1, -2]]),
    ],
)
def test_one_bright_pixel_stays_one_pixel_and_its_point_in_its_middle(matrix):
    sample = sample_of()
    sample.image[:] = 0
    sample.image[21, 33] = 255
    sample.xy[0, 0] = (33.5, 21.5)
    out = transform_sample(sample, matrix, (60, 80))
    assert (out.image > 0).sum() == 3
    np.testing.assert_allclose(brightest(out.image), out.xy[0, 0], atol=1e-4)


@pytest.mark.parametrize("zoom", [1.0, 3.0, 0.5, 0.2])
@pytest.mark.parametrize("smooth", [False, True])
def test_a_bright_square_and_its_middle_move_together(zoom, smooth):
    sample = sample_of(hw=(400, 400))
    sample.image[:] = 0
    sample.image[190:220, 222:248] = 255
    sample.xy[0, 0] = (235, 205)
    matrix = placement_matrix((220, 210), zoom, (300, 320), mirror=True, turn_deg=25)
    out = transform_sample(sample, matrix, (300, 320), smooth=smooth)
    weight = out.image[..., 0].astype(float)
    ys, xs = np.mgrid[:300, :320] + 0.5
    center = np.array([(weight * xs).sum(), (weight * ys).sum()]) / weight.sum()
    np.testing.assert_allclose(center, out.xy[0, 0], atol=0.1)  # px; interpolation weights have 5 bits


def test_smooth_shrinking_looks_at_every_pixel():
    sample = sample_of(hw=(400, 400))
    sample.image[:] = 0
    sample.image[::8] = 255  # every eighth row: an eighth of white
    small = {
        s: transform_sample(sample, placement_matrix((200, 200), 0.125, (50, 50)), (50, 50), smooth=s)
        for s in (True, False)
    }
    assert np.abs(small[True].image.astype(int) - 255 / 8).max() <= 2
    assert np.abs(small[False].image.astype(int) - 255 / 8).max() > 25


def test_a_quarter_turn_by_hand():
    sample = with_one(sample_of(), xy=(20, 10), box_xyxy=[10, 5, 30, 45], part_box_xyxy=[[12, 6, 22, 11]] * 3)
    sample.image[:] = 0
    sample.image[10, 20] = 255
    # Clockwise about the middle (40, 30) of 80 x 60, onto (30, 40) of 60 x 80: (x, y) goes to (60 - y, x).
    out = transform_sample(sample, placement_matrix((40, 30), 1.0, (80, 60), turn_deg=90), (80, 60))
    np.testing.assert_allclose(out.xy[0], np.full((133, 2), (50, 20)), atol=1e-4)
    np.testing.assert_allclose(out.box_xyxy[0], [15, 10, 55, 30], atol=1e-4)
    np.testing.assert_allclose(out.part_box_xyxy[0], [[49, 12, 54, 22]] * 3, atol=1e-4)
    assert brightest(out.image).tolist() == [49.5, 20.5]
    assert out.labelled.all()


def test_a_turned_box_also_holds_the_points_that_stuck_out_but_not_the_unlabelled():
    sample = with_one(
        sample_of(), xy=(20, 20), box_xyxy=[10, 10, 30, 30], part_box_xyxy=[[15, 15, 25, 25]] * 3
    )
    sample.xy[0, 9] = (50, 20)
    sample.xy[0, 10] = (70, 20)
    sample.labelled[0, 10] = False
    out = transform_sample(sample, placement_matrix((40, 30), 1.0, (80, 60), turn_deg=90), (80, 60))
    np.testing.assert_allclose(out.box_xyxy[0], [30, 10, 50, 50], atol=1e-4)
    straight = transform_sample(sample, placement_matrix((40, 30), 1.0, (60, 80)), (60, 80))
    assert straight.box_xyxy[0].tolist() == [10, 10, 30, 30]  # as annotated where nothing turns


def test_points_pushed_outside_become_unlabelled_and_boxes_are_clipped():
    sample = with_one(
        sample_of(), xy=(20, 20), box_xyxy=[10, 10, 30, 30], part_box_xyxy=[[15, 15, 25, 25]] * 3
    )
    sample.xy[0, :4] = [(15, 20), (14.9, 20), (20, 70), (20, 69.9)]
    out = transform_sample(sample, np.array([[1.0, 0, -15], [0, 1, -10]]), (60, 80))
    assert out.labelled[0, :5].tolist() == [True, False, False, True, True]
    assert out.box_xyxy[0].tolist() == [0, 0, 15, 20]
    assert out.part_box_xyxy[0].tolist() == [[0, 5, 10, 15]] * 3


def test_a_part_outside_is_invalid_and_its_points_unlabelled():
    sample = with_one(
        sample_of(), part_box_xyxy=[[1, 1, 9, 9], [5, 5, 10.5, 20], [5, 5, 15, 20]], xy=(30, 30)
    )
    out = transform_sample(sample, np.array([[1.0, 0, -10], [0, 1, 0]]), (60, 80))
    assert out.part_valid[0].tolist() == [False, False, True]  # of the left hand, half a pixel is left
    assert not out.labelled[0, FACE].any()
    assert not out.labelled[0, LEFT_HAND].any()
    assert out.labelled[0, RIGHT_HAND].all()
    assert out.labelled[0, :17].all()


def test_people_outside_are_gone_and_ignored_slivers_stay():
    sample = sample_of(people=4)
    sample.box_xyxy[:, :] = [[-20, 5, -3, 9], [-5, 5, 0.9, 9], [-5, 5, 1, 9], [-5, 5, 0.5, 9]]
    sample.ignore[3] = True
    out = clip_sample(sample)
    assert out.box_xyxy.tolist() == [[0, 5, 1, 9], [0, 5, 0.5, 9]]
    assert out.ignore.tolist() == [False, True]


def test_people_of_whom_too_little_is_in_view_are_ignored():
    sample = with_one(sample_of(people=2), box_xyxy=[-18, 5, 2, 25])
    sample.xy[0] = (1, 10)
    out = clip_sample(sample, least_share=0.11)
    assert out.ignore.tolist() == [True, False]
    assert not out.labelled[0].any()
    assert not out.part_valid[0].any()
    assert not clip_sample(sample, least_share=0.09).ignore.any()


def test_a_turned_box_is_the_bound_of_the_ellipse_in_it():
    """By hand: a box of 40 x 20 around the origin, turned by 30 degrees."""
    cos, sin = np.sqrt(0.75), 0.5
    matrix = np.array([[cos, -sin, 0.0], [sin, cos, 0.0]])
    bound = affine._bounding_boxes(np.array([-20, -10, 20, 10], np.float32), matrix)
    across = np.hypot(20 * cos, 10 * sin)
    down = np.hypot(20 * sin, 10 * cos)
    np.testing.assert_allclose(bound, [-across, -down, across, down], rtol=1e-6)
