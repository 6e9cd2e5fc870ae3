"""Numbers on their way to a device, without the host waiting for a GPU."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

__all__ = ["Numbers", "constant", "sent"]

Numbers = tuple[float, ...] | tuple[tuple[float, ...], ...]


@functools.cache
def constant(values: Numbers, device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return a tensor of these numbers on a device, the same one at every call; it must not be changed."""
    with torch.inference_mode(False):  # else it could not be used in training later
        return torch.tensor(values, device=device, dtype=dtype)


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of the host on a device; a GPU gets it when it has done what it was told before."""
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
