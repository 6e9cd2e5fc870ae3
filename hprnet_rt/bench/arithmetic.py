"""What a network costs by arithmetic: bytes and operations of each layer, and the time that a GPU allows.

Nothing is run: layers are asked for their shapes with tensors that have no numbers (torch's device "meta").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from hprnet_rt.model import create_model
from hprnet_rt.model.deform import DeformConv
from hprnet_rt.spec import HeadSpec

__all__ = ["CHIPS", "Chip", "Layer", "chip_of", "frame_us", "layers_of", "table_of"]

_TAPS: Final = 9
_CORNERS: Final = 4
_HALF: Final = 2  # bytes
_FLOAT: Final = 4
_MOVES: Final = 27  # offsets and masks of nine taps


@dataclass(frozen=True)
class Chip:
    """The limits of a GPU, by its maker's data sheet.

    Attributes:
        name: as its driver reports it, or the beginning of that.
        memory_tbs: terabytes a second of its memory.
        cache_tbs: terabytes a second that all cores together read from their first caches.
        half_tflops: 10^12 operations a second of products in half precision, summed in float32, not sparse.
    """

    name: str
    memory_tbs: float
    cache_tbs: float
    half_tflops: float


CHIPS: Final = (
    Chip("NVIDIA H200", 4.8, 33.0, 989.0),
    Chip("NVIDIA H100", 3.35, 33.0, 989.0),
    Chip("NVIDIA A100", 1.94, 19.5, 312.0),
)
"""The SXM forms. First caches give 128 bytes a cycle and core (132 cores at 1.98 GHz, 108 at 1.41 GHz)."""
_LAUNCH_US: Final = 2.0
_SHARE: Final = 0.4
"""What we expect: a kernel of a graph takes 2 microseconds at least, and reaches 0.4 of a limit. Both are
rules of thumb, not measured here."""


@dataclass(frozen=True)
class Layer:
    """One layer of a network.

    Attributes:
        name: in the network.
        kind: "convolution", "deformable" or "up-sampling".
        shape: of the result, (N, C, H, W).
        inputs: channels of the input.
        kernels: that we run for it.
        operations: multiplications and additions.
        memory_bytes: read and written once, weights too.
        cache_bytes: read by a deformable layer's sampling.
    """

    name: str
    kind: str
    shape: tuple[int, int, int, int]
    inputs: int
    kernels: int
    operations: int
    memory_bytes: int
    cache_bytes: int = 0

    def limit_us(self, chip: Chip) -> float:
        """Return the microseconds that the chip's limits allow at best."""
        return max(
            self.operations / chip.half_tflops / 1e6,
            self.memory_bytes / chip.memory_tbs / 1e6,
            self.cache_bytes / chip.cache_tbs / 1e6,
        )

    def expected_us(self, chip: Chip) -> float:
        """Return the microseconds that we expect."""
        return max(self.limit_us(chip) / _SHARE, self.kernels * _LAUNCH_US)


def chip_of(name: str) -> Chip | None:
    """Return the limits of a GPU, None where they are not known here."""
    return next((chip for chip in CHIPS if name.startswith(chip.name)), None)


def layers_of(name: str, side: int, batch: int = 1, k: int = 32) -> list[Layer]:
    """Return the layers of a network in the order in which they run, with heads where they are read.

    Args:
        name: of the network.
        side: of its square input.
        batch: images at a time.
        k: people per image.
    """
    found: list[Layer] = []
    with torch.device("meta"):
        network = create_model(name).eval()
    deformable = {layer.conv_offset_mask for layer in network.modules() if isinstance(layer, DeformConv)}

    def note(layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if layer not in deformable:
            found.append(_layer(names[layer], layer, inputs[0], output))

    names = {layer: each for each, layer in network.named_modules()}
    kinds = (nn.Conv2d, nn.ConvTranspose2d, DeformConv)
    for layer in network.modules():
        if isinstance(layer, kinds):
            layer.register_forward_hook(note)
    with torch.inference_mode():
        x = torch.empty(batch, 3, side, side, device="meta")
        feature = network.trunk_map(x)
        for head in network.spec.heads:
            if head.dense:
                network.head(head.name)(feature)
    read = [head for head in network.spec.heads if not head.dense]
    return found + [_read_head(network, head, feature, k) for head in read]


def _layer(name: str, layer: Any, x: Tensor, output: Tensor) -> Layer:
    batch, outputs, height, width = output.shape
    inputs, pixels = x.shape[1], batch * height * width
    if isinstance(layer, DeformConv):
        operations = (
            2 * pixels * _TAPS * inputs * (outputs + 2 * _MOVES)
        )  # the weights of offsets in two halves
        moved = _HALF * (2 * x.numel() + output.numel()) + 2 * _FLOAT * pixels * _MOVES
        moved += _HALF * _TAPS * inputs * (outputs + 2 * _MOVES)
        cached = _HALF * pixels * _TAPS * inputs * (_CORNERS + 1)
        return Layer(
            name, "deformable", (batch, outputs, height, width), inputs, 2, operations, moved, cached
        )
    weights = layer.weight
    moved = _HALF * (x.numel() + output.numel() + weights.numel())
    if isinstance(layer, nn.ConvTranspose2d):
        operations = 2 * output.numel() * _CORNERS
        moved += _HALF * output.numel()  # the maps that are added
        return Layer(name, "up-sampling", (batch, outputs, height, width), inputs, 1, operations, moved)
    operations = 2 * output.numel() * weights[0].numel()
    return Layer(name, "convolution", (batch, outputs, height, width), inputs, 1, operations, moved)


def _read_head(network: Any, head: HeadSpec, feature: Tensor, k: int) -> Layer:
    """Return a head that is read at cells only: at people, joints' peaks, or parts' peaks and centres."""
    batch, channels = feature.shape[:2]
    joints = network.spec.num_joints
    cells = batch * k * (joints if head.name == "hp_offset" else 1)
    if any(head.name in (part.head, part.size_head) for part in network.spec.parts):
        cells = 2 * batch * k * sum(head.name in (part.head, part.size_head) for part in network.spec.parts)
    weights = sum(
        layer.weight.numel() for layer in network.head(head.name).modules() if hasattr(layer, "weight")
    )
    moved = _HALF * (cells * _TAPS * channels + weights) + _FLOAT * cells * head.channels
    shape = (batch, head.channels, cells // batch, 1)
    return Layer(head.name, "read head", shape, channels, 3, 2 * cells * weights, moved)


def frame_us(layers: Sequence[Layer], chip: Chip) -> tuple[float, float]:
    """Return the microseconds of all layers, one after the other: by the chip's limits, and as expected."""
    return sum(each.limit_us(chip) for each in layers), sum(each.expected_us(chip) for each in layers)


def table_of(layers: Sequence[Layer], chip: Chip) -> str:
    """Return a table in Markdown, with equal layers in one row."""
    rows: dict[tuple[Any, ...], list[Layer]] = {}
    for each in layers:
        rows.setdefault((each.kind, each.inputs, each.shape, each.operations), []).append(each)
    lines = ["| layers | kind | channels | map | GFLOP each | MB each | limit, us | expected, us |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for same in rows.values():
        one, many = same[0], len(same)
        outputs, height, width = one.shape[1:]
        what = f"{many} | {one.kind} | {one.inputs} to {outputs} | {height} x {width}"
        cost = f"{one.operations / 1e9:.3f} | {one.memory_bytes / 1e6:.2f}"
        lines.append(
            f"| {what} | {cost} | {one.limit_us(chip) * many:.1f} | {one.expected_us(chip) * many:.1f} |"
        )
    limit, expected = frame_us(layers, chip)
    cost = f"{sum(each.operations for each in layers) / 1e9:.2f} | "
    cost += f"{sum(each.memory_bytes for each in layers) / 1e6:.1f}"
    lines.append(f"| {len(layers)} | all | | | {cost} | {limit:.0f} | {expected:.0f} |")
    return "\n".join(lines)
