"""From a sample of any size to one of the network's input size: the paper's augmentation, and none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from hprnet_rt.errors import UsageError
from hprnet_rt.geometry import Letterbox
from hprnet_rt.training.affine import clipped, moved, placed
from hprnet_rt.training.colour import jittered
from hprnet_rt.training.sample import Sample
from hprnet_rt.training.strong import StrongAugmentation
from hprnet_rt.training.transform import Draw, Transform

__all__ = ["Draw", "Letterboxed", "PaperAugmentation", "StrongAugmentation", "Transform", "border_px"]

_PAPER_SCALES: Final = (0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
_PAPER_BORDER_PX: Final = 128


def border_px(border: int, size: int) -> int:
    """The border halved until something is left between two of them on a side of `size` px (CenterNet)."""
    if size < 1:
        raise UsageError(f"a side has at least 1 px, got {size}")
    parts = 1
    while size - border // parts <= border // parts:
        parts *= 2
    return border // parts


@dataclass(frozen=True)
class PaperAugmentation:
    """The augmentation that HPRNet was trained with.

    A square of 0.6 to 1.3 (in steps of 0.1) times the image's longer side, around a random pixel at least 128
    px from the image's edges (less on small images, `border_px`), becomes the input; half of the samples are
    mirrored; then `colour.jittered`. What differs from the released code: positions are continuous, where
    that code is half a pixel off, and colours are rounded and cut to bytes.

    Attributes:
        input_px: height and width of the network's input.

    Source: the paper, section 4.2; Zhou et al., "Objects as Points" (2019), section 5.
    """

    input_px: int = 512

    def __call__(self, sample: Sample, rng: np.random.Generator, draw: Draw | None = None) -> Sample:  # noqa: ARG002
        """The sample, (input_px, input_px)."""
        height, width = sample.image.shape[:2]
        zoom = self.input_px / (rng.choice(_PAPER_SCALES) * max(height, width))
        borders = [border_px(_PAPER_BORDER_PX, side) for side in (width, height)]
        x, y = (
            rng.integers(border, side - border) + 0.5
            for border, side in zip(borders, (width, height), strict=True)
        )
        input_hw = (self.input_px, self.input_px)
        out = moved(sample, placed((x, y), zoom, input_hw, mirror=rng.random() < 0.5), input_hw)
        return replace(out, image=jittered(out.image, rng))


@dataclass(frozen=True)
class Letterboxed:
    """No augmentation: the whole image as the network sees it when it is used.

    Attributes:
        input_hw: height and width of the network's input; None keeps the image's size (`Letterbox.keep`).
        multiple_px: what the sides are multiples of when the size is kept.
    """

    input_hw: tuple[int, int] | None = (512, 512)
    multiple_px: int = 32

    def __call__(
        self,
        sample: Sample,
        rng: np.random.Generator | None = None,  # noqa: ARG002
        draw: Draw | None = None,  # noqa: ARG002
    ) -> Sample:
        """The sample, scaled with its shape kept, centred on black."""
        height, width = sample.image.shape[:2]
        if self.input_hw is None:
            box = Letterbox.keep((height, width), self.multiple_px)
        else:
            box = Letterbox.fit((height, width), self.input_hw)
        scale = np.array([box.inner_hw[1] / width, box.inner_hw[0] / height], np.float32)
        pad = np.array(box.pad_yx[::-1], np.float32)
        return clipped(
            replace(
                sample,
                image=box.apply(sample.image)[0],
                xy=sample.xy * scale + pad,
                box_xyxy=sample.box_xyxy * np.tile(scale, 2) + np.tile(pad, 2),
                part_box_xyxy=sample.part_box_xyxy * np.tile(scale, 2) + np.tile(pad, 2),
            )
        )
