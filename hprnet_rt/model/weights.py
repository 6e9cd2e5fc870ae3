"""Loading of weights from an exported ONNX file: those of the shipped model exist nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import torch

from hprnet_rt.errors import ModelError
from hprnet_rt.model.network import Network
from hprnet_rt.model.rivals import RivalNetwork
from hprnet_rt.onnx_file import read_weights

__all__ = ["load_weights"]

NetworkT = TypeVar("NetworkT", bound=Network | RivalNetwork)


def load_weights(network: NetworkT, path: Path) -> NetworkT:
    """Fill a network with the weights of an ONNX file that `export_onnx` wrote, and return it.

    This works for networks without batch norms (hprnet-mobile): an export may fold those into other weights.

    Raises:
        ModelError: the file cannot be read, or its weights are of another network.
    """
    try:
        weights = read_weights(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    if weights.keys() != network.state_dict().keys():
        raise ModelError(f"{path} does not hold the weights of {network.spec.name} by name")
    try:
        network.load_state_dict({name: torch.from_numpy(values) for name, values in weights.items()})
    except RuntimeError as error:
        raise ModelError(f"{path} holds the weights of another network: {error}") from error
    network.eval()
    return network
