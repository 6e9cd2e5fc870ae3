"""Bring samples to the network's input size, with the paper's augmentation or without any."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from hprnet_rt.errors import UsageError
from hprnet_rt.geometry import Letterbox
from hprnet_rt.training.affine import clip_sample, placement_matrix, transform_sample
from hprnet_rt.training.colour import jitter_colours
from hprnet_rt.training.sample import Sample
from hprnet_rt.training.strong import StrongAugmentation
from hprnet_rt.training.transform import Draw, Transform

__all__ = ["Draw", "Letterboxed", "PaperAugmentation", "StrongAugmentation", "Transform", "border_px"]

_PAPER_SCALES: Final = (0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
_PAPER_BORDER_PX: Final = 128


def border_px(border: int, size: int) -> int:
    """Halve a border until two of them leave some pixels free on a side of `size` px (CenterNet's rule)."""
    if size < 1:
        raise UsageError(f"a side has at least 1 px, got {size}")
    parts = 1
    while size - border // parts <= border // parts:
        parts *= 2
    return border // parts


@dataclass(frozen=True)
class PaperAugmentation:
    """The augmentation that HPRNet was trained with.

    The input is a square crop. Its side is 0.6 to 1.3 times the image's longer side, in steps of 0.1. Its
    centre is a random pixel at least 128 px from the image's edges (less on small images, see `border_px`).
    Half of the samples are mirrored; then `colour.jitter_colours` is applied. Two things differ from the
    released code: positions are continuous (there they are half a pixel off), and colours are rounded and
    clipped to bytes.

    Attributes:
        input_px: height and width of the network's input.

    Source: the paper, section 4.2; Zhou et al., "Objects as Points" (2019), section 5.
    """

    input_px: int = 512

    def __call__(self, sample: Sample, rng: np.random.Generator, draw: Draw | None = None) -> Sample:  # noqa: ARG002
        """Return an augmented sample of (input_px, input_px)."""
        height, width = sample.image.shape[:2]
        zoom = self.input_px / (rng.choice(_PAPER_SCALES) * max(height, width))
        borders = [border_px(_PAPER_BORDER_PX, side) for side in (width, height)]
        x, y = (
            rng.integers(border, side - border) + 0.5
            for border, side in zip(borders, (width, height), strict=True)
        )
        input_hw = (self.input_px, self.input_px)
        matrix = placement_matrix((x, y), zoom, input_hw, mirror=rng.random() < 0.5)
        out = transform_sample(sample, matrix, input_hw)
        return replace(out, image=jitter_colours(out.image, rng))


@dataclass(frozen=True)
class Letterboxed:
    """No augmentation: the whole image, letterboxed as for inference.

    Attributes:
        input_hw: height and width of the network's input; None keeps the image's size (`Letterbox.keep`).
        multiple_px: when the size is kept, each side is padded to a multiple of this.
    """

    input_hw: tuple[int, int] | None = (512, 512)
    multiple_px: int = 32

    def __call__(
        self,
        sample: Sample,
        rng: np.random.Generator | None = None,  # noqa: ARG002
        draw: Draw | None = None,  # noqa: ARG002
    ) -> Sample:
        """Return the sample, scaled with its aspect ratio kept and centred on black."""
        height, width = sample.image.shape[:2]
        if self.input_hw is None:
            box = Letterbox.keep((height, width), self.multiple_px)
        else:
            box = Letterbox.fit((height, width), self.input_hw)
        scale = np.array([box.inner_hw[1] / width, box.inner_hw[0] / height], np.float32)
        pad = np.array(box.pad_yx[::-1], np.float32)
        return clip_sample(
            replace(
                sample,
                image=box.apply(sample.image)[0],
                xy=sample.xy * scale + pad,
                box_xyxy=sample.box_xyxy * np.tile(scale, 2) + np.tile(pad, 2),
                part_box_xyxy=sample.part_box_xyxy * np.tile(scale, 2) + np.tile(pad, 2),
            )
        )
