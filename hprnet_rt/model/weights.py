"""Weights of an exported ONNX file back into the network: the shipped file is their only home."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from hprnet_rt.errors import ModelError
from hprnet_rt.model.network import Network
from hprnet_rt.onnx_file import HALF_SUFFIX, WEIGHTS

__all__ = ["load_weights"]

NetworkT = TypeVar("NetworkT", bound=Network)


def load_weights(network: NetworkT, path: Path) -> NetworkT:
    """Fill `network` with the weights of an ONNX file written by `export_onnx` and return it.

    Works for networks without batch norms (hprnet-mobile): an export may fold those into other weights.

    Raises:
        ModelError: the file cannot be read, or its weights are of another network.
    """
    try:
        model = onnx.load(path)
    except (OSError, DecodeError) as error:
        raise ModelError(f"{path} cannot be read as ONNX: {error}") from error
    state = {}
    for tensor in model.graph.initializer:
        name = tensor.name.removesuffix(HALF_SUFFIX)
        if name.startswith(WEIGHTS):
            array = numpy_helper.to_array(tensor).astype(np.float32)
            state[name.removeprefix(WEIGHTS)] = torch.from_numpy(array)
    if state.keys() != network.state_dict().keys():
        raise ModelError(f"{path} does not hold the weights of {network.spec.name} by name")
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(f"{path} holds the weights of another network: {error}") from error
    network.eval()
    return network
