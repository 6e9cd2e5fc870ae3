"""Export to ONNX: networks with peaks for backends, with dense heads for the oracle.

Weights keep their names in the file, so that they can be loaded into the network again. They are stored as
fp16 where that is exact (MoveNet publishes fp16 weights), behind a Cast that libraries fold at load.
Arithmetic in the graph is float32. Deformable convolutions become one DeformConv node each, or standard
operations for libraries without it.
"""

from __future__ import annotations

import gc
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnxscript.optimizer
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from hprnet_rt.files import output_errors
from hprnet_rt.model.deform import DEFORM_CONV_OPSET, DeformForm, choose_deform_form, has_deform_conv
from hprnet_rt.model.network import Network
from hprnet_rt.model.peaks import DenseNetwork, PeakNetwork
from hprnet_rt.model.rivals import RivalNetwork
from hprnet_rt.onnx_file import HALF_SUFFIX, K_PLACES, OUTPUTS, WEIGHTS, require_k, with_k
from hprnet_rt.spec import DEFAULT_K

__all__ = ["FEATURE_MAP", "HEAT_MAPS", "export_maps", "export_onnx"]

FEATURE_MAP = "feature"
HEAT_MAPS = ("hm", "hm_hp")
"""Tensors of an exported peak network that the decode reads, by these names."""

_OPSET = 18
_LARGEST_PX = 2048  # sides for which the exporter checks that nothing depends on the size
_EXAMPLE_BATCH = 5
# Batch and sides differ, and none is 1: the exporter would tie equal sizes together, and fix those of 1.
_EXAMPLE_MULTIPLES = (2, 3)
_EXAMPLE_K = 61
_SMALL = 32  # elements of tensors that are folded, and of weights too small for fp16


def export_onnx(
    network: Network,
    path: Path,
    *,
    dense: bool = False,
    k: int = DEFAULT_K,
    deform: DeformForm = "deform_conv",
) -> None:
    """Write a network as ONNX with dynamic batch, height and width (multiples of `spec.multiple_px`).

    Args:
        network: in evaluation mode.
        path: the file to write; its folder exists.
        dense: one float32 (N, C, H / 4, W / 4) output per head, named after it, in place of `OUTPUTS`.
        k: people per image, and peaks per joint; `onnx_file.with_k` changes it in the file.
        deform: the form of deformable convolutions: "deform_conv" for onnxruntime and OpenVINO,
            "grid_sample" for libraries without that operation.

    Raises:
        UsageError: k is less than 1.
        OutputError: the file cannot be written.
    """
    require_k(k)
    module = DenseNetwork(network) if dense else PeakNetwork(network, _EXAMPLE_K, refine="both")
    as_node = deform == "deform_conv" and has_deform_conv(network)
    outputs = [head.name for head in network.spec.heads] if dense else list(OUTPUTS)
    if not dense and network.refiner is None:
        del outputs[1:]
    choose_deform_form(network, deform)
    try:
        model = _traced(module, network.spec.multiple_px, outputs, DEFORM_CONV_OPSET if as_node else _OPSET)
    finally:
        choose_deform_form(network, "grid_sample")
    if not dense:
        _name_maps(model, network)
        _note_k(model)
    _write(model, path, None if dense else k)


class _Whole(nn.Module):
    """A network whose weights get the names that they have in a peak network's file."""

    def __init__(self, network: RivalNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.network(images)
        return maps


def export_maps(network: RivalNetwork, path: Path) -> None:
    """Write a network that returns maps as ONNX with dynamic batch, height and width; see `export_onnx`.

    Raises:
        OutputError: the file cannot be written.
    """
    _write(_traced(_Whole(network), network.spec.multiple_px, ["maps"], _OPSET), path)


def _traced(module: nn.Module, multiple_px: int, outputs: list[str], opset: int) -> onnx.ModelProto:
    """Return the graph of a module that maps images (N, H, W, 3) uint8, with sides of whole multiples."""
    sides = {
        axis: multiple_px * torch.export.Dim(name, min=1, max=_LARGEST_PX // multiple_px)
        for axis, name in ((1, "rows"), (2, "columns"))
    }
    example_hw = [multiple_px * count for count in _EXAMPLE_MULTIPLES]
    example = torch.zeros((_EXAMPLE_BATCH, *example_hw, 3), dtype=torch.uint8)
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with _uncollected(), warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module.eval(),
                (example,),
                input_names=["images"],
                output_names=outputs,
                dynamic_shapes={"images": {0: torch.export.Dim.DYNAMIC, **sides}},
                opset_version=opset,
                dynamo=True,
                optimize=False,
                verbose=False,
            )
    finally:
        quiet.setLevel(level)
    assert program is not None
    with _uncollected():
        onnxscript.optimizer.optimize_ir(
            program.model, input_size_limit=_SMALL, output_size_limit=_SMALL, should_fold=_may_fold
        )
    model: onnx.ModelProto = program.model_proto
    _drop_traces(model)
    return model


def _write(model: onnx.ModelProto, path: Path, k: int | None = None) -> None:
    _store_half(model)
    onnx.checker.check_model(model)
    data = model.SerializeToString()
    with output_errors(path):
        path.write_bytes(data if k is None else with_k(data, k))


def _note_k(model: onnx.ModelProto) -> None:
    """Note in the file which constants grow with K, so that `onnx_file.with_k` can change it.

    The graph is traced with `_EXAMPLE_K`, a number that nothing else in it is a multiple of.
    """
    places = {}
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.INT64:
            continue
        values = numpy_helper.to_array(tensor)
        times, rest = np.divmod(values, _EXAMPLE_K)
        if values.size <= _SMALL and ((rest == 0) & (times > 0)).any():
            places[tensor.name] = np.where(rest == 0, times, 0).ravel().tolist()
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))  # as raw bytes
    for output in model.graph.output:
        for dim in output.type.tensor_type.shape.dim:
            if dim.dim_value == _EXAMPLE_K:
                dim.dim_param = "K"
    model.metadata_props.add(key=K_PLACES, value=json.dumps(places))


@contextmanager
def _uncollected() -> Iterator[None]:
    """Disable garbage collection: millions of objects live to the end, and each run visits them all."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _may_fold(node: onnxscript.ir.Node) -> bool | None:
    """Return False for nodes that read a weight, whose name would be lost, else None for the default."""
    weights = [value.name for value in node.inputs if value is not None and value.name]
    return False if any(name.startswith(WEIGHTS) for name in weights) else None


def _name_maps(model: onnx.ModelProto, network: Network) -> None:
    """Name the tensors between network and decode, where a backend may change the precision."""
    name_of = {id(parameter): f"{WEIGHTS}{name}" for name, parameter in network.named_parameters()}
    maker = {output: node for node in model.graph.node for output in node.output}
    reader = {value: node for node in model.graph.node for value in node.input}
    first = name_of[id(network.head(HEAT_MAPS[0]).first[0].weight)]
    last = {name_of[id(network.head(head).last[0].weight)]: head for head in HEAT_MAPS}
    names = {}
    for node in model.graph.node:
        if node.op_type != "Conv":
            continue
        if first in node.input:
            feature = node.input[0]
            while maker[feature].op_type == "Slice":  # a branch that reads some of the channels
                feature = maker[feature].input[0]
            names[feature] = FEATURE_MAP
        for weight in last.keys() & set(node.input):
            heat = node.output[0]
            if len(network.head(last[weight]).last) > 1:  # branches side by side
                heat = reader[heat].output[0]
            names[heat] = last[weight]
    for node in model.graph.node:
        for values in (node.input, node.output):
            values[:] = [names.get(value, value) for value in values]


def _drop_traces(model: onnx.ModelProto) -> None:
    """Remove source lines and notes of the exporter: they name files of the exporting machine."""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        del value.metadata_props[:]
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]


def _store_half(model: onnx.ModelProto) -> None:
    """Store float32 weights as fp16 with a Cast wherever that changes no value."""
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        full = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            half = full.astype(np.float16)
        if full.size < _SMALL or not np.array_equal(half.astype(np.float32), full):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, name + HALF_SUFFIX))
        casts.append(
            helper.make_node("Cast", [name + HALF_SUFFIX], [name], f"{name}.cast", to=TensorProto.FLOAT)
        )
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
