"""DeformConv nodes as standard operations, for compilers that lack DeformConv (TensorRT-RTX).

The form is that of `hprnet_rt.model.deform`: one GridSample of nine maps stacked in height, then a 1x1
convolution. The exported file is rewritten, so that one model file serves all libraries.
"""

from __future__ import annotations

from typing import Final

import onnx
from onnx import helper, inliner, parser

from hprnet_rt.errors import ModelError

__all__ = ["expand_deform_conv"]

_DOMAIN: Final = "hprnet_rt"  # of functions that are inlined before the graph is returned
_TAPS: Final = 9
# Positions count cells; the grid of GridSample is -1 and 1 at the outer edges of the outer cells.
_FUNCTION: Final = """
<domain: "{domain}", opset_import: ["" : {opset}]>
{name} (x, weight, offset, bias, mask) => (y)
{{
  height = Shape <start = 2, end = 3> (x)
  width = Shape <start = 3, end = 4> (x)
  zero = Constant <value_int = 0> ()
  one = Constant <value_int = 1> ()
  last = Constant <value_ints = [-1]> ()
  first = Constant <value_ints = [1]> ()
  same = Constant <value_ints = [0]> ()
  pair = Constant <value_ints = [2]> ()
  height_scalar = Squeeze (height)
  width_scalar = Squeeze (width)
  height_float = Cast <to = 1> (height)
  width_float = Cast <to = 1> (width)
  unit = Constant <value_float = 1.0> ()
  twice = Constant <value_float = 2.0> ()

  row_count = Range (zero, height_scalar, one)
  row_float = Cast <to = 1> (row_count)
  row_shape = Constant <value_ints = [1, 1, -1, 1]> ()
  rows = Reshape (row_float, row_shape)
  column_count = Range (zero, width_scalar, one)
  column_float = Cast <to = 1> (column_count)
  column_shape = Constant <value_ints = [1, 1, 1, -1]> ()
  columns = Reshape (column_float, column_shape)
  tap_shape = Constant <value_ints = [1, 9, 1, 1]> ()
  down = Constant <value_floats = [-1.0, -1.0, -1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]> ()
  across = Constant <value_floats = [-1.0, 0.0, 1.0, -1.0, 0.0, 1.0, -1.0, 0.0, 1.0]> ()
  tap_rows = Reshape (down, tap_shape)
  tap_columns = Reshape (across, tap_shape)

  pairs_head = Constant <value_ints = [0, 9, 2]> ()
  pairs_shape = Concat <axis = 0> (pairs_head, height, width)
  pairs = Reshape (offset, pairs_shape)
  dy_pair, dx_pair = Split <axis = 2, num_outputs = 2> (pairs)
  dy = Squeeze (dy_pair, pair)
  dx = Squeeze (dx_pair, pair)
  y_tap = Add (tap_rows, rows)
  y_at = Add (dy, y_tap)
  x_tap = Add (tap_columns, columns)
  x_at = Add (dx, x_tap)
  y_twice = Mul (y_at, twice)
  y_edge = Add (y_twice, unit)
  y_share = Div (y_edge, height_float)
  y_grid = Sub (y_share, unit)
  x_twice = Mul (x_at, twice)
  x_edge = Add (x_twice, unit)
  x_share = Div (x_edge, width_float)
  x_grid = Sub (x_share, unit)
  y_last = Unsqueeze (y_grid, last)
  x_last = Unsqueeze (x_grid, last)
  grid_pairs = Concat <axis = -1> (x_last, y_last)
  grid_shape = Concat <axis = 0> (same, last, width, pair)
  grid = Reshape (grid_pairs, grid_shape)

  stacked = GridSample <mode = "bilinear", padding_mode = "zeros", align_corners = 0> (x, grid)
  taps_head = Constant <value_ints = [0, {inputs}, 9]> ()
  taps_shape = Concat <axis = 0> (taps_head, height, width)
  taps = Reshape (stacked, taps_shape)
  mask_taps = Unsqueeze (mask, first)
  weighed = Mul (taps, mask_taps)
  flat_head = Constant <value_ints = [0, {flat}]> ()
  flat_shape = Concat <axis = 0> (flat_head, height, width)
  flat = Reshape (weighed, flat_shape)
  point_shape = Constant <value_ints = [{outputs}, {flat}, 1, 1]> ()
  point = Reshape (weight, point_shape)
  y = Conv (flat, point, bias)
}}
"""


def expand_deform_conv(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with every DeformConv node replaced; the model itself where it has none.

    Args:
        model: as `export_onnx` writes it: kernels of 3x3, stride 1, one group, offsets and masks.

    Raises:
        ModelError: a DeformConv node is of another kind.
    """
    nodes = [node for node in model.graph.node if node.op_type == "DeformConv"]
    if not nodes:
        return model
    opset = next(opset.version for opset in model.opset_import if opset.domain == "")
    weights = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    expanded = onnx.ModelProto()
    expanded.CopyFrom(model)
    known: set[str] = set()
    for node in expanded.graph.node:
        if node.op_type != "DeformConv":
            continue
        dims = list(weights.get(node.input[1], ()))
        settings = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        usual = {"pads": [1, 1, 1, 1], "strides": [1, 1], "kernel_shape": [3, 3]}
        if settings != usual or dims[2:] != [3, 3] or len(node.input) != 5:
            raise ModelError(f"the deformable convolution {node.name} is not 3x3 with stride 1; export again")
        name = f"DeformConv{dims[0]}x{dims[1]}"
        if name not in known:
            known.add(name)
            text = _FUNCTION.format(
                domain=_DOMAIN,
                opset=opset,
                name=name,
                outputs=dims[0],
                inputs=dims[1],
                flat=_TAPS * dims[1],
            )
            expanded.functions.append(parser.parse_function(text))
        node.op_type, node.domain = name, _DOMAIN
        del node.attribute[:]
    expanded.opset_import.append(helper.make_opsetid(_DOMAIN, 1))
    inlined = inliner.inline_local_functions(expanded)
    kept = [opset for opset in inlined.opset_import if opset.domain != _DOMAIN]
    del inlined.opset_import[:]
    inlined.opset_import.extend(kept)
    return inlined
