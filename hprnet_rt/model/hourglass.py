"""HPRNet on Hourglass-104, with the parameter names of the released weights.

Newell et al., "Stacked Hourglass Networks" (2016), in CornerNet's form (Law and Deng, 2018): two stacks of
residual blocks, down-sampled by strides, up-sampled by repetition. Each stack has its own heads; the last
one's are read. The feature map has 256 channels at stride 4.
"""

from __future__ import annotations

import functools
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from hprnet_rt.model.heads import StackHead
from hprnet_rt.model.network import Network, Stack, start_rare
from hprnet_rt.spec import HPRNET_HOURGLASS104, ModelSpec

__all__ = ["HprnetHourglass104"]

_STACKS = 2
_CHANNELS = (256, 256, 384, 384, 384, 512)  # at strides 4, 8, ... 128
_BLOCKS = (2, 2, 2, 2, 2, 4)  # residual blocks at each of them
_STEM = 128


class _Convolution(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, kernel: int, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


def _projection(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class _Residual(nn.Module):
    """Two 3x3 convolutions and a shortcut, projected where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        self.skip = nn.Identity() if same else _projection(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.skip(x))


def _residuals(count: int, inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Return a number of blocks; the first one changes the shape."""
    first = _Residual(inputs, outputs, stride)
    return nn.Sequential(first, *(_Residual(outputs, outputs) for _ in range(count - 1)))


class _Hourglass(nn.Module):
    """One scale and, nested in it, all coarser ones.

    Args:
        level: 0 for the outermost scale.
    """

    def __init__(self, level: int = 0) -> None:
        super().__init__()
        width, coarser = _CHANNELS[level : level + 2]
        blocks, coarser_blocks = _BLOCKS[level : level + 2]
        innermost = level + 2 == len(_CHANNELS)
        self.up1 = _residuals(blocks, width, width)
        self.low1 = _residuals(blocks, width, coarser, stride=2)
        self.low2 = _residuals(coarser_blocks, coarser, coarser) if innermost else _Hourglass(level + 1)
        self.low3 = nn.Sequential(
            *(_Residual(coarser, coarser) for _ in range(blocks - 1)), _Residual(coarser, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        low = self.low3(self.low2(self.low1(x)))
        return cast(Tensor, self.up1(x)) + F.interpolate(low, scale_factor=2.0, mode="nearest")


class HprnetHourglass104(Network):
    """Hourglass-104 with the heads of `spec`; `HPRNET_HOURGLASS104` unless stated."""

    def __init__(self, spec: ModelSpec = HPRNET_HOURGLASS104) -> None:
        super().__init__(spec)
        width = _CHANNELS[0]
        between = range(_STACKS - 1)
        self.pre = nn.Sequential(_Convolution(7, 3, _STEM, stride=2), _Residual(_STEM, width, stride=2))
        self.kps = nn.ModuleList(_Hourglass() for _ in range(_STACKS))
        self.cnvs = nn.ModuleList(_Convolution(3, width, width) for _ in range(_STACKS))
        self.inters = nn.ModuleList(_Residual(width, width) for _ in between)
        self.inters_ = nn.ModuleList(_projection(width, width) for _ in between)
        self.cnvs_ = nn.ModuleList(_projection(width, width) for _ in between)
        for head in spec.heads:
            branches = [StackHead(width, width, head.channels) for _ in range(_STACKS)]
            if head.dense:
                for branch in branches:
                    start_rare(branch)
            self.add_module(head.name, nn.ModuleList(branches))
        self._add_refiner()

    def head(self, name: str) -> StackHead:
        """Return the branch of a head in the last stack."""
        return self._stack_head(_STACKS - 1, name)

    def _stack_head(self, stack: int, name: str) -> StackHead:
        return cast(StackHead, cast(nn.ModuleList, self.get_submodule(name))[stack])

    def stacks(self, images: Tensor) -> list[Stack]:
        """Return each of `trunk_maps` with its own branches, the first stack first."""
        maps = self.trunk_maps(self.normalized(images))
        return [(feature, functools.partial(self._stack_head, i)) for i, feature in enumerate(maps)]

    def trunk_maps(self, x: Tensor) -> list[Tensor]:
        """Return each stack's feature map: (N, 3, H, W) -> (N, 256, H / 4, W / 4).

        H and W are multiples of 128.
        """
        x = self.pre(x)
        maps: list[Tensor] = []
        for i in range(_STACKS):
            maps.append(self.cnvs[i](self.kps[i](x)))
            if i + 1 < _STACKS:
                x = self.inters[i](F.relu(self.inters_[i](x) + self.cnvs_[i](maps[i])))
        return maps

    def trunk_map(self, x: Tensor) -> Tensor:
        """Return the last of `trunk_maps`."""
        return self.trunk_maps(x)[-1]
