import numpy as np
import pytest

from hprnet_rt.errors import ShapeError, UsageError
from hprnet_rt.geometry import Letterbox, input_hw_for, require_image


@pytest.mark.parametrize(
    ("image_hw", "expected"),
    [((720, 1280), (224, 384)), ((1280, 720), (384, 224)), ((994, 1768), (224, 384)), ((5, 2000), (32, 384))],
)
def test_the_input_holds_the_image_in_multiples_of_32(image_hw, expected):
    assert input_hw_for(image_hw, 384, 32) == expected


@pytest.mark.parametrize("size", [0, -32, 100, 100000, 2**40])
def test_an_input_size_off_the_grid_is_refused(size):
    with pytest.raises(UsageError, match="multiple of 32"):
        input_hw_for((720, 1280), size, 32)


@pytest.mark.parametrize(
    "image_hw", [(720, 1280), (994, 1768), (161, 97), (64, 64), (1080, 1920), (50, 2000)]
)
def test_a_bright_spot_maps_back_to_itself(image_hw):
    height, width = image_hw
    letterbox = Letterbox.fit(image_hw, input_hw_for(image_hw, 384, 32))
    image = np.zeros((*image_hw, 3), np.uint8)
    y, x, radius = height * 0.6, width * 0.3, max(image_hw) / 40
    rows, columns = np.mgrid[:height, :width] + 0.5
    image[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = 255
    seen = np.argwhere(image[..., 0] > 0) + 0.5
    batch = letterbox.apply(image)[0, ..., 0].astype(float)
    rows, columns = np.mgrid[: batch.shape[0], : batch.shape[1]] + 0.5
    center = np.array([(columns * batch).sum(), (rows * batch).sum()]) / batch.sum()
    scale, shift = letterbox.cells_to_image(stride_px=4)
    back = center / 4 * scale + shift
    input_pixel = max(image_hw) / 384
    assert np.abs(back - seen.mean(axis=0)[::-1]).max() < 0.1 * max(1.0, input_pixel)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        None,
    ],
)
def test_what_is_no_image_is_refused_with_its_shape(image):
    with pytest.raises(ShapeError, match="uint8 BGR"):
        require_image(image)


def test_kept_size_is_the_released_keep_res():
    """Sides of (side | 31) + 1, the image's middle pixel on the input's middle pixel."""
    for image_hw in ((100, 150), (101, 151), (512, 640), (31, 32)):
        letterbox = Letterbox.keep(image_hw, 32)
        assert letterbox.input_hw == tuple((side | 31) + 1 for side in image_hw)
        image = np.random.default_rng(0).integers(0, 256, (*image_hw, 3), np.uint8)
        batch = letterbox.apply(image)
        rows, columns = (
            outer // 2 - inner // 2 for outer, inner in zip(batch.shape[1:3], image_hw, strict=True)
        )
        kept = batch[0, rows : rows + image_hw[0], columns : columns + image_hw[1]]
        assert np.array_equal(kept, image)
        assert batch.sum() == image.sum(dtype=np.int64)  # all around it is 0
        scale, shift = letterbox.cells_to_image(4)
        assert scale.tolist() == [4, 4]
        assert shift.tolist() == [-columns, -rows]
