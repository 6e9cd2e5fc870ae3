"""Checkpoints of a run: complete or not there, whatever happens while they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hprnet_rt.errors import ModelError
from hprnet_rt.model.checkpoint import save_whole

__all__ = ["Averaged", "load_state", "save_state"]

_FORMAT = "hprnet-rt-training/1"


class Averaged:
    """An exponential moving average of a network's weights and statistics.

    Args:
        network: its state is the start.
        decay: a step; 0 follows the network itself.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after `step` (from 1); the first steps count more, to forget the start."""
        decay = min(self.decay, (1 + step) / (10 + step)) if self.decay else 0.0
        for name, tensor in network.state_dict().items():
            mine = self.state[name]
            if mine.is_floating_point():
                mine.lerp_(tensor.to(mine.dtype), 1.0 - decay)
            else:
                mine.copy_(tensor)


def save_state(
    path: Path, *, weights: dict[str, Tensor], epoch: int, training: dict[str, Any], config: dict[str, Any]
) -> None:
    """Write a checkpoint that `load_checkpoint` reads as weights and `load_state` as a run.

    Args:
        path: a file there is replaced when the new one is complete and on disk.
        weights: to use (the averaged ones).
        epoch: whole epochs done.
        training: what the run needs to go on.
        config: of the run.

    Raises:
        OutputError: the file cannot be written.
    """
    data = {"format": _FORMAT, "epoch": epoch, "state_dict": weights, "training": training, "config": config}
    save_whole(data, path)


def load_state(path: Path) -> dict[str, Any]:
    """A checkpoint of `save_state`; nothing in it is executed.

    Raises:
        ModelError: it is damaged, or not of a run.
    """
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch reports damage with whatever its parsers stumble over
        raise ModelError(f"{path} is damaged or no checkpoint of a run; delete it to start again") from error
    if not isinstance(data, dict) or data.get("format") != _FORMAT:
        raise ModelError(f"{path} is no checkpoint of a run; choose another folder with --out")
    return data
