"""Reading of weights from Caffe models, without Caffe.

Sources: Caffe's caffe.proto (field numbers), Protocol Buffers' encoding.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hprnet_rt.errors import ModelError
from hprnet_rt.onnx_file import message_fields, varint

__all__ = ["read_caffe"]

_LAYER, _OLD_LAYER = 100, 2  # of a network
_NAME_AND_BLOBS: Final = {_LAYER: (1, 7), _OLD_LAYER: (4, 6)}  # of a layer
_OLD_DIMS, _DATA, _SHAPE = (1, 2, 3, 4), 5, 7  # of a blob
_WEIGHTS: Final = ("weight", "bias")  # of a layer, in this order


def read_caffe(path: Path) -> dict[str, Tensor]:
    """Return the weights in a Caffe model by name: the layer's, and "weight" or "bias".

    Raises:
        ModelError: the file is missing, damaged, or no Caffe model with weights.
    """
    weights: dict[str, Tensor] = {}
    try:
        for number, content, _ in message_fields(memoryview(path.read_bytes())):
            if number in _NAME_AND_BLOBS:
                weights |= _layer(content, *_NAME_AND_BLOBS[number])
    except OSError as error:
        raise ModelError(f"the Caffe model {path} cannot be read: {error.strerror or error}") from error
    except (IndexError, ValueError) as error:  # UnicodeDecodeError is a ValueError
        raise ModelError(f"{path} is cut off, damaged or no Caffe model; get the file again") from error
    if not weights:
        raise ModelError(f"{path} holds no weights of a Caffe model; get the file again")
    return weights


def _layer(layer: memoryview, name_field: int, blob_field: int) -> dict[str, Tensor]:
    """Return the weights of one layer."""
    name, blobs = "", []
    for number, content, _ in message_fields(layer):
        if number == name_field:
            name = bytes(content).decode()
        elif number == blob_field:
            blobs.append(_blob(content))
    return {f"{name}.{each}": torch.from_numpy(blob) for each, blob in zip(_WEIGHTS, blobs, strict=False)}


def _blob(blob: memoryview) -> npt.NDArray[np.float32]:
    """Return the values of a blob.

    Raises:
        ValueError: they do not fill its shape.
    """
    data: list[bytes] = []
    dims: list[int] = []
    old = dict.fromkeys(_OLD_DIMS, 1)
    for number, content, _ in message_fields(blob):
        if number == _DATA:
            data.append(bytes(content))
        elif number == _SHAPE:
            for _, sides, _ in message_fields(content):
                dims += _numbers(sides)
        elif number in old:
            old[number] = varint(content, 0)[0]
    values: npt.NDArray[Any] = np.frombuffer(b"".join(data), "<f4").astype(np.float32)
    if not dims:
        dims = [old[number] for number in _OLD_DIMS]
        if dims[:3] == [1, 1, 1]:  # a bias
            dims = dims[3:]
    if math.prod(dims) != values.size:
        raise ValueError(f"{values.size} values in a shape of {dims}")
    return values.reshape(dims)


def _numbers(packed: memoryview) -> list[int]:
    found, at = [], 0
    while at < len(packed):
        value, at = varint(packed, at)
        found.append(value)
    return found
