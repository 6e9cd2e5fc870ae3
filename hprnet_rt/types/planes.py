"""A picture as codecs hold it: brightness for every pixel, colour for four at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Planes"]


@dataclass(frozen=True, eq=False)
class Planes:
    """A picture of luma and two planes of chroma of half its sides (4:2:0), 8 bits each.

    Rows may lie apart, as a codec's do; the numbers of a row lie together.

    Attributes:
        y: (H, W) uint8, luma.
        u, v: (ceil(H / 2), ceil(W / 2)) uint8, Cb and Cr; 128 is no colour.
        luma: shares of red and of blue in the brightness, which name the matrix; see `video.color.Color`.
        is_full: whether black is 0 and white 255, and not 16 and 235.
    """

    y: npt.NDArray[np.uint8]
    u: npt.NDArray[np.uint8]
    v: npt.NDArray[np.uint8]
    luma: tuple[float, float]
    is_full: bool = False

    @property
    def image_hw(self) -> tuple[int, int]:
        """Height and width in px."""
        height, width = self.y.shape
        return height, width
