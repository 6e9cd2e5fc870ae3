"""The network's input made of planes is that of their image, number for number."""

import numpy as np
import pytest

from hprnet_rt.geometry import Letterbox, input_hw_for
from hprnet_rt.inference.preparation import part_of, prepared_planes
from hprnet_rt.types import Planes
from hprnet_rt.video.conversion import bgr_of

BT709, BT2020 = (0.2126, 0.0722), (0.2627, 0.0593)


def planes(height, width, luma=BT709, *, is_full=False, seed=0):
    """Return planes of random numbers, of which many mean colours that do not exist."""
    rng = np.random.default_rng(seed)
    y, u, v = (
        rng.integers(0, 256, hw, np.uint8)
        for hw in ((height, width), *2 * [((height + 1) // 2, (width + 1) // 2)])
    )
    return Planes(y, u, v, luma, is_full)


def letterbox(hw, longer_px=96):
    return Letterbox.fit(hw, input_hw_for(hw, longer_px, 32))


@pytest.mark.parametrize(
    "hw",
    [
        (180, 320),  # means of 2 x 2, then interpolated
        (108, 192),  # of 2 x 2 alone
        (270, 480),  # of 4 x 4, then interpolated
        (216, 384),  # of 4 x 4 alone
        (1080, 1920),  # of 4 x 4, though it could be halved once more
        (162, 288),  # of 3 x 3, which cut through colours
        (151, 302),  # averaged in parts of pixels
        (60, 110),  # interpolated alone
        (40, 60),  # enlarged
        (97, 211),  # of odd sides
        (320, 180),  # upright
    ],
)
def test_an_input_of_planes_is_that_of_their_image(hw):
    given = planes(*hw)
    np.testing.assert_array_equal(prepared_planes(given, letterbox(hw)), letterbox(hw).apply(bgr_of(given)))


@pytest.mark.parametrize(("luma", "is_full"), [(BT2020, False), (BT709, True)])
def test_an_input_of_planes_has_the_colours_that_their_labels_mean(luma, is_full):
    given = planes(180, 320, luma, is_full=is_full)
    box = letterbox((180, 320))
    np.testing.assert_array_equal(prepared_planes(given, box), box.apply(bgr_of(given)))
    other = planes(180, 320)
    assert (prepared_planes(other, box) != prepared_planes(given, box)).any()


def test_an_input_of_the_picture_s_own_size_is_the_picture():
    given = planes(64, 95)
    box = Letterbox.keep((64, 95), 32)
    np.testing.assert_array_equal(prepared_planes(given, box), box.apply(bgr_of(given)))


@pytest.mark.parametrize(
    "corners", [(10, 20, 170, 110), (11, 20, 171, 110), (10, 21, 169, 111), (160, 90, 321, 181)]
)
def test_a_part_of_planes_is_that_part_of_their_image(corners):
    given = planes(181, 321)
    left, top, right, bottom = corners
    part = part_of(given, corners)
    image = bgr_of(part) if isinstance(part, Planes) else part
    np.testing.assert_array_equal(image, bgr_of(given)[top:bottom, left:right])
