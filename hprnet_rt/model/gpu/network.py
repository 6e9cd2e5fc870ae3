"""A network rewritten for NVIDIA GPUs: layers joined to the activations and sums that follow them.

The trunk is traced (torch.fx), and what is found in it is replaced: convolution and ReLU; convolution, sum
and ReLU; deformable convolution and ReLU; up-sampling and sum. Heat-maps go from their last layer to their
peaks without being sorted. Everything else stays as it is.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Final, cast

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from hprnet_rt.model.deform import DeformConv
from hprnet_rt.model.gpu.layers import ExactConv, FinishedConv, FusedDeform, Raised, can_raise, can_split
from hprnet_rt.model.gpu.peaks import peaks_of
from hprnet_rt.model.heads import ConvHead, Head, StackHead
from hprnet_rt.model.network import Network

__all__ = ["FusedNetwork", "joined"]

_ADDS: Final = (operator.add, torch.add)
_RELU6: Final = 6.0


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, DeformConv) or super().is_leaf_module(m, module_qualified_name)


class _Trunk(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network.trunk_map(x)


class FusedNetwork(Network):
    """A network with the results of `network`, which shares its weights.

    Args:
        network: for inference: norms folded, in half precision where it may be, on its device.
        half: the type of its maps; float32 in Triton's interpreter only.
    """

    def __init__(self, network: Network, half: torch.dtype) -> None:
        super().__init__(network.spec)
        self.network, self.refiner, self.dtype = network, network.refiner, half
        self.trunk = joined(_Trunk(network), half)
        self.dense_heads = nn.ModuleDict()
        for head in network.spec.heads:
            branch = network.head(head.name)
            if head.dense and isinstance(branch, ConvHead | StackHead) and can_split(branch.last[0], half):
                first = FinishedConv(branch.first[0], adds=False, least=0.0)
                self.dense_heads[head.name] = nn.ModuleList((first, ExactConv(branch.last[0], half)))

    def trunk_map(self, x: Tensor) -> Tensor:
        """See `Network`."""
        result: Tensor = self.trunk(x)
        return result

    def normalized(self, images: Tensor) -> Tensor:
        """See `Network`; in the type of the first layer, from the bytes in two kernels."""
        mean, inverse = self._scale(images.device)
        shifted = images.permute(0, 3, 1, 2) - mean.view(1, 3, 1, 1)
        made = torch.empty_like(shifted, dtype=self.dtype)
        return torch.mul(shifted, inverse.view(1, 3, 1, 1), out=made)

    def head(self, name: str) -> Head:
        """See `Network`."""
        return self.network.head(name)

    def peaks(self, name: str, feature: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return probability and cell of a head's peaks, (N, C, k) each, and its logits (N, C, H, W)."""
        batch, _, height, width = feature.shape
        if name in self.dense_heads:
            first, last = cast(nn.ModuleList, self.dense_heads[name])
            heat = last(first(feature))[0].view(batch, height, width, -1)
            bias = cast(ExactConv, last).bias
        else:
            heat = self.head(name)(feature).float().permute(0, 2, 3, 1).contiguous()
            bias = heat.new_zeros(heat.shape[3])
        logits = (heat[..., : len(bias)] + bias).permute(0, 3, 1, 2)
        return *peaks_of(heat, bias, k), logits


def joined(trunk: nn.Module, half: torch.dtype) -> fx.GraphModule:
    """Return a module, which torch.fx can trace, whose layers do what follows them.

    Args:
        trunk: norms folded, in half precision where it may be.
        half: the type of its maps.
    """
    graph = _Tracer().trace(trunk)
    modules = dict(trunk.named_modules())
    for node in list(graph.nodes):
        if isinstance(_layer(node, modules), nn.Identity):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
    made = fx.GraphModule(trunk, graph)
    for number, node in enumerate(list(graph.nodes)):
        found = _joined(node, modules, half)
        if found is None:
            continue
        layer, inputs, replaced = found
        made.add_submodule(f"joined_{number}", layer)
        with graph.inserting_before(replaced[-1]):
            new = graph.call_module(f"joined_{number}", tuple(inputs))
        replaced[-1].replace_all_uses_with(new)
        for each in reversed(replaced):
            graph.erase_node(each)
    made.delete_all_unused_submodules()
    made.recompile()
    return made


def _joined(
    node: fx.Node, modules: Mapping[str, nn.Module], half: torch.dtype
) -> tuple[nn.Module, list[fx.Node], list[fx.Node]] | None:
    """Return a layer for a node and what follows it, its inputs, and the nodes that it is in place of."""
    layer = _layer(node, modules)
    source = cast(fx.Node, node.args[0]) if node.args else node
    if isinstance(layer, DeformConv):
        if layer.weight.dtype != half or not can_split(layer.conv_offset_mask, half):
            return None  # half precision cannot hold it
        relu = _follower(node, lambda after: _bounds(after, modules) == (0.0, None))
        return FusedDeform(layer, half, relu=bool(relu)), [source], [node, *relu]
    if isinstance(layer, nn.ConvTranspose2d):
        added = _follower(node, _is_sum)
        if not added or not can_raise(layer):
            return None
        return Raised(layer), [source, _other(added[0], node)], [node, *added]
    if not isinstance(layer, nn.Conv2d):
        return None
    added = _follower(node, _is_sum)  # the layer moves to where the sum is, when the other summand is there
    bound = _follower(added[0] if added else node, lambda after: _bounds(after, modules) is not None)
    if not added and not bound:
        return None
    least, most = (_bounds(bound[0], modules) if bound else None) or (None, None)
    others = [_other(added[0], node)] if added else []
    done = FinishedConv(layer, adds=bool(added), least=least, most=most)
    return done, [source, *others], [node, *added, *bound]


def _layer(node: fx.Node, modules: Mapping[str, nn.Module]) -> nn.Module | None:
    """Return the layer that a node calls, None where it calls a function."""
    return modules.get(str(node.target)) if node.op == "call_module" else None


def _follower(node: fx.Node, fits: Callable[[fx.Node], bool]) -> list[fx.Node]:
    """Return the only reader of a node's result if it fits, else nothing."""
    readers = list(node.users)
    return readers if len(readers) == 1 and fits(readers[0]) else []


def _is_sum(node: fx.Node) -> bool:
    return node.op == "call_function" and node.target in _ADDS and len(node.all_input_nodes) == 2


def _other(added: fx.Node, node: fx.Node) -> fx.Node:
    """Return what is added to a node."""
    (other,) = (each for each in added.all_input_nodes if each is not node)
    return other


def _bounds(node: fx.Node, modules: Mapping[str, nn.Module]) -> tuple[float, float | None] | None:
    """Return the bounds that an activation keeps its results to, None where a node is no such."""
    layer = _layer(node, modules)
    if isinstance(layer, nn.ReLU6):
        return 0.0, _RELU6
    if isinstance(layer, nn.ReLU) or (node.op == "call_function" and node.target in (F.relu, torch.relu)):
        return 0.0, None
    return None
