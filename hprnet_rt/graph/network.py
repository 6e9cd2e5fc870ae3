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

__all__ = ["GRAPH_PRECISIONS", "engine_graph", "fix_input"]

GRAPH_PRECISIONS: Final = ("fp32", *HALVES)
_BF16_OPSET: Final = 22  # the first with convolutions in bf16


def engine_graph(path: Path, precision: str) -> onnx.ModelProto:
    """An exported peak network in standard operations, with its precision written into it.

    Args:
        path: what `export_onnx` wrote: (N, H, W, 3) uint8 `images` to (N, k, width) float32 `peaks`.
        precision: one of `GRAPH_PRECISIONS`; of the network, the decode is always float32.

    Raises:
        ModelError: the file cannot be read, or is no such network.
    """
    try:
        model = expand_deform_conv(onnx.load(path))
        fold_constants(model)
        fold_batch_norms(model)
        if precision == "bf16":
            model = version_converter.convert_version(model, _BF16_OPSET)
        if precision in HALVES:
            assign_precision(model, precision)
        onnx.checker.check_model(model, full_check=True)
    except (OSError, DecodeError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(f"{path} cannot be read as a network: {error}") from error
    return model


def fix_input(model: onnx.ModelProto, batch: int | None, input_hw: tuple[int, int] | None) -> None:
    """State batch size, height and width of the input in the graph, in place; None leaves an axis open."""
    dims = model.graph.input[0].type.tensor_type.shape.dim
    sizes = (batch, *(input_hw or (None, None)))
    for dim, size in zip(dims, sizes, strict=False):
        if size is not None:
            dim.dim_value = size
    del model.graph.value_info[:]
