"""Precision written into the graph: a network in fp16 or bf16, and all positions in fp32.

A strongly typed compiler takes the precision of every operation from the file. In half precision are the
weighted layers and the operations between them, from the first convolution to the input of each branch's last
layer. The rest stays float32, because rounding would be wrong there:

- normalisation of the image: cheap, and the first place to lose bits;
- each branch's last layer: heat-map logits rounded to 11 bits make neighbours equal, which NMS counts as
  two peaks, and an offset of 64 cells would be rounded to 1/32 cell;
- NMS, top-K, cell numbers, positions;
- the refinement, which moves points by fractions of a cell, with its few layers;
- GridSample and its grid: a grid in fp16 is off by up to 0.03 cells;
- a layer with weights that half precision cannot hold (too large, or below its normal range).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

from hprnet_rt.errors import ModelError

__all__ = ["HALVES", "assign_precision"]


@dataclass(frozen=True)
class Half:
    """A half precision.

    Attributes:
        number: its ONNX data type.
        dtype: its NumPy type.
        rounding: the largest relative error of a rounded number.
    """

    number: int
    dtype: Any
    rounding: float


HALVES: Final = {
    "fp16": Half(TensorProto.FLOAT16, np.float16, 2.0**-11),
    "bf16": Half(TensorProto.BFLOAT16, ml_dtypes.bfloat16, 2.0**-8),
}
"""By name."""

_WEIGHTED: Final = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_POSITIONAL: Final = "GridSample"
_DATA_INPUTS: Final = {"Resize": 1, _POSITIONAL: 1}
"""The number of an operation's first inputs that are data, where not all are."""
_ROUNDINGS: Final = 2.0


def assign_precision(model: onnx.ModelProto, precision: str, exact: Collection[str] = ()) -> None:
    """Make the network's layers fp16 or bf16, in place, with Casts where the precision changes.

    Args:
        model: float32, its constants folded (`fold_constants`).
        precision: a key of `HALVES`.
        exact: names of the refinement's tensors: the operations that compute them stay float32, and those
            before them do not become half precision on their account.

    Raises:
        ModelError: the graph has no weighted layers to convert.
    """
    kind = HALVES[precision]
    graph = model.graph
    arrays = {tensor.name: tensor for tensor in graph.initializer}
    floats = _float_tensors(model)
    half_nodes = _half_nodes(graph, arrays, floats, kind, exact)
    if not any(graph.node[i].op_type in _WEIGHTED for i in half_nodes):
        raise ModelError("the graph has no layers between two others; is it a network of hprnet-rt?")
    half_tensors = {name for i in half_nodes for name in graph.node[i].output}
    nodes: list[onnx.NodeProto] = []
    made: dict[tuple[str, int], str] = {}

    def as_type(name: str, to: int) -> str:
        """Return the name of a tensor in another type, which is added where it is first needed."""
        key = (name, to)
        if key not in made:
            made[key] = f"{name}.{TensorProto.DataType.Name(to).lower()}"
            if name in arrays:
                half = numpy_helper.to_array(arrays[name]).astype(kind.dtype)
                graph.initializer.append(numpy_helper.from_array(half, made[key]))
            else:
                nodes.append(helper.make_node("Cast", [name], [made[key]], made[key], to=to))
        return made[key]

    for i, node in enumerate(graph.node):
        is_half = i in half_nodes
        for place, name in enumerate(node.input[: _DATA_INPUTS.get(node.op_type)]):
            if is_half and name in floats and name not in half_tensors:
                node.input[place] = as_type(name, kind.number)
            elif not is_half and name in half_tensors:
                node.input[place] = as_type(name, TensorProto.FLOAT)
        nodes.append(node)
    copied = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copied)
    read = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    del graph.value_info[:]


def _float_tensors(model: onnx.ModelProto) -> set[str]:
    """Return the names of all float32 tensors."""
    graph = shape_inference.infer_shapes(model, strict_mode=True).graph
    infos = (*graph.value_info, *graph.input, *graph.output)
    found = {info.name for info in infos if info.type.tensor_type.elem_type == TensorProto.FLOAT}
    return found | {tensor.name for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT}


def _half_nodes(
    graph: onnx.GraphProto,
    arrays: dict[str, onnx.TensorProto],
    floats: set[str],
    half: Half,
    exact: Collection[str],
) -> set[int]:
    """Return the numbers of the nodes that may be in half precision.

    Along float data, they have a weighted layer before them or are one, and have another one behind them.
    """

    def data(node: onnx.NodeProto) -> list[str]:
        return [name for name in node.input[: _DATA_INPUTS.get(node.op_type)] if name in floats]

    def weighted(node: onnx.NodeProto) -> bool:
        return node.op_type in _WEIGHTED and node.input[1] in arrays and node.output[0] not in exact

    before: set[str] = set()  # tensors that a weighted layer leads to
    for node in graph.node:
        if weighted(node) or any(name in before for name in data(node)):
            before.update(name for name in node.output if name in floats)
    behind: set[str] = set()  # tensors that lead to a weighted layer
    found = set()
    for i in range(len(graph.node) - 1, -1, -1):
        node = graph.node[i]
        leads = any(name in behind for name in node.output)
        if weighted(node) or leads:
            behind.update(data(node))
        starts = any(name in before for name in node.output)
        stays_float32 = node.op_type == _POSITIONAL or any(name in exact for name in node.output)
        if stays_float32 or not (leads and starts):
            continue
        weights = [numpy_helper.to_array(arrays[name]) for name in data(node) if name in arrays]
        if all(_representable(array, half) for array in weights):
            found.add(i)
    return found


def _representable(weights: npt.NDArray[Any], half: Half) -> bool:
    """Return whether rounding changes no weight by more than two rounding errors of the largest one."""
    with np.errstate(over="ignore"):
        lost = np.abs(weights.astype(half.dtype).astype(np.float32) - weights)
    largest = np.abs(weights).max(initial=0.0)
    return bool(np.isfinite(lost).all() and lost.max(initial=0.0) <= _ROUNDINGS * half.rounding * largest)
