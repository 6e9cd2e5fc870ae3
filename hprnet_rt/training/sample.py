"""One training image and everyone in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["BOXED_PARTS", "Sample"]

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

BOXED_PARTS: Final = ("face", "left_hand", "right_hand")
"""Parts with annotated boxes; the centre of the box is the part's centre."""


@dataclass(frozen=True, eq=False)
class Sample:
    """An image with its labels, in pixels of this image, x before y.

    Attributes:
        image_id: id of the image in the annotations.
        image: (H, W, 3) uint8 BGR.
        xy: (N, 133, 2) float32 px.
        labelled: (N, 133) True where v > 0; an unlabelled point may still be visible.
        box_xyxy: (N, 4) float32 px.
        ignore: (N,) True for a region that may hold unlabelled people: it counts neither as a person nor as
            background.
        part_box_xyxy: (N, 3, 4) float32 px, in the order of `BOXED_PARTS`.
        part_valid: (N, 3) True where the part's box and points are labelled.
        part_absent: (N, 3) True where it is known that the part is not to be seen.
    """

    image_id: int
    image: npt.NDArray[np.uint8]
    xy: FloatArray
    labelled: BoolArray
    box_xyxy: FloatArray
    ignore: BoolArray
    part_box_xyxy: FloatArray
    part_valid: BoolArray
    part_absent: BoolArray

    def __len__(self) -> int:
        return len(self.ignore)
