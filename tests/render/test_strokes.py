"""The compiled drawing, against a plain version that computes every pixel."""

import numpy as np
import pytest

from hprnet_rt.render.dots import draw_stamps
from hprnet_rt.render.lanes import lane_colors
from hprnet_rt.render.strokes import LineWidth, Palette, draw_people

HEIGHT, WIDTH = 40, 60
NOWHERE = np.full(2, np.nan)
STAMPS = draw_stamps()
# of 255: cover is in 1/128, and so are its steps from pixel to pixel, 3/128; a small dot is drawn up to
# 1/32 px off its place along either axis
LINES_OFF, DOTS_OFF = 6, 14


def blended(image, covered, color):
    covered = np.clip(covered, 0, 1)[..., None]
    return np.floor(image + covered * (np.array(color, np.float64) - image) + 0.5).astype(np.uint8)


def with_dot(image, at, width, color):
    """Return `image` with a disc whose edge fades over a pixel."""
    y, x = np.mgrid[0 : image.shape[0], 0 : image.shape[1]]
    return blended(image, width / 2 + 0.5 - np.hypot(x - at[0], y - at[1]), color)


def with_line(image, ends, width, color):
    """Return `image` with a rectangle around a line, whose edges fade over a pixel."""
    a, b = np.asarray(ends, np.float64)
    y, x = np.mgrid[0 : image.shape[0], 0 : image.shape[1]]
    length = np.hypot(*(b - a))
    dx, dy = (b - a) / length
    along = (x - a[0]) * dx + (y - a[1]) * dy - length / 2
    across = (x - a[0]) * dy - (y - a[1]) * dx
    cover = np.minimum(width / 2 + 0.5 - np.abs(across), length / 2 + 0.5 - np.abs(along))
    return blended(image, cover, color)


def draw(image, places, score, line_px, limbs, limb_colors, point_colors, judged=()):
    """Draw people whose pixel i is at i, each with body lines of `line_px`."""
    points = len(places[0])
    palette = Palette(
        limbs=np.asarray(limbs),
        limb_colors=lane_colors(np.array(limb_colors, np.uint8)),
        limb_widths=np.ones(len(limbs), np.float32),
        point_colors=lane_colors(np.array(point_colors, np.uint8)),
        point_widths=np.ones(points, np.float32),
        judged=np.array(judged, np.int64).reshape(-1, 2),
    )
    return draw_people(
        image,
        xy=np.asarray(places, np.float32) + np.float32(0.5),
        score=np.asarray(score, np.float32),
        box=np.array([[0, 0, px, px] for px in line_px], np.float32),
        least=np.full(points, 0.5, np.float32),
        line_width=LineWidth(of_size=1.0, max_px=100.0),
        palette=palette,
        stamps=STAMPS,
    )


@pytest.mark.parametrize("seed", range(20))
def test_limbs_and_points_equal_the_plain_version(seed):
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    xy = random.uniform(-20, 80, (2, 3, 2)).astype(np.float32)
    xy[0, 1, 1] = xy[0, 0, 1]  # level
    xy[1, 1] = xy[1, 0] + (0, 12)  # upright
    shown = np.array([[True, True, False], [True, True, True]])
    line_px = (3.2, 1.0)
    limbs = np.array([[0, 1], [1, 2]])
    colors = random.integers(0, 256, (5, 3)).astype(np.uint8)
    expected = image.copy()
    for n in (1, 0):
        dot = max(2, round(2.2 * line_px[n]))
        for limb, color in zip(limbs, colors, strict=False):
            ends = xy[n, limb].astype(np.float64)
            if shown[n, limb].all() and np.hypot(*(ends[1] - ends[0])) > dot - 0.5:
                expected = with_line(expected, ends, max(1, round(line_px[n])), color)
        for point in np.flatnonzero(shown[n]):
            expected = with_dot(expected, xy[n, point], dot, colors[2 + point])
    visible = draw(image, xy, shown, line_px, limbs, colors[:2], colors[2:])
    assert visible.all()
    worst = np.abs(image.astype(int) - expected).max()
    assert worst <= DOTS_OFF


@pytest.mark.parametrize("slope", [1e-6, 1e-3, 0.02, 1.0, 50.0])
def test_a_line_of_the_whole_picture_is_as_thick_everywhere(slope):
    size = (30, 1200) if slope < 0.1 else (1200, 1200)
    middle, ahead = np.array([600.0, size[0] / 2 + 0.3]), np.array([1, slope]) / np.hypot(1, slope)
    ends = np.array([middle - 1500 * ahead, middle + 1500 * ahead], np.float32)
    image = np.zeros((*size, 3), np.uint8)
    draw(image, [ends], [[1, 1]], [2.0], [[0, 1]], [[200, 0, 0]], [[0, 0, 1], [0, 0, 1]])
    expected = with_line(np.zeros((*size, 3), np.uint8), ends, 2, (200, 0, 0))
    assert np.abs(image[..., 0].astype(int) - expected[..., 0]).max() <= LINES_OFF
    assert expected.any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 6), (7, 3), (5, 16)])
def test_nothing_beyond_a_small_picture_is_touched(shape):
    """Sixteen bytes are read and written at once: at the end of an image there may be fewer."""
    memory = np.full(3 * shape[0] * shape[1] + 64, 77, np.uint8)
    image = memory[32:-32].reshape(*shape, 3)
    image[:] = 0
    corner = np.array([[shape[1] - 1.0, shape[0] - 1.0], [0.0, 0.0]])
    draw(image, [corner], [[1, 1]], [1.0], [[0, 1]], [[9, 9, 9]], [[255, 0, 0], [0, 0, 255]])
    assert (memory[:32] == 77).all() and (memory[-32:] == 77).all()
    assert image[0, 0].tolist() in ([0, 0, 255], [255, 0, 0])
    assert tuple(image[-1, -1]) != (0, 0, 0)


def test_dots_that_others_hide_are_not_drawn():
    """Of dots a third of a pixel apart, only those at least half a pixel from the last one are drawn."""
    places = np.array([[(20 + n / 3, 10.0) for n in range(7)]])
    colors = np.full((7, 3), 255)
    image, expected = (np.zeros((HEIGHT, WIDTH, 3), np.uint8) for _ in range(2))
    draw(image, places, np.ones((1, 7)), [1.0], [[0, 1]], [[9, 9, 9]], colors)
    for n in (0, 2, 4, 6):
        expected = with_dot(expected, places[0, n], 2, (255, 255, 255))
    assert np.abs(image.astype(int) - expected).max() <= 2 * DOTS_OFF  # two dots cover a pixel in part
    everything = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for at in places[0]:
        everything = with_dot(everything, at, 2, (255, 255, 255))
    assert np.abs(image.astype(int) - everything).mean() < 1


def test_dots_of_two_colours_in_one_place_are_both_drawn_the_later_above():
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    draw(image, [[(9, 9), (9, 9)]], [[1, 1]], [1.0], [[0, 1]], [[9, 9, 9]], [[255, 0, 0], [0, 255, 0]])
    assert image[9, 9].tolist() == [0, 255, 0]


def test_absent_weak_and_far_people_are_not_visible():
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    places = [[NOWHERE, NOWHERE], [(5, 5), (9, 9)], [(1e9, 0), (0, -1e9)]]
    score = [[1, 1], [0.1, 0.4], [1, 1]]
    visible = draw(image, places, score, [1.0] * 3, [[0, 1]], [[9, 9, 9]], [[255, 0, 0]] * 2)
    assert not visible.any() and not image.any()


@pytest.mark.parametrize("across", [2, 3, 4, 5])
def test_small_dots_are_where_they_should_be_anywhere_in_a_pixel(across):
    random = np.random.default_rng(across)
    for at in random.uniform(-2, 60, (50, 2)).astype(np.float32):
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        draw(image, [[at, NOWHERE]], [[1, 0]], [across / 2.2], [[0, 1]], [[9, 9, 9]], [[255, 255, 255]] * 2)
        expected = with_dot(np.zeros_like(image), at, across, (255, 255, 255))
        assert np.abs(image.astype(int) - expected).max() <= DOTS_OFF


def test_a_part_that_is_unsure_as_a_whole_is_not_drawn_though_a_point_is_sure():
    for scores, drawn in (([0.9, 0.2], True), ([0.6, 0.2], False), ([0.6, 0.0], True)):
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        places = [[(9, 9), (30, 9)]]
        draw(image, places, [scores], [1.0], [[0, 1]], [[9, 9, 9]], [[255, 0, 0]] * 2, judged=[(0, 2)])
        assert image.any() == drawn
