"""Simulation of a half-precision graph on a CPU.

onnxruntime computes fp16 layers in float32 and removes the two casts between two layers, and with them the
rounding that a GPU does; it cannot run bf16 layers at all. Here every half-precision tensor is a rounded
float32 one. fp16 is rounded through the type itself: a sequence of one element between the casts keeps the
optimiser from removing them. bf16, for which there are no sequences, is rounded by arithmetic. Sums inside a
layer are float32, as on GPUs.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

__all__ = ["EXACT_SUFFIX", "half_tensors", "rounded"]

EXACT_SUFFIX: Final = ".exact"
"""The suffix of the tensor that holds another one's values before rounding."""

_HALF: Final = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
_ZERO, _SPLIT = "rounding.zero", "rounding.split"
_LOST_BITS: Final = 16  # of float32's 24, to bf16's 8


def half_tensors(model: onnx.ModelProto) -> dict[str, int]:
    """Return the element type of every tensor in half precision, except weights, by name."""
    infos = shape_inference.infer_shapes(model).graph.value_info
    types = {info.name: info.type.tensor_type.elem_type for info in infos}
    return {name: kind for name, kind in types.items() if kind in _HALF}


def rounded(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a float32 graph whose tensors are rounded to the values that half precision allows.

    Halfway between two bf16 numbers the result may be either, not always the even one.
    """
    half = half_tensors(model)
    simulated = onnx.ModelProto()
    simulated.CopyFrom(model)
    graph = simulated.graph
    for tensor in graph.initializer:
        if tensor.data_type in _HALF:
            array = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    split = np.array(2.0**_LOST_BITS + 1, np.float32)
    graph.initializer.append(numpy_helper.from_array(np.array(0, np.int64), _ZERO))
    graph.initializer.append(numpy_helper.from_array(split, _SPLIT))
    nodes = []
    for node in graph.node:
        kept = onnx.NodeProto()
        kept.CopyFrom(node)
        if kept.op_type == "Cast" and (kept.input[0] in half or kept.output[0] in half):
            kept.op_type = "Identity"
            del kept.attribute[:]
        outputs = [name for name in kept.output if name in half]
        kept.output[:] = [f"{name}{EXACT_SUFFIX}" if name in half else name for name in kept.output]
        nodes.append(kept)
        for name in outputs:
            nodes += _through_fp16(name) if half[name] == TensorProto.FLOAT16 else _to_bf16(name)
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]
    return simulated


def _through_fp16(name: str) -> list[onnx.NodeProto]:
    """Return the nodes that round a tensor to fp16."""
    return [
        helper.make_node("Cast", [f"{name}{EXACT_SUFFIX}"], [f"{name}.half"], to=TensorProto.FLOAT16),
        helper.make_node("SequenceConstruct", [f"{name}.half"], [f"{name}.one"]),
        helper.make_node("SequenceAt", [f"{name}.one", _ZERO], [f"{name}.again"]),
        helper.make_node("Cast", [f"{name}.again"], [name], to=TensorProto.FLOAT),
    ]


def _to_bf16(name: str) -> list[onnx.NodeProto]:
    """Return the nodes that round a tensor to bf16.

    Source: Dekker, "A Floating-Point Technique for Extending the Available Precision" (1971), 5.7.
    """
    return [
        helper.make_node("Mul", [f"{name}{EXACT_SUFFIX}", _SPLIT], [f"{name}.large"]),
        helper.make_node("Sub", [f"{name}.large", f"{name}{EXACT_SUFFIX}"], [f"{name}.rest"]),
        helper.make_node("Sub", [f"{name}.large", f"{name}.rest"], [name]),
    ]
