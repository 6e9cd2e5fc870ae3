"""Drawing on planes looks like drawing on an image whose colours are brought to half the resolution then."""

import numpy as np
import pytest

from hprnet_rt.render import Overlay
from hprnet_rt.skeleton import NUM_KEYPOINTS
from hprnet_rt.types import Planes, Poses

OVERLAY = Overlay()
BT601, BT709 = (0.299, 0.114), (0.2126, 0.0722)


def matrix(luma, is_full):
    """Return what gives Y, Cb and Cr of blue, green and red, and what is added."""
    red, blue = luma
    y = np.array([blue, 1 - red - blue, red])
    rows = [y, (np.array([1, 0, 0]) - y) / (2 - 2 * blue), (np.array([0, 0, 1]) - y) / (2 - 2 * red)]
    scale = [1, 1, 1] if is_full else [219 / 255, 224 / 255, 224 / 255]
    return np.array(rows) * np.array(scale)[:, None], np.array([0 if is_full else 16, 128, 128])


def halved(plane):
    """Return the means of cells of four pixels, of fewer at odd borders."""
    height, width = plane.shape
    padded = np.pad(plane, ((0, height % 2), (0, width % 2)), mode="constant", constant_values=np.nan)
    return np.nanmean(padded.reshape(-(-height // 2), 2, -1, 2), axis=(1, 3))


def as_planes(image, luma=BT601, is_full=False):
    factors, zero = matrix(luma, is_full)
    y, u, v = np.moveaxis(image.astype(np.float64) @ factors.T + zero, 2, 0)
    planes = (np.floor(plane + 0.5).astype(np.uint8) for plane in (y, halved(u), halved(v)))
    return Planes(*planes, luma, is_full)


def smooth_picture(random, height, width):
    """Return an image without hard edges, of which planes of half the size hold all."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    waves = [
        np.sin(random.uniform(1, 6) * x + random.uniform(1, 6) * y + random.uniform(0, 6)) for _ in "BGR"
    ]
    return np.floor(128 + 100 * np.stack(waves, axis=2)).astype(np.uint8)


def crowd(random, people, height, width, size_px):
    """Return people whose points lie at random in boxes that may reach beyond the picture; some are absent."""
    side = random.uniform(*size_px, people)
    corner = random.uniform(-0.6, 0.9, (people, 2)) * (width, height)
    xy = corner[:, None] + random.uniform(0, 1, (people, NUM_KEYPOINTS, 2)) * side[:, None, None]
    score = random.uniform(0, 1, (people, NUM_KEYPOINTS))
    absent = random.uniform(0, 1, score.shape) < 0.2
    xy[absent], score[absent] = np.nan, 0
    box = np.concatenate((corner, corner + side[:, None]), axis=1)
    return Poses(
        xy.astype(np.float32),
        score.astype(np.float32),
        box.astype(np.float32),
        np.full((people, 4), np.nan, np.float32),
        np.ones(people, np.float32),
        random.integers(-1, 1000, people),
    )


def differences(image, poses, overlay=OVERLAY, luma=BT601, is_full=False):
    """Return how far planes that are drawn on are from the same image, and where it was drawn on."""
    drawn, planes = image.copy(), as_planes(image, luma, is_full)
    overlay.draw(drawn, poses)
    overlay.draw(planes, poses)
    expected = as_planes(drawn, luma, is_full)
    pairs = [(getattr(planes, name), getattr(expected, name)) for name in "yuv"]
    return [np.abs(a.astype(int) - b) for a, b in pairs], (drawn != image).any(axis=2)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("size_px", [(5, 30), (40, 160), (300, 900), (2000, 6000)])
def test_planes_look_like_the_image(seed, size_px):
    random = np.random.default_rng(seed)
    height, width = random.integers(40, 200, 2)
    image = smooth_picture(random, height, width)
    off, drawn = differences(image, crowd(random, 6, height, width, size_px))
    print(size_px, [(int(each.max()), round(float(each.mean()), 3)) for each in off], drawn.mean())
