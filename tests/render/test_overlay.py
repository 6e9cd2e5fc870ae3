from dataclasses import replace

import numpy as np
import pytest

from hprnet_rt.errors import ShapeError, UsageError
from hprnet_rt.render import Overlay, OverlayStyle
from hprnet_rt.skeleton import KEYPOINT_COLORS_RGB, NUM_KEYPOINTS, PARTS
from hprnet_rt.types import Poses


def someone(xy, score=0.9, size=400.0):
    n = len(xy)
    return Poses(
        np.asarray(xy, np.float32),
        np.where(np.isnan(np.asarray(xy)[..., 0]), 0, score).astype(np.float32),
        np.tile(np.array([0, 0, size, size], np.float32), (n, 1)),
        np.full((n, 4), np.nan, np.float32),
        np.full(n, 0.9, np.float32),
        np.full(n, -1, np.int64),
    )


def single_point(index, at):
    xy = np.full((1, NUM_KEYPOINTS, 2), np.nan)
    xy[0, index] = at
    return xy


def test_each_point_is_drawn_where_it_is_in_its_colour():
    for index in (0, 5, 6, 17, 22, 40, 91, 95, 100, 132):
        image = np.zeros((100, 120, 3), np.uint8)
        Overlay().draw(image, someone(single_point(index, (60.5, 40.5))))
        ys, xs = np.nonzero(image.any(axis=2))
        assert abs(ys.mean() - 40) < 0.5 and abs(xs.mean() - 60) < 0.5, index
        assert tuple(image[40, 60][::-1]) == KEYPOINT_COLORS_RGB[index]


def test_all_133_points_are_drawn():
    grid = np.stack(np.meshgrid(np.arange(12) * 60 + 30, np.arange(12) * 60 + 30), -1).reshape(-1, 2)
    image = np.zeros((720, 720, 3), np.uint8)
    Overlay().draw(image, someone(grid[None, :NUM_KEYPOINTS] + 0.5))
    assert all(image[y, x].any() for x, y in grid[:NUM_KEYPOINTS])


def test_absent_weak_and_far_points_are_not_drawn():
    image = np.zeros((50, 50, 3), np.uint8)
    Overlay().draw(image, someone(np.full((1, NUM_KEYPOINTS, 2), np.nan)))
    Overlay().draw(image, someone(single_point(3, (25, 25)), score=0.1))
    Overlay().draw(image, someone(single_point(3, (1e7, -1e7))))
    Overlay().draw(image, Poses.empty())
    assert not image.any()


def test_lines_are_wider_on_larger_people():
    def painted(size):
        xy = np.full((1, NUM_KEYPOINTS, 2), np.nan)
        xy[0, 5], xy[0, 7] = (100, 100), (300, 100)
        image = np.zeros((200, 400, 3), np.uint8)
        Overlay().draw(image, someone(xy, size=size))
        return image.any(axis=2)[:, 200].sum()

    assert painted(100) < painted(600) < painted(1200)


def test_somebody_without_a_box_is_drawn_with_thin_lines():
    xy = np.full((1, NUM_KEYPOINTS, 2), np.nan)
    xy[0, 5], xy[0, 7] = (10, 10), (40, 30)
    thin, unknown = (np.zeros((50, 50, 3), np.uint8) for _ in range(2))
    Overlay().draw(thin, someone(xy, size=1.0))
    Overlay().draw(unknown, someone(xy, size=np.nan))
    assert thin.any()
    np.testing.assert_array_equal(unknown, thin)


def test_the_threshold_of_the_style_holds():
    image = np.zeros((50, 50, 3), np.uint8)
    Overlay(OverlayStyle(point_threshold=0.95)).draw(image, someone(single_point(3, (25, 25))))
    assert not image.any()


def test_hands_that_score_little_are_not_drawn():
    for style, score, drawn in (
        (OverlayStyle(), 0.07, False),
        (OverlayStyle(), 0.09, True),
        (OverlayStyle.of_model(refined=False), 0.25, False),
        (OverlayStyle.of_model(refined=False), 0.35, True),
        (OverlayStyle.of_model(refined=True), 0.09, True),
    ):
        image = np.zeros((50, 50, 3), np.uint8)
        Overlay(style).draw(image, someone(single_point(PARTS["left_hand"].start, (25, 25)), score=score))
        assert image.any() == drawn


def test_a_hand_that_is_unsure_in_the_mean_is_not_drawn_though_some_points_are_sure():
    hand, least = PARTS["left_hand"], OverlayStyle().hand_threshold
    for sure_points, drawn in ((1, False), (20, True)):
        score = np.zeros((1, NUM_KEYPOINTS), np.float32)
        score[0, hand] = least / 2
        score[0, hand.start : hand.start + sure_points] = 2 * least
        xy = np.full((1, NUM_KEYPOINTS, 2), np.nan, np.float32)
        xy[0, hand] = 25
        whole = someone(xy)
        poses = replace(whole, score=score)
        image = np.zeros((50, 50, 3), np.uint8)
        Overlay().draw(image, poses)
        assert image.any() == drawn
        assert poses.shown()[0, hand].sum() == (sure_points if drawn else 0)
        assert not poses.shown()[0, : hand.start].any()


def test_an_id_is_written_where_it_is_known_and_wanted():
    nowhere = someone(np.full((1, NUM_KEYPOINTS, 2), np.nan))
    known = someone(single_point(3, (150, 150)))
    known.track_id[:] = 7
    for poses, style, written in (
        (known, OverlayStyle(), True),
        (known, OverlayStyle(ids=False), False),
        (nowhere, OverlayStyle(), False),
    ):
        image = np.zeros((200, 200, 3), np.uint8)
        Overlay(style).draw(image, poses)
        assert image[:60, :60].any() == written


def test_the_strongest_person_comes_out_on_top():
    image = np.zeros((100, 100, 3), np.uint8)
    both = someone(np.concatenate((single_point(3, (50.5, 50.5)), single_point(40, (50.5, 50.5)))))
    Overlay().draw(image, both)
    assert tuple(image[50, 50][::-1]) == KEYPOINT_COLORS_RGB[3]


def test_a_part_of_a_picture_is_drawn_on_like_a_picture():
    whole, alone = np.zeros((90, 90, 3), np.uint8), np.zeros((50, 40, 3), np.uint8)
    poses = someone(single_point(3, (25, 25)))
    poses.track_id[:] = 7
    Overlay().draw(whole[20:70, 30:70], poses)
    Overlay().draw(alone, poses)
    np.testing.assert_array_equal(whole[20:70, 30:70], alone)
    assert whole.any(axis=2).sum() == alone.any(axis=2).sum()


@pytest.mark.parametrize(
    "image", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3), np.float32)]
)
def test_other_pictures_are_refused(image):
    with pytest.raises(ShapeError, match=r"\(H, W, 3\) uint8"):
        Overlay().draw(image, Poses.empty())


def test_a_person_alone_is_not_drawn_but_told_how():
    poses = someone(single_point(0, (8, 8)))
    with pytest.raises(UsageError, match=r"got Person; of one person use poses\.select"):
        Overlay().draw(np.zeros((16, 16, 3), np.uint8), poses[0])


def test_a_picture_that_may_not_be_written_is_refused_and_stays():
    image = np.zeros((40, 40, 3), np.uint8)
    image.setflags(write=False)
    with pytest.raises(ShapeError, match="read-only"):
        Overlay().draw(image, someone(single_point(3, (25, 25))))
    assert not image.any()
