"""Targets of a refinement's local maps: a small Gaussian around each point of every hand."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from hprnet_rt.grouping.compiled import kernel

__all__ = ["AROUND", "AROUND_CELLS", "LEAST_SIGMA", "MOST_SIGMA", "SIGMA", "local_targets"]

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

SIGMA: Final = 1 / 24  # of the hand's size
LEAST_SIGMA, MOST_SIGMA = 0.55, 2.0  # cells
AROUND: Final = 0.35  # margin of a hand's window around its points, as a share of the hand's size
AROUND_CELLS: Final = 1.0  # and this many cells more


@kernel
def _draw(heat: FloatArray, window: BoolArray, points: FloatArray) -> None:
    """Draw hands (N, n, 2) into heat (n, h, w), keeping the higher value, and into window (1, h, w)."""
    count, height, width = heat.shape
    for hand in points:
        size = max(hand[:, 0].max() - hand[:, 0].min(), hand[:, 1].max() - hand[:, 1].min())
        sigma = min(max(size * SIGMA, LEAST_SIGMA), MOST_SIGMA)
        around = size * AROUND + AROUND_CELLS
        left, right = hand[:, 0].min() - around, hand[:, 0].max() + around
        top, bottom = hand[:, 1].min() - around, hand[:, 1].max() + around
        columns = np.arange(max(0, math.ceil(left - 0.5)), min(width, math.floor(right - 0.5) + 1))
        rows = np.arange(max(0, math.ceil(top - 0.5)), min(height, math.floor(bottom - 0.5) + 1))
        for point in range(count):
            across = np.exp(-((columns + 0.5 - hand[point, 0]) ** 2) / (2.0 * sigma**2))
            down = np.exp(-((rows + 0.5 - hand[point, 1]) ** 2) / (2.0 * sigma**2))
            for i, row in enumerate(rows):
                for j, column in enumerate(columns):
                    window[0, row, column] = True
                    value = np.float32(down[i] * across[j])
                    if value > heat[point, row, column]:
                        heat[point, row, column] = value


def local_targets(points: FloatArray, map_hw: tuple[int, int]) -> tuple[FloatArray, BoolArray]:
    """Return the target of the local maps for an image, and the window in which they are learned.

    Args:
        points: (N, n, 2) in cells, of hands with all points labelled.
        map_hw: height and width of the maps in cells.

    Returns:
        (n, h, w) float32, one map per point of a hand: a Gaussian with peak 1 at this point of every hand,
        with a standard deviation of 1/24 of the hand's size (0.55 to 2 cells), evaluated at cell centres;
        (1, h, w) bool, True inside each hand's box widened on each side by 0.35 of its size plus one cell.

    The size of a hand is the longer side of the box around its points.
    """
    heat = np.zeros((points.shape[1], *map_hw), np.float32)
    window = np.zeros((1, *map_hw), np.bool_)
    _draw(heat, window, np.ascontiguousarray(points, np.float32))
    return heat, window
