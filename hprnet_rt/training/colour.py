"""Augmentations of the image alone: colour, light, blur, compression. uint8 BGR in, uint8 BGR out."""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["compress_jpeg", "darken_with_noise", "gaussian_blur", "jitter_colours", "motion_blur"]

ImageArray = npt.NDArray[np.uint8]

_GREY_BGR: Final = np.array([0.114, 0.587, 0.299])
_EIGENVALUES: Final = np.array([0.2141788, 0.01817699, 0.00341571])
_EIGENVECTORS_BGR: Final = np.array(
    [
        [-0.58752847, -0.69563484, 0.41340352],
        [-0.5832747, 0.00994535, -0.81221408],
        [-0.56089297, 0.71832671, 0.41158938],
    ]
)
"""Principal components of ImageNet's colours, one a column."""


def jitter_colours(
    image: ImageArray, rng: np.random.Generator, strength: float = 0.4, lighting: float = 0.1
) -> ImageArray:
    """Change brightness, contrast and saturation in random order, then the light (AlexNet's PCA noise).

    The image is blended with black, with its mean grey and with its own grey; each of the three factors is
    uniform in [1 - strength, 1 + strength]. As in the released code, grey and mean grey are always those of
    the original image. All four steps are linear, so they are applied as one 3 x 4 matrix.

    Args:
        image: (H, W, 3).
        rng: of this sample.
        strength: at most 1.
        lighting: standard deviation of the amount of each colour component, for colours in [0, 1].

    Returns:
        (H, W, 3), rounded and clipped to 0 ... 255, because the network normalises bytes. (The released code
        gives the network unrounded values, also those below black and above white.)

    Source: Zhou et al., "Objects as Points" (2019), training; Krizhevsky et al. (2012), section 4.1.
    """
    mean_grey = float(np.dot(_GREY_BGR, cv2.mean(image)[:3]))
    matrix = np.eye(3, 4)
    for step in rng.permutation(3):
        factor = 1 + rng.uniform(-strength, strength)
        matrix *= factor
        if step == 1:
            matrix[:, 3] += (1 - factor) * mean_grey
        elif step == 2:
            matrix[:, :3] += (1 - factor) * _GREY_BGR
    matrix[:, 3] += 255 * _EIGENVECTORS_BGR @ (_EIGENVALUES * rng.normal(0, lighting, 3))
    return np.asarray(cv2.transform(image, matrix), np.uint8)


def gaussian_blur(image: ImageArray, sigma_px: float) -> ImageArray:
    """Blur the image by a Gaussian of this standard deviation, as if it were out of focus."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma_px), np.uint8)


def motion_blur(image: ImageArray, length_px: float, angle_deg: float) -> ImageArray:
    """Average along a straight line of this length, centred on each pixel so that nothing shifts."""
    radius = max(1, math.ceil(length_px / 2))
    kernel = np.zeros((2 * radius + 1, 2 * radius + 1), np.float32)
    angle = math.radians(angle_deg)
    steps = np.linspace(-length_px / 2, length_px / 2, 8 * radius + 1)
    for x, y in zip(radius + steps * math.cos(angle), radius + steps * math.sin(angle), strict=True):
        kernel[round(y), round(x)] += 1
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def compress_jpeg(image: ImageArray, quality: int) -> ImageArray:
    """Add the artefacts of JPEG at this quality, 1 to 100."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def darken_with_noise(image: ImageArray, rng: np.random.Generator, gain: float, noise: float) -> ImageArray:
    """Simulate low light: multiply the image by `gain` and add a sensor's noise.

    Args:
        image: (H, W, 3).
        rng: of this sample.
        gain: below 1.
        noise: standard deviation in levels of 255, independent in every pixel and colour.
    """
    dark = np.float32(gain) * image + np.float32(noise) * rng.standard_normal(image.shape, np.float32)
    return np.clip(np.rint(dark), 0, 255).astype(np.uint8)
