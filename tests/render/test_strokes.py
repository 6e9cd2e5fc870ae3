"""The compiled drawing, against every pixel looked at."""

import numpy as np
import pytest

from hprnet_rt.render.strokes import draw_people

HEIGHT, WIDTH = 40, 60


def painted(image, ends, width, color):
    """A line with round ends over `image`, whose edge fades over a pixel."""
    (x1, y1), (x2, y2) = ends
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    length = (x2 - x1) ** 2 + (y2 - y1) ** 2
    along = ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / length if length else np.zeros_like(x)
    along = np.clip(along, 0, 1)
    distance = np.hypot(x - x1 - along * (x2 - x1), y - y1 - along * (y2 - y1))
    covered = np.clip(width / 2 + 0.5 - distance, 0, 1)[..., None]
    return np.floor(image + covered * (np.array(color, np.float64) - image) + 0.5).astype(np.uint8)


@pytest.mark.parametrize("seed", range(20))
def test_limbs_and_points_equal_the_plain_twin(seed):
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    xy = random.uniform(-20, 80, (2, 3, 2)).astype(np.float32)
    xy[0, 1, 1] = xy[0, 0, 1]  # level
    xy[1, 1] = xy[1, 0]  # without length
    shown = np.array([[True, True, False], [True, True, True]])
    line_px = np.array([3.2, 1.0], np.float32)
    limbs = np.array([[0, 1], [1, 2]])
    colors = random.integers(0, 256, (5, 3)).astype(np.uint8)
    ones = np.ones(3, np.float32)
    expected = image.copy()
    for n in (1, 0):
        for limb, color in zip(limbs, colors, strict=False):
            if shown[n, limb].all():
                expected = painted(expected, xy[n, limb], max(1, round(float(line_px[n]))), color)
        for point in np.flatnonzero(shown[n]):
            width = max(2, round(2.2 * float(line_px[n])))
            expected = painted(expected, (xy[n, point], xy[n, point]), width, colors[2 + point])
    draw_people(image, xy, shown, line_px, limbs, colors[:2], ones[:2], colors[2:], ones)
    assert np.abs(image.astype(int) - expected).max() <= 1  # rounding of equal sums in another order
