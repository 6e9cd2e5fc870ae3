"""The weights from which a run starts."""

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
    """Load the weights of a file into a network, and leave it in evaluation mode.

    Args:
        network: from `create_model`.
        path: a checkpoint, or an exported ONNX file.

    Returns:
        whether the network has a refinement and the file has none; the refinement then keeps its weights. A
        file with only some of a refinement's weights is refused, as is any missing or unknown weight.

    Raises:
        ModelError: see `load_checkpoint` and `load_weights`.
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
    """Scale the input of a fresh refinement to a standard deviation of 1 in each channel.

    Where batch norms are folded, channels differ by two orders of magnitude. Channels with almost no
    deviation are not scaled.

    Args:
        refiner: its scales are set.
        feature: (N, C, H, W) feature map of typical images.
    """
    deviation = feature.float().std(dim=(0, 2, 3))
    refiner.norm.copy_(torch.where(deviation > _LEAST_DEVIATION, 1.0 / deviation, 1.0))
