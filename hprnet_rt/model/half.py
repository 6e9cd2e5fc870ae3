"""Preparation of a network for inference in half precision: batch norms folded, all positions in float32.

It does to a PyTorch network what `hprnet_rt.graph` does to a graph: the layers from the first convolution to
the input of each branch's last layer are in half precision; normalisation, the last layers, sampling
positions and the whole decode are in float32.
"""

from __future__ import annotations

from typing import Any, Final, cast

import torch
from torch import Tensor, nn

from hprnet_rt.model.deform import DeformConv
from hprnet_rt.model.network import Network
from hprnet_rt.model.rivals import RivalNetwork

__all__ = ["fold_batch_norms", "use_half"]

_LAYERS: Final = (nn.Conv2d, nn.ConvTranspose2d, nn.PReLU, DeformConv)
_ROUNDINGS: Final = 2.0


def fold_batch_norms(network: Network | RivalNetwork) -> None:
    """Fold each batch norm into the convolution before it, in place, without changing the results.

    Args:
        network: in evaluation mode, on the CPU, in float32. It is run on a small picture to find the
            convolution before each norm.
    """
    made: dict[int, tuple[Tensor, nn.Module]] = {}  # the tensors are kept so that no id is used twice
    pairs: list[tuple[nn.Module, nn.BatchNorm2d]] = []

    def note(module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        made[id(output)] = (output, module)

    def pair(module: nn.Module, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
        if id(inputs[0]) in made:
            pairs.append((made[id(inputs[0])][1], cast(nn.BatchNorm2d, module)))

    hooks = [
        module.register_forward_hook(pair if isinstance(module, nn.BatchNorm2d) else note)
        for module in network.modules()
        if isinstance(module, nn.BatchNorm2d | nn.Conv2d | nn.ConvTranspose2d | DeformConv)
    ]
    side = network.spec.multiple_px
    with torch.no_grad():
        picture = torch.zeros(1, side, side, 3, dtype=torch.uint8)
        network.feature(picture) if isinstance(network, Network) else network(picture)
        for hook in hooks:
            hook.remove()
        for layer, norm in pairs:
            _fold(layer, norm)
    folded = {id(norm) for _, norm in pairs}
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if id(child) in folded:
                setattr(module, name, nn.Identity())


def _fold(layer: Any, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None and norm.running_var is not None
    factor = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    bias = torch.zeros_like(norm.bias) if layer.bias is None else layer.bias
    shifted = (bias.double() - norm.running_mean.double()) * factor + norm.bias.double()
    outputs = (1, -1, 1, 1) if isinstance(layer, nn.ConvTranspose2d) else (-1, 1, 1, 1)
    scaled = layer.weight.double() * factor.view(outputs)
    layer.weight = nn.Parameter(scaled.float(), requires_grad=False)
    layer.bias = nn.Parameter(shifted.float(), requires_grad=False)


def use_half(network: Network | RivalNetwork, dtype: torch.dtype) -> None:
    """Convert a network to half precision, in place.

    A layer with weights that half precision cannot represent (too large, or subnormal) stays float32, and in
    bfloat16 those that the network names in `needs_float32`.

    Args:
        network: in evaluation mode, without batch norms (`fold_batch_norms`).
        dtype: torch.float16 or torch.bfloat16.
    """
    last = _last_layers(network)
    inside = {layer.conv_offset_mask for layer in network.modules() if isinstance(layer, DeformConv)}
    exact = network.needs_float32 if dtype is torch.bfloat16 else ()
    for name, layer in network.named_modules():
        if not isinstance(layer, _LAYERS):
            continue
        # those of the convolution inside a deformable one, which gives positions, are not its own
        own = list(layer.parameters(recurse=False))
        may_be_half = layer not in last | inside and not name.startswith(exact)
        if may_be_half and all(_representable(weights, dtype) for weights in own):
            for weights in own:
                weights.data = weights.data.to(dtype)
        layer.register_forward_pre_hook(_cast_inputs)


def _last_layers(network: Network | RivalNetwork) -> set[nn.Module]:
    """Return the layers whose outputs are read outside the network."""
    if isinstance(network, RivalNetwork):
        return set(network.last_layers())
    last: set[nn.Module] = {conv for head in network.spec.heads for conv in network.head(head.name).last}
    if network.refiner is not None and network.refiner.refinement.local_maps:
        last.update(network.refiner.local.last)
    return last


def _cast_inputs(layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    weight = cast(Tensor, layer.weight)
    return tuple(tensor.to(weight.dtype) for tensor in inputs)


def _representable(weights: Tensor, dtype: torch.dtype) -> bool:
    """Return whether rounding changes no weight by more than two rounding errors of the largest one."""
    lost = (weights.to(dtype).to(torch.float32) - weights).abs().max()
    allowed = _ROUNDINGS * torch.finfo(dtype).eps / 2 * weights.abs().max()
    return bool(lost <= allowed)  # false for infinities, whose difference is NaN
