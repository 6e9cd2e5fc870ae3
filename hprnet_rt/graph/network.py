"""The graph that an engine is built from."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import onnx
from google.protobuf.message import DecodeError
from onnx import version_converter

from hprnet_rt.errors import ModelError
from hprnet_rt.graph.deform import expand_deform_conv
from hprnet_rt.graph.fold import fold_batch_norms, fold_constants
from hprnet_rt.graph.precision import HALVES, assign_precision
from hprnet_rt.onnx_file import FOR_GROUPING, REFINED_PEAKS

__all__ = ["GRAPH_PRECISIONS", "engine_graph", "fix_input"]

GRAPH_PRECISIONS: Final = ("fp32", *HALVES)
_BF16_OPSET: Final = 22  # the first with convolutions in bf16


def engine_graph(path: Path, precision: str) -> onnx.ModelProto:
    """Return an exported peak network in standard operations, with its precision written into the graph.

    Args:
        path: a file of `export_onnx`: (N, H, W, 3) uint8 `images` to (N, k, width) float32 `peaks`. Where the
            network has a refinement, points are refined in the graph.
        precision: of the network, one of `GRAPH_PRECISIONS`; the decode is always float32.

    Raises:
        ModelError: the file cannot be read, or holds no such network.
    """
    try:
        model = expand_deform_conv(onnx.load(path))
        exact = _refine_inside(model)
        fold_constants(model)
        fold_batch_norms(model)
        if precision == "bf16":
            model = version_converter.convert_version(model, _BF16_OPSET)
        if precision in HALVES:
            assign_precision(model, precision, exact)
        onnx.checker.check_model(model, full_check=True)
    except (OSError, DecodeError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(f"{path} cannot be read as a network: {error}") from error
    return model


def _refine_inside(model: onnx.ModelProto) -> set[str]:
    """Make the refined peaks the only output, in place, where there are any.

    Returns:
        The names of the tensors that are computed only for them.
    """
    graph = model.graph
    outputs = {output.name: output for output in graph.output}
    if REFINED_PEAKS not in outputs:
        return set()
    usual, *_ = FOR_GROUPING
    before, refined = _needed_for(graph, set(FOR_GROUPING)), _needed_for(graph, {REFINED_PEAKS})
    kept = [node for node in graph.node if not refined.isdisjoint(node.output)]
    if usual in refined:
        raise ModelError("the refined peaks are made of packed ones; export the network again")
    for node in kept:
        node.output[:] = [usual if name == REFINED_PEAKS else name for name in node.output]
    outputs[REFINED_PEAKS].name = usual
    for field, values in ((graph.node, kept), (graph.output, [outputs[REFINED_PEAKS]])):
        del field[:]
        field.extend(values)
    return (refined - before - {REFINED_PEAKS}) | {usual}


def _needed_for(graph: onnx.GraphProto, names: set[str]) -> set[str]:
    """Return the names of some tensors, and of all that they depend on."""
    found = set(names)
    for node in reversed(graph.node):
        if not found.isdisjoint(node.output):
            found.update(node.input)
    return found


def fix_input(model: onnx.ModelProto, batch: int | None, input_hw: tuple[int, int] | None) -> None:
    """Fix batch size, height and width of the input, in place; None leaves an axis dynamic."""
    dims = model.graph.input[0].type.tensor_type.shape.dim
    sizes = (batch, *(input_hw or (None, None)))
    for dim, size in zip(dims, sizes, strict=False):
        if size is not None:
            dim.dim_value = size
    del model.graph.value_info[:]
