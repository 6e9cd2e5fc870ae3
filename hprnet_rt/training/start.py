"""The weights that a run starts from."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from torch import Tensor

from hprnet_rt.errors import ModelError
from hprnet_rt.model import create_model, load_checkpoint, load_weights
from hprnet_rt.model.network import Network
from hprnet_rt.model.refine import Refiner

__all__ = ["fit_scale", "start_from"]

_LEAST_DEVIATION = 1e-3


def start_from(network: Network, path: Path) -> bool:
    """Fill a network with the weights of a file, in evaluation mode.

    Args:
        network: from `create_model`.
        path: a checkpoint, or an exported ONNX file.

    Returns:
        whether the network has a refinement and the file none: the refinement's weights are then as they
        were. A file with some of them is refused, as with any other weight missing or unknown.

    Raises:
        ModelError: as `load_checkpoint` and `load_weights` say.
    """
    load = load_weights if path.suffix == ".onnx" else load_checkpoint
    if network.refiner is None:
        load(network, path)
        return False
    try:
        load(network, path)
    except ModelError as error:
        plain = create_model(dataclasses.replace(network.spec, refinement=None))
        try:
            load(plain, path)
        except ModelError:
            raise error from None
        network.load_state_dict(plain.state_dict(), strict=False)
        network.eval()
        return True
    return False


@torch.no_grad()
def fit_scale(refiner: Refiner, feature: Tensor) -> None:
    """Let a fresh refinement read each channel of a feature map (N, C, H, W) with a deviation of 1.

    Where batch norms are folded, channels differ by two orders of magnitude. Silent ones stay as they are.
    """
    deviation = feature.float().std(dim=(0, 2, 3))
    refiner.norm.copy_(torch.where(deviation > _LEAST_DEVIATION, 1.0 / deviation, 1.0))
