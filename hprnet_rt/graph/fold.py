"""Folding of constants, and of batch norms into the convolutions before them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import helper, numpy_helper

__all__ = ["fold_batch_norms", "fold_constants"]

_ERRORS_ONLY: Final = 3
_CONVOLUTIONS: Final = ("Conv", "ConvTranspose")
_EPSILON: Final = 1e-5  # ONNX's default


def fold_constants(model: onnx.ModelProto) -> None:
    """Replace, in place, all operations on constants by their values."""
    graph = model.graph
    constant = {tensor.name for tensor in graph.initializer}
    inside, outside = [], []
    for node in graph.node:  # in topological order, by ONNX's rules
        if all(not name or name in constant for name in node.input):
            inside.append(node)
            constant.update(node.output)
        else:
            outside.append(node)
    read = {name for node in outside for name in node.input} | {output.name for output in graph.output}
    names = [name for node in inside for name in node.output if name in read]
    if names:
        values = _run(model, inside, names)
        graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in values.items())
    del graph.node[:]
    graph.node.extend(outside)
    _drop_unread(graph)


def _run(
    model: onnx.ModelProto, nodes: list[onnx.NodeProto], names: list[str]
) -> dict[str, npt.NDArray[Any]]:
    """Return the values of constant tensors, by name."""
    read = {name for node in nodes for name in node.input}
    part = helper.make_graph(
        nodes,
        "constants",
        [],
        [onnx.ValueInfoProto(name=name) for name in names],
        [tensor for tensor in model.graph.initializer if tensor.name in read],
    )
    whole = helper.make_model(part, opset_imports=model.opset_import, ir_version=model.ir_version)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        whole.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return dict(zip(names, session.run(names, {}), strict=True))


def fold_batch_norms(model: onnx.ModelProto) -> None:
    """Fold, in place, every batch norm that follows a convolution into the convolution's weights."""
    graph = model.graph
    arrays = {tensor.name: tensor for tensor in graph.initializer}
    maker = {name: node for node in graph.node for name in node.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    gone = []
    for norm in graph.node:
        if norm.op_type != "BatchNormalization":
            continue
        conv = maker.get(norm.input[0])
        if conv is None or conv.op_type not in _CONVOLUTIONS:
            continue
        others = [node for node in readers[norm.input[0]] if node is not norm]
        if any(node.op_type != "Shape" for node in others):
            continue
        if any(name not in arrays for name in (*norm.input[1:], *conv.input[1:])):
            continue
        scale, shift, mean, variance = (_float64(arrays[name]) for name in norm.input[1:5])
        epsilon = next((item.f for item in norm.attribute if item.name == "epsilon"), _EPSILON)
        factor = scale / np.sqrt(variance + epsilon)
        weight = _float64(arrays[conv.input[1]])
        bias = _float64(arrays[conv.input[2]]) if len(conv.input) > 2 else np.zeros_like(mean)
        groups = next((item.i for item in conv.attribute if item.name == "group"), 1)
        folded = {
            f"{conv.output[0]}.weight": _scaled(weight, factor, groups, conv.op_type),
            f"{conv.output[0]}.bias": (bias - mean) * factor + shift,
        }
        graph.initializer.extend(
            numpy_helper.from_array(value.astype(np.float32), name) for name, value in folded.items()
        )
        conv.input[1:] = list(folded)
        for asks_size in others:
            asks_size.input[0] = norm.output[0]
        conv.output[0] = norm.output[0]
        gone.append(norm)
    for norm in gone:
        graph.node.remove(norm)
    _drop_unread(graph)


def _float64(tensor: onnx.TensorProto) -> npt.NDArray[np.float64]:
    return numpy_helper.to_array(tensor).astype(np.float64)


def _scaled(
    weight: npt.NDArray[np.float64], factor: npt.NDArray[np.float64], groups: int, kind: str
) -> npt.NDArray[np.float64]:
    """Return a kernel with its output channels multiplied by `factor` (channels,)."""
    if kind == "Conv":  # (outputs, inputs / groups, ...)
        return weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
    # a transposed one: (inputs, outputs / groups, ...), the groups one after the other
    rest = weight.shape[1:]
    grouped = weight.reshape(groups, -1, *rest)
    return (grouped * factor.reshape(groups, 1, rest[0], *[1] * (len(rest) - 1))).reshape(weight.shape)


def _drop_unread(graph: onnx.GraphProto) -> None:
    read = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
