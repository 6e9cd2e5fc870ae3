"""Colour jitter as in the released code, and degradations of the image."""

import numpy as np
import pytest

from hprnet_rt.training import colour
from tests.training.samples import sample_of


def float_jitter(image, rng, strength, lighting):
    """Jitter a float image in the released code's order, without clipping."""
    image = image / 255
    grey = image @ [0.114, 0.587, 0.299]
    mean = grey.mean()
    for step in rng.permutation(3):
        factor = 1 + rng.uniform(-strength, strength)
        other = (0.0, mean, grey[..., None])[step]
        image = image * factor + (1 - factor) * other
    vectors = np.array(
        [
            [-0.58752847, -0.69563484, 0.41340352],
            [-0.5832747, 0.00994535, -0.81221408],
            [-0.56089297, 0.71832671, 0.41158938],
        ]
    )
    return image + vectors @ ([0.2141788, 0.01817699, 0.00341571] * rng.normal(0, lighting, 3))


@pytest.mark.parametrize("seed", range(12))
def test_colours_are_the_released_code_s_cut_to_bytes(seed):
    image = sample_of().image
    expected = np.clip(255 * float_jitter(image, np.random.default_rng(seed), 0.4, 0.1), 0, 255)
    ours = colour.jitter_colours(image, np.random.default_rng(seed))
    assert np.abs(ours - expected).max() < 1.5  # levels: rounding, and OpenCV's 10-bit weights


def test_colour_strength_of_nothing_changes_nothing():
    image = sample_of().image
    assert (colour.jitter_colours(image, np.random.default_rng(0), 0.0, 0.0) == image).all()


def test_motion_blur_spreads_a_pixel_along_its_line_and_keeps_its_middle():
    image = np.zeros((31, 31, 3), np.uint8)
    image[15, 15] = 255
    out = colour.motion_blur(image, 9, 0)[..., 0]
    assert (out[15, 11:20] > 0).all()
    assert not np.delete(out, 15, axis=0).any()
    assert (out[15] * np.arange(31)).sum() / out[15].sum() == pytest.approx(15, abs=0.1)
    assert (colour.motion_blur(image, 9, 90)[..., 0] == out.T).all()


def test_degradations_do_what_they_are_called():
    image = np.full((64, 64, 3), 200, np.uint8)
    dark = colour.darken_with_noise(image, np.random.default_rng(0), 0.5, 5.0)
    assert dark.mean() == pytest.approx(100, abs=0.5)
    assert dark.std() == pytest.approx(5, abs=0.3)
    noise = sample_of().image
    assert colour.gaussian_blur(noise, 2.0).std() < 0.4 * noise.std()
    photo = colour.gaussian_blur(noise, 2.0)
    worse, better = (np.abs(colour.compress_jpeg(photo, q).astype(int) - photo).mean() for q in (10, 95))
    assert worse > 2 * better > 0
