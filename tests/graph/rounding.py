"""What a half-precision graph really computes, on a CPU.

onnxruntime has no kernels in half precision: it computes in float32, and removes the two casts between two
layers, and with them the rounding that a GPU does. Here every half-precision tensor is float32 that has been
through the half type; a sequence of one element keeps the casts apart, and so alive.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

HALF = {TensorProto.FLOAT16}
ZERO = "rounding.zero"


def half_tensors(model):
    """{name: element type} of the tensors in half precision, weights apart."""
    infos = shape_inference.infer_shapes(model).graph.value_info
    types = {info.name: info.type.tensor_type.elem_type for info in infos}
    return {name: kind for name, kind in types.items() if kind in HALF}


def rounded(model):
    """A float32 graph whose tensors take the values that `model`'s half-precision ones can take."""
    half = half_tensors(model)
    done = onnx.ModelProto()
    done.CopyFrom(model)
    graph = done.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    for tensor in weights.values():
        if tensor.data_type in HALF:
            array = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    graph.initializer.append(numpy_helper.from_array(np.array(0, np.int64), ZERO))
    nodes = []
    for node in graph.node:
        kept = onnx.NodeProto()
        kept.CopyFrom(node)
        if kept.op_type == "Cast" and (kept.input[0] in half or kept.output[0] in half):
            kept.op_type = "Identity"
            del kept.attribute[:]
        outputs = [name for name in kept.output if name in half]
        kept.output[:] = [f"{name}.exact" if name in half else name for name in kept.output]
        nodes.append(kept)
        for name in outputs:
            nodes += [
                helper.make_node("Cast", [f"{name}.exact"], [f"{name}.half"], to=half[name]),
                helper.make_node("SequenceConstruct", [f"{name}.half"], [f"{name}.one"]),
                helper.make_node("SequenceAt", [f"{name}.one", ZERO], [f"{name}.again"]),
                helper.make_node("Cast", [f"{name}.again"], [name], to=TensorProto.FLOAT),
            ]
    del graph.node[:]
    graph.node.extend(nodes)
    return done
