"""The strongest peaks of heat-maps in two kernels, without sorting a whole map."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from hprnet_rt.model.gpu import kernels

__all__ = ["peaks_of"]

_CELLS: Final = 2048  # that a program of the first kernel looks at
_BELOW: Final = -1.0e4  # what is no maximum; see `hprnet_rt.model.peaks`


def peaks_of(heat: Tensor, bias: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the peaks of heat-maps as `hprnet_rt.model.peaks.top_peaks` does, of equal ones the first first.

    Args:
        heat: (N, H, W, at least C) float32 without gaps, logits before `bias`.
        bias: (C,) float32.
        k: peaks per channel.

    Returns:
        probability (N, C, k), and row-major cell number (N, C, k) int64.
    """
    batch, height, width, columns = heat.shape
    channels, device = len(bias), heat.device
    maps, chunks = batch * channels, -(-height * width // _CELLS)
    found = torch.empty(maps, chunks, k, device=device)
    where = torch.empty(maps, chunks, k, dtype=torch.int32, device=device)
    cells = max(_power_above(k), min(_CELLS, _power_above(height * width)))
    kernels.local_peaks[maps, chunks](
        heat, bias, found, where, height, width, channels, columns,
        K=k, CELLS=cells, BELOW=_BELOW, num_warps=8,
    )  # fmt: skip
    score = torch.empty(batch, channels, k, device=device)
    cell = torch.empty(batch, channels, k, dtype=torch.int64, device=device)
    kernels.best_peaks[(maps,)](
        found, where, score, cell, chunks * k,
        K=k, ROOM=_power_above(k), CANDIDATES=_power_above(chunks * k), num_warps=4,
    )  # fmt: skip
    return score, cell


def _power_above(count: int) -> int:
    return 1 << (count - 1).bit_length()
