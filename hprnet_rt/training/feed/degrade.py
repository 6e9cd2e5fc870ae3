"""Images as another camera, other light or another codec could have produced them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from hprnet_rt.training.constants import constant, sent
from hprnet_rt.training.feed import pixels
from hprnet_rt.training.feed.labels import Labels
from hprnet_rt.training.feed.views import points_of_parts

__all__ = ["Degradation", "cut_out", "degrade", "draw_degradation"]

_SHARE: Final = (
    8  # one image in so many is blurred by motion, one by its focus, one has a low resolution, ...
)
_JITTERED, _TINTED, _GREY = 0.8, 0.5, 0.04  # probabilities
_RESOLUTIONS: Final = (0.6, 0.35, 0.75, 0.45)  # shares of the sides, in turn
_HOLES: Final = 2  # slices of a quarter of the batch, in each of which half of the images get a rectangle
_HOLE: Final = 0.5
_HOLE_SIDE: Final = (0.05, 0.2)  # of the input
_MOST_HIDDEN: Final = 0.5
_NUMBERS: Final = 20


@dataclass(frozen=True, eq=False)
class Degradation:
    """What happens to a batch of B images.

    Attributes:
        numbers: (B, n) uniform in [0, 1).
        normal: (B // 8, 3, H, W) normally distributed, the noise of the images in low light.
    """

    numbers: Tensor
    normal: Tensor


def draw_degradation(batch: int, side: int, generator: torch.Generator, device: torch.device) -> Degradation:
    """Draw what happens to a batch of square images; it depends on the generator only, but for the noise.

    Args:
        batch, side: number and side of the images.
        generator: on the CPU.
        device: of the result. Noise is drawn there.
    """
    numbers = torch.rand(batch, _NUMBERS, generator=generator)
    seed = int(torch.randint(2**40, (), generator=generator))
    noise = torch.Generator(device).manual_seed(seed)
    normal = torch.randn((batch // _SHARE, 3, side, side), generator=noise, device=device)
    return Degradation(sent(numbers, device), normal)


def _within(chance: Tensor, low: float, high: float) -> Tensor:
    return low + (high - low) * chance


def degrade(images: Tensor, drawn: Degradation) -> Tensor:
    """Change light and colours of most images, and degrade slices of the batch, which is in random order.

    Args:
        images: (B, 3, H, W) float32 BGR, 0 to 255; sides are multiples of 8.
        drawn: for this batch.

    Returns:
        the same shape, whole numbers from 0 to 255. Of eight images one is blurred by motion, one is out of
        focus, one has a low resolution, two are compressed, and one, which overlaps with the last two, is
        dark and noisy.
    """
    chance = drawn.numbers.unbind(dim=1)
    jittered, one = chance[0] < _JITTERED, torch.ones_like(chance[0])
    saturation = torch.where(jittered, _within(chance[3], 0.5, 1.5), one)
    tint = torch.where((chance[4] < _TINTED).unsqueeze(1), _within(drawn.numbers[:, 5:8], 0.92, 1.08), 1.0)
    images = pixels.shade(
        images,
        torch.where(jittered, _within(chance[1], 0.6, 1.4), one),
        torch.where(jittered, _within(chance[2], 0.6, 1.4), one),
        torch.where(chance[8] < _GREY, torch.zeros_like(one), saturation),
        tint,
    )
    images.clamp_(0, 255)
    count = len(images) // _SHARE
    if count:
        images = _degraded_slices(images, drawn, chance[9:12], count)
    return images.round_().clamp_(0, 255)


def _degraded_slices(images: Tensor, drawn: Degradation, chance: tuple[Tensor, ...], count: int) -> Tensor:
    """Degrade slices of `count` images in place; `chance` has three numbers for each image."""
    first, second, third = chance
    steps = [slice(start * count, (start + 1) * count) for start in range(5)]
    motion, focus, small = steps[:3]
    packed = slice(steps[3].start, steps[4].stop)
    dark = slice(2 * count + count // 2, 3 * count + count // 2)
    gain, noise = _within(first[dark], 0.2, 0.7), _within(second[dark], 2.0, 10.0)
    images[dark] = pixels.darken(images[dark], gain, noise, drawn.normal).clamp(0, 255)
    length, angle = _within(first[motion], 3.0, 15.0), second[motion] * math.pi
    images[motion] = pixels.motion_blur(images[motion], length, angle)
    images[focus] = pixels.gaussian_blur(images[focus], _within(first[focus], 0.5, 2.3))
    for number, share in enumerate(_RESOLUTIONS[:count]):
        own = slice(small.start + number, small.stop, len(_RESOLUTIONS))
        images[own] = pixels.lower_resolution(images[own], share)
    images[packed] = pixels.compress(images[packed], _within(third[packed], 20.0, 80.0))
    return images


def _hidden(box: Tensor, hole: Tensor) -> Tensor:
    """Return the share (B, ...) of each box (B, ..., 4) that lies inside its image's hole (B, 4)."""
    hole = hole.reshape(-1, *[1] * (box.ndim - 2), 4)
    low, high = torch.maximum(box[..., :2], hole[..., :2]), torch.minimum(box[..., 2:], hole[..., 2:])
    area = (box[..., 2:] - box[..., :2]).prod(dim=-1)
    return (high - low).clamp(min=0).prod(dim=-1) / area.clamp(min=1e-6)


def cut_out(images: Tensor, labels: Labels, drawn: Degradation) -> tuple[Tensor, Labels]:
    """Cover some images, in place, with rectangles in random colours, as `StrongAugmentation` does.

    A face or hand that is more than half hidden loses its labels. A rectangle that would hide more than half
    of a person is left out.
    """
    size = constant((images.shape[3], images.shape[2]), images.device)
    side, quarter = size.amin(), len(images) // 4
    valid = labels.part_valid.clone()
    for number in range(_HOLES):
        own = slice(number * quarter, (number + 1) * quarter)
        chance = drawn.numbers[own, 12:]
        middle = chance[:, 1:3] * size
        half = _within(chance[:, 3:5], *_HOLE_SIDE) * side / 2
        hole = torch.cat((middle - half, middle + half), dim=1).round()
        people = labels.there[own] & ~labels.ignore[own]
        hides = (_hidden(labels.box_xyxy[own], hole) > _MOST_HIDDEN) & people
        used = (chance[:, 0] < _HOLE) & ~hides.any(dim=1)
        hole = hole * used.unsqueeze(1)
        images[own] = pixels.cover(images[own], hole, (chance[:, 5:8] * 256).floor())
        valid[own] &= _hidden(labels.part_box_xyxy[own], hole) <= _MOST_HIDDEN
    lost = points_of_parts(labels.part_valid & ~valid)
    return images, replace(
        labels,
        labelled=labels.labelled & ~lost,
        part_box_xyxy=torch.where(valid.unsqueeze(-1), labels.part_box_xyxy, 0.0),
        part_valid=valid,
    )
