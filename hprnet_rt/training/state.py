"""Checkpoints of a run. Each is either complete or absent, even if writing is interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hprnet_rt.errors import ModelError, UsageError
from hprnet_rt.model.checkpoint import save_whole
from hprnet_rt.training.config import TrainConfig

__all__ = ["LAST", "Averaged", "load_run", "load_state", "save_state"]

LAST = "last.pth"

_FORMAT = "hprnet-rt-training/1"


class Averaged:
    """An exponential moving average of a network's weights and statistics.

    Args:
        network: its state is the average at the start.
        decay: per step; with 0 the average is the network's state.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
        device = next(iter(self.state.values())).device
        self._share = torch.zeros((), device=device)  # on the device, so that a step can be recorded

    def set_step(self, step: int) -> None:
        """Say after which step (from 1) weights come next. The first count more, to forget the start."""
        self._share.fill_(1.0 - min(self.decay, (1 + step) / (10 + step)))

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Add the network's weights."""
        theirs = network.state_dict()
        names = [name for name, mine in self.state.items() if mine.is_floating_point()]
        mine = [self.state[name] for name in names]
        if self.decay:
            moves = torch._foreach_sub([theirs[name] for name in names], mine)
            torch._foreach_mul_(moves, self._share)
            torch._foreach_add_(mine, moves)
        else:
            torch._foreach_copy_(mine, [theirs[name] for name in names])
        for name in theirs.keys() - set(names):
            self.state[name].copy_(theirs[name])


def save_state(
    path: Path, *, weights: dict[str, Tensor], epoch: int, training: dict[str, Any], config: dict[str, Any]
) -> None:
    """Write a checkpoint. `load_checkpoint` reads its weights, `load_state` everything.

    Args:
        path: an existing file is replaced once the new one is completely on disk.
        weights: for inference (the averaged ones).
        epoch: number of complete epochs.
        training: state from which the run continues.
        config: of the run.

    Raises:
        OutputError: the file cannot be written.
    """
    data = {"format": _FORMAT, "epoch": epoch, "state_dict": weights, "training": training, "config": config}
    save_whole(data, path)


def load_state(path: Path) -> dict[str, Any]:
    """Read a checkpoint of `save_state`; no code in the file is executed.

    Raises:
        ModelError: the file is damaged, or is not a checkpoint of a run.
    """
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch reports damage with whatever its parsers stumble over
        raise ModelError(f"{path} is damaged or no checkpoint of a run; delete it to start again") from error
    if not isinstance(data, dict) or data.get("format") != _FORMAT:
        raise ModelError(f"{path} is no checkpoint of a run; choose another folder with --out")
    return data


def load_run(folder: Path, config: TrainConfig, images: int) -> dict[str, Any] | None:
    """Read the checkpoint with which a run goes on; None where its folder has none.

    Args:
        folder: of the run.
        config: of the run. More epochs, and other places of the data, make no other run.
        images: number of its images.

    Raises:
        ModelError: see `load_state`.
        UsageError: the folder holds a run of another configuration, or over other images.
    """
    if not (folder / LAST).exists():
        return None
    data = load_state(folder / LAST)
    now, then = config.to_dict(), TrainConfig().to_dict() | data["config"]  # `now` may have new keys
    for each in (now, then):
        each["phases"] = [phase | {"epochs": 0} for phase in each["phases"]]
    changed = [key for key in now if key not in ("epochs", "data") and now[key] != then.get(key)]
    if changed:
        raise UsageError(f"{folder} holds a run with another {', '.join(changed)}; choose another --out")
    before = data["training"].get("images", images)
    if before != images:
        raise UsageError(
            f"{folder} holds a run over {before} images, and there are {images} now; choose another --out"
        )
    return data
