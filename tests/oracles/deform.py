"""Modulated deformable convolution, one output value at a time, in float64."""

import numpy as np


def _bilinear(channel: np.ndarray, y: float, x: float) -> float:
    """Return the value at (y, x); the map is 0 outside."""
    height, width = channel.shape
    top, left = int(np.floor(y)), int(np.floor(x))
    total = 0.0
    for row, down in ((top, 1.0 - (y - top)), (top + 1, y - top)):
        for column, right in ((left, 1.0 - (x - left)), (left + 1, x - left)):
            if 0 <= row < height and 0 <= column < width:
                total += channel[row, column] * down * right
    return total


def deform_conv(x, weight, bias, offset, mask) -> np.ndarray:
    """Convolve x (C, H, W) by weight (O, C, 3, 3), offset (18, H, W) as (dy, dx) and mask (9, H, W)."""
    channels, height, width = x.shape
    out = np.zeros((weight.shape[0], height, width))
    for row in range(height):
        for column in range(width):
            taps = np.zeros((channels, 9))
            for tap in range(9):
                y = row + tap // 3 - 1 + offset[2 * tap, row, column]
                at = column + tap % 3 - 1 + offset[2 * tap + 1, row, column]
                for c in range(channels):
                    taps[c, tap] = _bilinear(x[c], y, at) * mask[tap, row, column]
            out[:, row, column] = np.tensordot(weight.reshape(-1, channels, 9), taps, 2) + bias
    return out
