"""What stands between a frame and its people: the network's input, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import ShapeError
from hprnet_rt.geometry import Letterbox
from hprnet_rt.spec import PeakLayout
from hprnet_rt.types.frame import Frame, ImageArray

__all__ = ["Inferred", "Maps", "Peaks", "Prepared"]

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Maps:
    """The maps on which the points of one image are refined; channels last.

    Attributes:
        features: (H / 4, W / 4, C) float32, the feature map.
        local: (H / 4, W / 4, n) float32 logits, one map for each point of the parts that read them.
    """

    features: FloatArray
    local: FloatArray


@dataclass(frozen=True, eq=False)
class Peaks:
    """What an engine returns for one image, before grouping.

    Attributes:
        packed: (K, layout.width) float32; see `PeakLayout`.
        layout: the meaning of the columns.
        letterbox: how the image was placed in the input.
        maps: on which points are refined after grouping; None where the engine has refined them, or the
            network has no refinement.
    """

    packed: FloatArray
    layout: PeakLayout
    letterbox: Letterbox
    maps: Maps | None = None

    def __post_init__(self) -> None:
        if self.packed.ndim != 2 or self.packed.shape[1] != self.layout.width:
            raise ShapeError(f"peaks are (K, {self.layout.width}), got {self.packed.shape}")


@dataclass(frozen=True, eq=False)
class Prepared:
    """A frame, or a region of it, scaled to the network's input: `batch` is (1, h, w, 3) uint8 BGR."""

    frame: Frame
    batch: ImageArray
    letterbox: Letterbox


@dataclass(frozen=True, eq=False)
class Inferred:
    """A frame and the peaks of it, or of a region of it."""

    frame: Frame
    peaks: Peaks
