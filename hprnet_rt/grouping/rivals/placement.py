"""How a picture becomes the input of a rival's network, each as its own programs do it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import UsageError
from hprnet_rt.geometry import LARGEST_INPUT_PX, Letterbox
from hprnet_rt.spec import ModelSpec

__all__ = ["Placement", "place"]

ImageArray = npt.NDArray[np.uint8]

_GREY: Final = 128
_WIDEST: Final = 16 / 9


@dataclass(frozen=True, eq=False)
class Placement(Letterbox):
    """The way of a picture into an input: scaled by one factor, and moved.

    Attributes:
        scale: input pixels for one of the picture.
        shift: (x, y) input pixels that are added after scaling.
        decoding: of the network; it says how pixels between the grid are read.
        image: the picture (H, W, 3), for networks on crops of it; None where none is needed.
    """

    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    decoding: str = ""
    image: ImageArray | None = None

    def apply(self, image: ImageArray) -> ImageArray:
        """Scale `image` (H, W, 3) into a fresh (1, input height, input width, 3) batch of one."""
        height, width = self.input_hw
        if self.decoding == "body18":
            out = np.full((1, height, width, 3), _GREY, np.uint8)
            inner = self.inner_hw[::-1]
            by = self.scale
            size = None if round(by * image.shape[1]) else inner  # OpenCV makes no picture 0 px wide
            scaled = cv2.resize(image, size, fx=by, fy=by, interpolation=cv2.INTER_CUBIC)
            out[0, : inner[1], : inner[0]] = scaled
            return out
        way = np.array(((self.scale, 0, self.shift[0]), (0, self.scale, self.shift[1])))
        enlarges = self.decoding == "affinity" and self.scale > 1
        kind = cv2.INTER_CUBIC if enlarges else cv2.INTER_LINEAR
        return np.asarray(cv2.warpAffine(image, way, (width, height), flags=kind), np.uint8)[None]


def place(spec: ModelSpec, image_hw: tuple[int, int], size_px: int) -> Placement:
    """Return how images of this size are placed in the input of a rival's network.

    Args:
        spec: the network.
        image_hw: height and width of the images.
        size_px: height of the input, for AE its shorter side; a multiple of `spec.multiple_px`.

    Raises:
        UsageError: it is no such multiple, or the input would be too large.
    """
    multiple = spec.multiple_px
    if size_px <= 0 or size_px % multiple:
        raise UsageError(f"{spec.name} takes sizes that are multiples of {multiple}, got {size_px}")
    makers = {"body18": _padded, "affinity": _warped, "associative": _centred}
    made = makers[spec.decoding](spec, image_hw, size_px)
    if max(made.input_hw) > LARGEST_INPUT_PX:
        height, width = image_hw
        raise UsageError(
            f"{spec.name} takes inputs up to {LARGEST_INPUT_PX} px, and a picture of {width} x {height} "
            f"would need one of {made.input_hw[1]} x {made.input_hw[0]}; take a smaller --size"
        )
    return made


def _padded(spec: ModelSpec, image_hw: tuple[int, int], size_px: int) -> Placement:
    """Scale to a height, and fill up to whole cells with grey at the right."""
    height, width = image_hw
    scale = size_px / height
    inner = max(1, round(width * scale))
    input_hw = (size_px, math.ceil(inner / spec.multiple_px) * spec.multiple_px)
    return Placement(image_hw, input_hw, (size_px, inner), (0, 0), scale, decoding=spec.decoding)


def _warped(spec: ModelSpec, image_hw: tuple[int, int], size_px: int) -> Placement:
    """Scale so that the last pixels meet, in an input about as wide as the picture."""
    height, width = image_hw
    multiple = spec.multiple_px
    aspect = min(width / height, _WIDEST)
    across = max(multiple, multiple * int(size_px * aspect / multiple + 0.5))
    scale = min((across - 1) / max(width - 1, 1), (size_px - 1) / max(height - 1, 1))
    inner = (min(size_px, int(scale * height + 0.5)), min(across, int(scale * width + 0.5)))
    return Placement(image_hw, (size_px, across), inner, (0, 0), scale, decoding=spec.decoding)


def _centred(spec: ModelSpec, image_hw: tuple[int, int], size_px: int) -> Placement:
    """Scale the shorter side to a length, and put the middle on the middle of whole cells."""
    height, width = image_hw
    short, multiple = min(image_hw), spec.multiple_px
    scale = size_px / short
    across, down = (
        size_px if side == short else math.ceil(size_px / short * side / multiple) * multiple
        for side in (width, height)
    )
    shift = (across / 2 - scale * round(width / 2), down / 2 - scale * round(height / 2))
    inner = (round(scale * height), round(scale * width))
    pad = (max(0, round(shift[1])), max(0, round(shift[0])))
    return Placement(image_hw, (down, across), inner, pad, scale, shift, spec.decoding)
