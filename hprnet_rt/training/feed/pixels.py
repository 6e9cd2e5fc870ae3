"""Augmentations of many images at once, on any device: light, colour, blur, resolution, compression, holes.

Images are (B, 3, H, W) float32, BGR, 0 to 255. What happens to each image is given as a tensor with a number
for each, so that the same numbers give the same images on every device.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from hprnet_rt.training.constants import constant

__all__ = ["compress", "cover", "darken", "gaussian_blur", "lower_resolution", "motion_blur", "shade"]

_GREY_BGR: Final = (0.114, 0.587, 0.299)
_MOTION_SIDE, _MOTION_STEPS = 17, 65  # px of the kernel, and points on the line in it
_BLUR_RADIUS: Final = 7
_BLOCK: Final = 8
# luminance table of JPEG's annex K, for quality 50
_QUANTA: Final = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


def _each(values: Tensor) -> Tensor:
    """Bring numbers (B,) into the shape of images."""
    return values.reshape(-1, 1, 1, 1)


def shade(
    images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, tint_bgr: Tensor
) -> Tensor:
    """Multiply the light, blend with the mean, blend with the own grey, and multiply each colour.

    Args:
        images: (B, 3, H, W).
        brightness, contrast, saturation: (B,) factors; 1 changes nothing, saturation 0 gives grey.
        tint_bgr: (B, 3) factors.
    """
    weight = constant(_GREY_BGR, images.device)
    gain, one = brightness * contrast, torch.eye(3, device=images.device)
    mixed = _each(saturation)[..., 0] * one + (1 - _each(saturation)[..., 0]) * weight  # the rows are colours
    matrix = tint_bgr.unsqueeze(2) * mixed * _each(gain)[..., 0]
    mean = images.mean(dim=(1, 2, 3)) * brightness * (1 - contrast)
    shift = (tint_bgr * mean.unsqueeze(1)).unsqueeze(2)
    return torch.baddbmm(shift, matrix, images.flatten(2)).reshape(images.shape)


def darken(images: Tensor, gain: Tensor, noise: Tensor, normal: Tensor) -> Tensor:
    """Simulate low light: see `colour.darken_with_noise`.

    Args:
        images: (B, 3, H, W).
        gain, noise: (B,) factor, and standard deviation in levels of 255.
        normal: normally distributed numbers in the shape of the images.
    """
    return images * _each(gain) + normal * _each(noise)


def motion_blur(images: Tensor, length_px: Tensor, angle_rad: Tensor) -> Tensor:
    """Average each image (B,) along a straight line of at most 16 px, centred on each pixel."""
    batch, channels, height, width = images.shape
    line = torch.linspace(-0.5, 0.5, _MOTION_STEPS, device=images.device)
    middle = _MOTION_SIDE // 2
    along = length_px.clamp(max=_MOTION_SIDE - 1).unsqueeze(1) * line
    x = (middle + along * torch.cos(angle_rad).unsqueeze(1)).round().long()
    y = (middle + along * torch.sin(angle_rad).unsqueeze(1)).round().long()
    kernel = images.new_zeros(batch, _MOTION_SIDE * _MOTION_SIDE)
    kernel = kernel.scatter_add(1, y * _MOTION_SIDE + x, torch.ones_like(along)) / _MOTION_STEPS
    kernel = kernel.reshape(batch, 1, _MOTION_SIDE, _MOTION_SIDE).repeat_interleave(channels, dim=0)
    rows = functional.pad(images, [middle] * 4, mode="reflect").reshape(
        1, batch * channels, -1, width + 2 * middle
    )
    return functional.conv2d(rows, kernel, groups=batch * channels).reshape(batch, channels, height, width)


def gaussian_blur(images: Tensor, sigma_px: Tensor) -> Tensor:
    """Blur each image by a Gaussian of its standard deviation (B,), at most 2.5 px."""
    batch, channels, height, width = images.shape
    at = torch.arange(-_BLUR_RADIUS, _BLUR_RADIUS + 1, device=images.device).float()
    kernel = torch.exp(-at.square() / (2 * sigma_px.unsqueeze(1).square()))
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)
    rows = functional.pad(images, [_BLUR_RADIUS] * 4, mode="reflect").reshape(
        1, batch * channels, height + 2 * _BLUR_RADIUS, width + 2 * _BLUR_RADIUS
    )
    rows = functional.conv2d(rows, kernel[:, None, None, :], groups=batch * channels)
    rows = functional.conv2d(rows, kernel[:, None, :, None], groups=batch * channels)
    return rows.reshape(batch, channels, height, width)


def lower_resolution(images: Tensor, share: float) -> Tensor:
    """Shrink images to a share of their sides, and enlarge them again."""
    small = functional.interpolate(images, scale_factor=share, mode="bilinear", antialias=True)
    return functional.interpolate(small, size=images.shape[2:], mode="bilinear")


def compress(images: Tensor, quality: Tensor) -> Tensor:
    """Add the artefacts of JPEG at a quality (B,) of 1 to 100, without subsampled colours.

    Each colour is quantised in blocks of 8 x 8 px, whose sides divide those of the images, with the table of
    JPEG's luminance.
    """
    batch, channels, height, width = images.shape
    at = torch.arange(_BLOCK, device=images.device).float()
    waves = torch.cos((2 * at + 1) * at.unsqueeze(1) * (math.pi / (2 * _BLOCK))) / 2
    waves = torch.cat((waves[:1] / math.sqrt(2), waves[1:]))
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality) / 100
    table = constant(_QUANTA, images.device)
    quanta = (table * scale.reshape(-1, 1, 1)).clamp(min=1).reshape(batch, 1, 1, 1, _BLOCK, _BLOCK)
    blocks = (images - 128).reshape(batch, channels, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK)
    blocks = blocks.permute(0, 1, 2, 4, 3, 5)
    coefficients = ((waves @ blocks @ waves.t()) / quanta).round() * quanta
    blocks = (waves.t() @ coefficients @ waves).permute(0, 1, 2, 4, 3, 5)
    return blocks.reshape(images.shape) + 128


def cover(images: Tensor, hole_xyxy: Tensor, colour: Tensor) -> Tensor:
    """Cover a rectangle (B, 4) in px of each image with a colour (B, 3); an empty one changes nothing."""
    height, width = images.shape[2:]
    x = torch.arange(width, device=images.device) + 0.5
    y = torch.arange(height, device=images.device) + 0.5
    across = (x > hole_xyxy[:, :1]) & (x < hole_xyxy[:, 2:3])
    down = (y > hole_xyxy[:, 1:2]) & (y < hole_xyxy[:, 3:])
    inside = (down.unsqueeze(-1) & across.unsqueeze(-2)).unsqueeze(1)
    return torch.where(inside, colour.reshape(-1, 3, 1, 1), images)
