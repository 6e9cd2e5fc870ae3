"""Exported ONNX files: the names in them, and reading of parts of them without the package onnx.

Sources: ONNX's onnx.proto (field numbers), Protocol Buffers' encoding.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import ModelError, UsageError

__all__ = [
    "CAFFE_SUFFIX",
    "FOR_GROUPING",
    "HALF_SUFFIX",
    "K_PLACES",
    "OUTPUTS",
    "REFINED_PEAKS",
    "WEIGHTS",
    "message_fields",
    "only_outputs",
    "read_weights",
    "require_k",
    "varint",
    "with_k",
]

FloatArray = npt.NDArray[np.float32]

CAFFE_SUFFIX: Final = ".caffemodel"
"""The ending of Caffe's files, which are Protocol Buffers too."""
WEIGHTS: Final = "network."
"""The prefix of every weight; its name in the network's state dict follows."""
HALF_SUFFIX: Final = ".fp16"
"""The suffix of a weight stored as fp16; a Cast gives it to the graph as float32, without the suffix."""
FOR_GROUPING: Final = ("peaks", "features", "local_maps")
"""The outputs of a network that refines which grouping needs: peaks, and the maps for the refinement."""
REFINED_PEAKS: Final = "refined_peaks"
"""The output with peaks that the network itself has refined."""
_MOST_K: Final = 65536
K_PLACES: Final = "hprnet-rt K"
"""The key of the metadata that say which integers of the graph are multiples of K: by the tensor's name, the
multiple for each of its elements, 0 for those that K does not change."""
OUTPUTS: Final = (*FOR_GROUPING, REFINED_PEAKS)
"""All outputs of a network that refines; others have the peaks alone."""

_GRAPH, _METADATA = 7, 14  # of a model
_NODE, _INITIALIZER, _OUTPUT = 1, 5, 12  # of a graph
_INPUTS, _OUTPUTS = 1, 2  # of a node
_DIMS, _TYPE, _NAME, _RAW = 1, 2, 8, 9  # of a tensor
_VALUE_NAME: Final = 1
_KEY, _VALUE = 1, 2  # of an entry of the metadata
_VARINT, _EIGHT, _SIZED, _FOUR = 0, 1, 2, 5  # kinds of fields
_TYPES: Final[dict[int, np.dtype[Any]]] = {1: np.dtype("<f4"), 10: np.dtype("<f2")}


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return the number at a position, and the position after it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def message_fields(data: memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
    """Yield each field of a message: its number, its content, and all its bytes."""
    at = 0
    while at < len(data):
        start = at
        key, at = varint(data, at)
        kind, begin = key & 7, at
        if kind == _VARINT:
            _, at = varint(data, at)
        elif kind == _SIZED:
            length, begin = varint(data, at)
            at = begin + length
        elif kind in (_EIGHT, _FOUR):
            at += 8 if kind == _EIGHT else 4
        else:
            raise ValueError(f"a field of kind {kind}")
        if at > len(data):
            raise ValueError("a field beyond the end")
        yield key >> 3, data[begin:at], data[start:at]


def _field(number: int, content: bytes) -> bytes:
    """Return a field of bytes, encoded for a message."""
    out = bytearray()
    for value in (number << 3 | _SIZED, len(content)):
        while value > 0x7F:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)
    return bytes(out) + content


def _text(message: memoryview, number: int) -> list[str]:
    """Return the strings in the fields of a number."""
    return [bytes(content).decode() for found, content, _ in message_fields(message) if found == number]


def only_outputs(model: bytes, names: Collection[str]) -> bytes:
    """Return the model with some of its outputs, without nodes and weights that these do not need.

    Args:
        model: the bytes of an ONNX file whose nodes are in topological order, without subgraphs.
        names: of outputs; those that the model lacks are ignored.

    Raises:
        ModelError: the model cannot be read.
    """
    try:
        return b"".join(
            _field(_GRAPH, _only_outputs(content, names)) if number == _GRAPH else bytes(whole)
            for number, content, whole in message_fields(memoryview(model))
        )
    except (IndexError, ValueError) as error:
        raise ModelError(f"the network cannot be read as ONNX: {error}") from error


def _only_outputs(graph: memoryview, names: Collection[str]) -> bytes:
    fields = list(message_fields(graph))
    needed = set(names)
    kept = [True] * len(fields)
    for i in range(len(fields) - 1, -1, -1):  # consumers before producers
        number, content, _ = fields[i]
        if number == _NODE:
            kept[i] = not needed.isdisjoint(_text(content, _OUTPUTS))
            if kept[i]:
                needed.update(filter(None, _text(content, _INPUTS)))  # an omitted input has an empty name
    for i, (number, content, _) in enumerate(fields):
        if number == _OUTPUT:
            kept[i] = _text(content, _VALUE_NAME)[0] in names
        elif number == _INITIALIZER:
            kept[i] = _text(content, _NAME)[0] in needed
    return b"".join(bytes(whole) for keep, (_, _, whole) in zip(kept, fields, strict=True) if keep)


def require_k(k: int) -> None:
    """Check a number of people per image.

    Raises:
        UsageError: it is less than 1, or more than 65536.
    """
    if k < 1:
        raise UsageError(f"k is at least 1, got {k}")
    if k > _MOST_K:
        raise UsageError(f"k is at most {_MOST_K}, got {k}")


def with_k(model: bytes, k: int) -> bytes:
    """Return the model with another number of people per image, and of peaks per joint.

    Args:
        model: the bytes of an exported ONNX file.
        k: at least 1; inputs must have as many cells.

    Raises:
        UsageError: k is less than 1.
        ModelError: the model cannot be read, or does not say where K is in it.
    """
    require_k(k)
    try:
        fields = list(message_fields(memoryview(model)))
        places = _k_places(content for number, content, _ in fields if number == _METADATA)
        return b"".join(
            _field(_GRAPH, _with_k(content, places, k)) if number == _GRAPH else bytes(whole)
            for number, content, whole in fields
        )
    except (IndexError, ValueError) as error:
        raise ModelError(f"the network cannot be read as ONNX: {error}") from error


def _k_places(metadata: Iterator[memoryview]) -> dict[str, list[int]]:
    for entry in metadata:
        if _text(entry, _KEY) == [K_PLACES]:
            places: dict[str, list[int]] = json.loads(_text(entry, _VALUE)[0])
            return places
    raise ModelError("it does not say where its number of people is; export or import it again to change it")


def _with_k(graph: memoryview, places: dict[str, list[int]], k: int) -> bytes:
    changed = []
    for number, content, whole in message_fields(graph):
        times = places.get(_text(content, _NAME)[0]) if number == _INITIALIZER else None
        if times is None:
            changed.append(bytes(whole))
        else:
            changed.append(_field(number, _multiplied(content, times, k)))
    return b"".join(changed)


def _multiplied(tensor: memoryview, times: list[int], k: int) -> bytes:
    """Return a tensor of integers with multiples of k where `times` is not 0."""
    out = []
    for number, content, whole in message_fields(tensor):
        if number == _RAW:
            values = np.where(times, k * np.array(times), np.frombuffer(content, "<i8"))
            out.append(_field(_RAW, values.astype("<i8").tobytes()))
        else:
            out.append(bytes(whole))
    return b"".join(out)


def read_weights(model: bytes, module: str = "") -> dict[str, FloatArray]:
    """Return the weights of the network, or of one module of it, by their names in its state dict.

    Args:
        model: the bytes of an ONNX file.
        module: such as "refiner", whose weights are named as in its own state dict; the whole network when
            empty. The result is empty where there is no such module.

    Raises:
        ModelError: the model cannot be read.
    """
    weights: dict[str, FloatArray] = {}
    prefix = f"{WEIGHTS}{module}." if module else WEIGHTS
    try:
        for number, graph, _ in message_fields(memoryview(model)):
            for inner, tensor, _ in message_fields(graph) if number == _GRAPH else ():
                if inner == _INITIALIZER:
                    (name,) = _text(tensor, _NAME)
                    if name.startswith(prefix):
                        weights[name.removeprefix(prefix).removesuffix(HALF_SUFFIX)] = _values(tensor)
    except (IndexError, ValueError, KeyError) as error:
        raise ModelError(f"the network cannot be read as ONNX: {error}") from error
    return weights


def _values(tensor: memoryview) -> FloatArray:
    """Return the values of a tensor of floats."""
    dims: list[int] = []
    raw, kind = memoryview(b""), 0
    for number, content, _ in message_fields(tensor):
        if number == _RAW:
            raw = content
        elif number == _TYPE:
            kind, _ = varint(content, 0)
        elif number == _DIMS:
            at = 0
            while at < len(content):  # packed or not
                side, at = varint(content, at)
                dims.append(side)
    stored: npt.NDArray[Any] = np.frombuffer(bytes(raw), _TYPES[kind])
    return stored.reshape(dims).astype(np.float32)
