"""Exported ONNX graphs rewritten for compilers, with the same meaning (extra: build; no torch)."""

from hprnet_rt.graph.deform import expand_deform_conv
from hprnet_rt.graph.fold import fold_batch_norms, fold_constants
from hprnet_rt.graph.network import GRAPH_PRECISIONS, engine_graph, fix_input
from hprnet_rt.graph.precision import assign_precision
from hprnet_rt.graph.rounding import half_tensors, rounded

__all__ = [
    "GRAPH_PRECISIONS",
    "assign_precision",
    "engine_graph",
    "expand_deform_conv",
    "fix_input",
    "fold_batch_norms",
    "fold_constants",
    "half_tensors",
    "rounded",
]
