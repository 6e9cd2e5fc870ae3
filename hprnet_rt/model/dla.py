"""HPRNet on DLA-34, with the parameter names of the released weights.

Yu et al., "Deep Layer Aggregation" (2018), with the up-sampling path of CenterNet (Zhou et al., 2019): every
aggregation node is a deformable convolution, every up-sampling a learnt one per channel. The feature map
has 64 channels at stride 4.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hprnet_rt.model.deform import DeformConv
from hprnet_rt.model.heads import ConvHead
from hprnet_rt.model.network import Network, start_rare
from hprnet_rt.spec import HPRNET_DLA34, ModelSpec

__all__ = ["HprnetDla34"]

_CHANNELS = (16, 32, 64, 128, 256, 512)  # of levels 0 to 5; level i has stride 2 ** i
_DEPTHS = (1, 2, 2, 1)  # of the trees at levels 2 to 5
_FIRST, _LAST = 2, 5  # levels that are aggregated into the feature map
_HIDDEN = 256
_CLASSES = 1000  # of the classifier in the released files, which no output uses


def _conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class _Block(nn.Module):
    """Two 3x3 convolutions and a shortcut, which the tree around it supplies."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor, shortcut: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + shortcut)


class _Root(nn.Module):
    """A 1x1 convolution over all maps that a tree has computed."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, parts: list[Tensor]) -> Tensor:
        return F.relu(self.bn(self.conv(torch.cat(parts, dim=1))))


class _Tree(nn.Module):
    """A tree of blocks; a deep one passes the maps it has gathered to the root of its second half.

    Args:
        depth: 1 for two blocks and a root.
        inputs, outputs: channels.
        stride: of the first block.
        gathered: channels passed from above.
        keeps_input: the (down-sampled) input is one of the gathered maps.
    """

    def __init__(
        self, depth: int, inputs: int, outputs: int, stride: int, gathered: int = 0, keeps_input: bool = False
    ) -> None:
        super().__init__()
        gathered += inputs if keeps_input else 0
        self.keeps_input = keeps_input
        self.depth = depth
        self.tree1: nn.Module
        self.tree2: nn.Module
        if depth == 1:
            self.tree1 = _Block(inputs, outputs, stride)
            self.tree2 = _Block(outputs, outputs, 1)
            self.root = _Root(2 * outputs + gathered, outputs)
        else:
            self.tree1 = _Tree(depth - 1, inputs, outputs, stride)
            self.tree2 = _Tree(depth - 1, outputs, outputs, 1, gathered + outputs)
        self.pool = nn.MaxPool2d(stride) if stride > 1 else nn.Identity()
        # a deep tree's projection is in the released files, but no output uses it
        self.project = None
        if inputs != outputs:
            self.project = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor, gathered: tuple[Tensor, ...] = ()) -> Tensor:
        pooled = self.pool(x)
        if self.keeps_input:
            gathered = (*gathered, pooled)
        if self.depth > 1:
            first = self.tree1(x)
            return cast(Tensor, self.tree2(first, (*gathered, first)))
        first = self.tree1(x, pooled if self.project is None else self.project(pooled))
        second = self.tree2(first, first)
        return cast(Tensor, self.root([second, first, *gathered]))


class _Base(nn.Module):
    """The trunk before aggregation: (N, 3, H, W) -> the maps of levels 0 to 5."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = len(_CHANNELS)
        self.base_layer = _conv_norm(3, _CHANNELS[0], 7)
        self.level0 = _conv_norm(_CHANNELS[0], _CHANNELS[0], 3)
        self.level1 = _conv_norm(_CHANNELS[0], _CHANNELS[1], 3, stride=2)
        for level, depth in enumerate(_DEPTHS, start=2):
            inputs, outputs = _CHANNELS[level - 1 : level + 1]
            tree = _Tree(depth, inputs, outputs, stride=2, keeps_input=level > 2)
            self.add_module(f"level{level}", tree)
        self.fc = nn.Conv2d(_CHANNELS[-1], _CLASSES, 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.base_layer(x)
        maps = []
        for level in range(self.levels):
            x = self.get_submodule(f"level{level}")(x)
            maps.append(x)
        return maps


class _Node(nn.Module):
    """Deformable convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.actf = nn.Sequential(nn.BatchNorm2d(outputs), nn.ReLU())
        self.conv = DeformConv(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.actf(self.conv(x))
        return result


def _bilinear(up: nn.ConvTranspose2d) -> None:
    """Initialise a per-channel up-sampling with bilinear interpolation."""
    size = up.kernel_size[0]
    factor = (size + 1) // 2
    middle = (2 * factor - 1 - factor % 2) / 2.0
    slope = 1.0 - (torch.arange(size, dtype=torch.float32) - middle).abs() / factor
    with torch.no_grad():
        up.weight.copy_(slope.view(-1, 1) * slope.view(1, -1))


class _Aggregation(nn.Module):
    """Up-samples maps of several scales to the first one's, each added to its finer neighbour.

    Args:
        outputs: channels of the result.
        inputs: channels of each map, finest first.
        factors: up-sampling of each map; the first one's is 1.
    """

    def __init__(self, outputs: int, inputs: tuple[int, ...], factors: tuple[int, ...]) -> None:
        super().__init__()
        self.steps = len(inputs) - 1
        for i in range(1, len(inputs)):
            up = nn.ConvTranspose2d(
                outputs,
                outputs,
                kernel_size=2 * factors[i],
                stride=factors[i],
                padding=factors[i] // 2,
                groups=outputs,
                bias=False,
            )
            _bilinear(up)
            self.add_module(f"proj_{i}", _Node(inputs[i], outputs))
            self.add_module(f"up_{i}", up)
            self.add_module(f"node_{i}", _Node(outputs, outputs))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Return one map at the finest scale for each map (finest first); the last one aggregates all."""
        out = [maps[0]]
        for i in range(1, self.steps + 1):
            raised = self.get_submodule(f"up_{i}")(self.get_submodule(f"proj_{i}")(maps[i]))
            out.append(self.get_submodule(f"node_{i}")(raised + out[-1]))
        return out


class _DlaUp(nn.Module):
    """Aggregates from the coarsest level down, one level more each time."""

    def __init__(self) -> None:
        super().__init__()
        levels = _CHANNELS[_FIRST : _LAST + 1]
        self.count = len(levels) - 1
        for i in range(self.count):
            finest = len(levels) - 2 - i
            coarser = (levels[finest + 1],) * (i + 1) if i else (levels[-1],)
            inputs, factors = (levels[finest], *coarser), (1, *[2] * (i + 1))
            self.add_module(f"ida_{i}", _Aggregation(levels[finest], inputs, factors))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Return the aggregate at each level of the levels' maps, both finest first."""
        maps = list(maps)
        out = [maps[-1]]
        for i in range(self.count):
            finest = len(maps) - 2 - i
            maps[finest:] = self.get_submodule(f"ida_{i}")(maps[finest:])
            out.insert(0, maps[-1])
        return out


class HprnetDla34(Network):
    """DLA-34 with the heads of `spec`; `HPRNET_DLA34` unless stated."""

    unread = ("base.fc.", "base.level3.project.", "base.level4.project.")

    def __init__(self, spec: ModelSpec = HPRNET_DLA34) -> None:
        super().__init__(spec)
        self.base = _Base()
        self.dla_up = _DlaUp()
        levels = _CHANNELS[_FIRST:_LAST]
        self.ida_up = _Aggregation(levels[0], levels, tuple(2**i for i in range(len(levels))))
        for head in spec.heads:
            branch = ConvHead(levels[0], _HIDDEN, head.channels)
            for conv in (*branch.first, *branch.last):
                nn.init.zeros_(cast(Tensor, conv.bias))
            if head.dense:
                start_rare(branch)
            self.add_module(head.name, branch)
        self._add_refiner()

    def head(self, name: str) -> ConvHead:
        """Return the branch of a head."""
        return cast(ConvHead, self.get_submodule(name))

    def trunk_map(self, x: Tensor) -> Tensor:
        """Return the feature map: (N, 3, H, W) -> (N, 64, H / 4, W / 4); H and W are multiples of 32."""
        maps = self.dla_up(self.base(x)[_FIRST:])
        result: Tensor = self.ida_up(maps[: self.ida_up.steps + 1])[-1]
        return result
