"""The mapping between image, network input and heat-map.

All positions are continuous: a pixel (or cell) i covers [i, i + 1), so the image spans [0, width] and
resizing is a pure scale. x runs right, y runs down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import ShapeError, UsageError

__all__ = [
    "KEEP",
    "LARGEST_INPUT_PX",
    "Letterbox",
    "averaged_wh",
    "input_hw_for",
    "interpolated",
    "require_image",
    "resized",
]

KEEP: Final = "keep"
"""The input size with which every image keeps its own size, as in the paper's tests."""

LARGEST_INPUT_PX: Final = 16384
"""The longest side of an input: larger ones do not fit into memory."""

FloatArray = npt.NDArray[np.float32]
ImageArray = npt.NDArray[np.uint8]


def require_image(image: npt.NDArray[np.uint8]) -> None:
    """Raise ShapeError unless `image` is a non-empty (H, W, 3) uint8 array."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3:
        actual = f"{type(image).__name__} {getattr(image, 'shape', '')} {getattr(image, 'dtype', '')}"
        raise ShapeError(f"an image is a (height, width, 3) uint8 BGR array, got {actual.rstrip()}")
    if image.shape[2] != 3 or 0 in image.shape:
        raise ShapeError(f"an image is a (height, width, 3) uint8 BGR array, got shape {image.shape}")


def input_hw_for(image_hw: tuple[int, int], longer_px: int, multiple_px: int) -> tuple[int, int]:
    """Return the smallest input (height, width) in multiples of `multiple_px` that holds the scaled image.

    The image is scaled so that its longer side is `longer_px`; the shorter side is rounded up.

    Raises:
        UsageError: `longer_px` is not a positive multiple of `multiple_px`, or above `LARGEST_INPUT_PX`.
    """
    if not 0 < longer_px <= LARGEST_INPUT_PX or longer_px % multiple_px:
        raise UsageError(
            f"the input size is a positive multiple of {multiple_px} up to {LARGEST_INPUT_PX}, got "
            f"{longer_px}"
        )
    height, width = image_hw
    scale = longer_px / max(height, width)
    sides = (max(1, round(height * scale)), max(1, round(width * scale)))
    return (
        math.ceil(sides[0] / multiple_px) * multiple_px,
        math.ceil(sides[1] / multiple_px) * multiple_px,
    )


def averaged_wh(image_wh: tuple[int, int], size_wh: tuple[int, int]) -> tuple[int, int] | None:
    """Return the size to which `resized` averages pixels before it interpolates, None where it does not.

    OpenCV's area interpolation is fast for whole-number factors only. In two steps, 1280 x 720 to 384 x 216
    takes a quarter of the time of a single area resize.
    """
    width, height = image_wh
    shrink = min(width / size_wh[0], height / size_wh[1])
    for factor in (4, 3, 2):
        if factor <= shrink and width % factor == 0 and height % factor == 0:
            return width // factor, height // factor
    return size_wh if shrink > 2 else None


def resized(image: ImageArray, size_wh: tuple[int, int]) -> ImageArray:
    """Resize without aliasing: average whole numbers of pixels where possible, then interpolate."""
    averaged = averaged_wh((image.shape[1], image.shape[0]), size_wh)
    if averaged is not None:
        image = np.asarray(cv2.resize(image, averaged, interpolation=cv2.INTER_AREA), np.uint8)
    return interpolated(image, size_wh)


def interpolated(image: ImageArray, size_wh: tuple[int, int]) -> ImageArray:
    """Resize an image as `resized` does when it has averaged, itself where it has that size."""
    if image.shape[:2] == size_wh[::-1]:
        return image
    return np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_LINEAR), np.uint8)


@dataclass(frozen=True)
class Letterbox:
    """An image scaled into a network input with its shape kept, centred on black.

    Attributes:
        image_hw, input_hw: height and width in pixels.
        inner_hw: height and width of the scaled image inside the input.
        pad_yx: input pixels above and left of it.
    """

    image_hw: tuple[int, int]
    input_hw: tuple[int, int]
    inner_hw: tuple[int, int]
    pad_yx: tuple[int, int]

    @classmethod
    def fit(cls, image_hw: tuple[int, int], input_hw: tuple[int, int]) -> Letterbox:
        """Return the largest centred placement of an image in an input."""
        scale = min(input_hw[0] / image_hw[0], input_hw[1] / image_hw[1])
        inner_hw = (max(1, round(image_hw[0] * scale)), max(1, round(image_hw[1] * scale)))
        pad_yx = ((input_hw[0] - inner_hw[0]) // 2, (input_hw[1] - inner_hw[1]) // 2)
        return cls(image_hw, input_hw, inner_hw, pad_yx)

    @classmethod
    def keep(cls, image_hw: tuple[int, int], multiple_px: int) -> Letterbox:
        """Return the placement of an image at its own size in the next larger input.

        A side that is a multiple of `multiple_px` becomes one multiple longer. This is the released code's
        `keep_res`: sides of `(side | multiple - 1) + 1`, and the image's middle pixel `side // 2` on the
        input's.
        """
        input_hw = tuple((side // multiple_px + 1) * multiple_px for side in image_hw)
        pad_yx = tuple(outer // 2 - inner // 2 for outer, inner in zip(input_hw, image_hw, strict=True))
        return cls(image_hw, (input_hw[0], input_hw[1]), image_hw, (pad_yx[0], pad_yx[1]))

    def apply(self, image: ImageArray) -> ImageArray:
        """Scale `image` (H, W, 3) into a fresh (1, input height, input width, 3) batch of one."""
        height, width = self.inner_hw
        return self.place(image if self.inner_hw == self.image_hw else resized(image, (width, height)))

    def place(self, inner: ImageArray) -> ImageArray:
        """Put the scaled image into a fresh (1, input height, input width, 3) batch of one."""
        out = np.zeros((1, *self.input_hw, 3), np.uint8)
        (top, left), (height, width) = self.pad_yx, self.inner_hw
        out[0, top : top + height, left : left + width] = inner
        return out

    def cells_to_image(self, stride_px: int) -> tuple[FloatArray, FloatArray]:
        """Return scale (2,) and shift (2,) from output cells to image pixels: xy * scale + shift."""
        scale_x = self.image_hw[1] / self.inner_hw[1]
        scale_y = self.image_hw[0] / self.inner_hw[0]
        scale = np.array([stride_px * scale_x, stride_px * scale_y], np.float32)
        shift = np.array([-self.pad_yx[1] * scale_x, -self.pad_yx[0] * scale_y], np.float32)
        return scale, shift
