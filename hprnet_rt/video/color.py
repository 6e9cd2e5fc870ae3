"""What the numbers of a picture mean: one description from the decoder to the encoder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import av

__all__ = ["BT601", "BT709", "RGB", "Color"]

# FFmpeg's numbers, which are those of ITU-T H.273
RGB: Final = 0
BT709: Final = 1
UNSPECIFIED: Final = 2
BT601: Final = 6
LIMITED, FULL = 1, 2
_SRGB: Final = 13

_LUMA: Final[dict[int, tuple[float, float]]] = {
    BT709: (0.2126, 0.0722),
    UNSPECIFIED: (0.299, 0.114),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    BT601: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
"""Shares of red and blue in the brightness, by matrix. FFmpeg's players take BT.601 where none is named."""


@dataclass(frozen=True)
class Color:
    """The meaning of a picture's numbers, as FFmpeg's numbers of it; by default that of RGB pictures.

    Attributes:
        range: 1, limited (16 to 235), 2, full; 0 is unspecified and taken for limited.
        matrix: from RGB to brightness and colour; 0 means that the picture is RGB itself.
        primaries, transfer: what is meant by red, green and blue, and by twice as bright; 2 is unspecified.
    """

    range: int = FULL
    matrix: int = RGB
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Color:
        """Read the labels of a decoded frame."""
        form = frame.format
        is_rgb = form.is_rgb or form.has_palette
        is_full = is_rgb or form.name.startswith("yuvj")
        return cls(
            range=FULL if is_full else int(frame.color_range),
            matrix=RGB if is_rgb else int(frame.colorspace),
            primaries=int(frame.color_primaries),
            transfer=int(frame.color_trc),
        )

    @property
    def is_full(self) -> bool:
        """Whether black is 0 and white 255."""
        return self.range == FULL

    @property
    def is_known(self) -> bool:
        """Whether pictures with this matrix can be converted as they are meant."""
        return self.matrix == RGB or self.matrix in _LUMA

    @property
    def luma(self) -> tuple[float, float]:
        """The shares of red and of blue in the brightness; those of BT.601 for a matrix that is not known."""
        return _LUMA.get(self.matrix, _LUMA[BT601])

    @property
    def written(self) -> Color:
        """What a video of such pictures is converted to, and labelled as.

        The matrix stays, with limited range. RGB becomes BT.709, and keeps the primaries and the transfer of
        screens (sRGB) unless it names others. A matrix that is not known was read as BT.601.
        """
        if self.matrix != RGB:
            return replace(self, range=LIMITED, matrix=self.matrix if self.is_known else BT601)
        return Color(
            range=LIMITED,
            matrix=BT709,
            primaries=BT709 if self.primaries == UNSPECIFIED else self.primaries,
            transfer=_SRGB if self.transfer == UNSPECIFIED else self.transfer,
        )
