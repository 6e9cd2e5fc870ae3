"""An exported network as a file: its names, and what a backend needs of it, read without the package onnx.

Sources: ONNX's onnx.proto (field numbers), Protocol Buffers' encoding.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import ModelError

__all__ = [
    "FOR_GROUPING",
    "HALF_SUFFIX",
    "OUTPUTS",
    "REFINED_PEAKS",
    "WEIGHTS",
    "only_outputs",
    "read_weights",
]

FloatArray = npt.NDArray[np.float32]

WEIGHTS: Final = "network."
"""A weight is called so, and then as in the network's state dict."""
HALF_SUFFIX: Final = ".fp16"
"""A weight `name + HALF_SUFFIX` is cast to float32 as `name`."""
FOR_GROUPING: Final = ("peaks", "features", "local_maps")
"""What grouping wants of a network that refines: its peaks, and the maps that points are refined on."""
REFINED_PEAKS: Final = "refined_peaks"
"""The peaks of the same network, refined in the engine."""
OUTPUTS: Final = (*FOR_GROUPING, REFINED_PEAKS)
"""Outputs of a network that refines; others have the peaks alone."""

_GRAPH: Final = 7  # of a model
_NODE, _INITIALIZER, _OUTPUT = 1, 5, 12  # of a graph
_INPUTS, _OUTPUTS = 1, 2  # of a node
_DIMS, _TYPE, _NAME, _RAW = 1, 2, 8, 9  # of a tensor
_VALUE_NAME: Final = 1
_VARINT, _EIGHT, _SIZED, _FOUR = 0, 1, 2, 5  # kinds of fields
_TYPES: Final[dict[int, np.dtype[Any]]] = {1: np.dtype("<f4"), 10: np.dtype("<f2")}


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """The number there, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
    """Each field of a message: its number, its content, and all its bytes."""
    at = 0
    while at < len(data):
        start = at
        key, at = _varint(data, at)
        kind, begin = key & 7, at
        if kind == _VARINT:
            _, at = _varint(data, at)
        elif kind == _SIZED:
            length, begin = _varint(data, at)
            at = begin + length
        elif kind in (_EIGHT, _FOUR):
            at += 8 if kind == _EIGHT else 4
        else:
            raise ValueError(f"a field of kind {kind}")
        if at > len(data):
            raise ValueError("a field beyond the end")
        yield key >> 3, data[begin:at], data[start:at]


def _field(number: int, content: bytes) -> bytes:
    """A field of bytes, as a message holds it."""
    out = bytearray()
    for value in (number << 3 | _SIZED, len(content)):
        while value > 0x7F:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)
    return bytes(out) + content


def _text(message: memoryview, number: int) -> list[str]:
    return [bytes(content).decode() for found, content, _ in _fields(message) if found == number]


def only_outputs(model: bytes, wanted: Collection[str]) -> bytes:
    """The model with some of its outputs, and only with what these need.

    Args:
        model: of an ONNX file, its nodes in order and without graphs within them.
        wanted: names of outputs; those that the model lacks are passed over.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        return b"".join(
            _field(_GRAPH, _only_outputs(content, wanted)) if number == _GRAPH else bytes(whole)
            for number, content, whole in _fields(memoryview(model))
        )
    except (IndexError, ValueError) as error:
        raise ModelError(f"the network cannot be read as ONNX: {error}") from error


def _only_outputs(graph: memoryview, wanted: Collection[str]) -> bytes:
    fields = list(_fields(graph))
    needed = set(wanted)
    kept = [True] * len(fields)
    for i in range(len(fields) - 1, -1, -1):  # readers before makers
        number, content, _ = fields[i]
        if number == _NODE:
            kept[i] = not needed.isdisjoint(_text(content, _OUTPUTS))
            if kept[i]:
                needed.update(filter(None, _text(content, _INPUTS)))  # an input left out has no name
    for i, (number, content, _) in enumerate(fields):
        if number == _OUTPUT:
            kept[i] = _text(content, _VALUE_NAME)[0] in wanted
        elif number == _INITIALIZER:
            kept[i] = _text(content, _NAME)[0] in needed
    return b"".join(bytes(whole) for keep, (_, _, whole) in zip(kept, fields, strict=True) if keep)


def read_weights(model: bytes, module: str) -> dict[str, FloatArray]:
    """The weights of a module of the network, as in the module's own state dict; empty where there are none.

    Args:
        model: of an ONNX file.
        module: such as "refiner".

    Raises:
        ModelError: it cannot be read.
    """
    found: dict[str, FloatArray] = {}
    prefix = f"{WEIGHTS}{module}."
    try:
        for number, graph, _ in _fields(memoryview(model)):
            for inner, tensor, _ in _fields(graph) if number == _GRAPH else ():
                if inner == _INITIALIZER:
                    (name,) = _text(tensor, _NAME)
                    if name.startswith(prefix):
                        found[name.removeprefix(prefix).removesuffix(HALF_SUFFIX)] = _values(tensor)
    except (IndexError, ValueError, KeyError) as error:
        raise ModelError(f"the network cannot be read as ONNX: {error}") from error
    return found


def _values(tensor: memoryview) -> FloatArray:
    """What a tensor of floats holds."""
    dims: list[int] = []
    raw, kind = memoryview(b""), 0
    for number, content, _ in _fields(tensor):
        if number == _RAW:
            raw = content
        elif number == _TYPE:
            kind, _ = _varint(content, 0)
        elif number == _DIMS:
            at = 0
            while at < len(content):  # packed or not
                side, at = _varint(content, at)
                dims.append(side)
    stored: npt.NDArray[Any] = np.frombuffer(bytes(raw), _TYPES[kind])
    return stored.reshape(dims).astype(np.float32)
