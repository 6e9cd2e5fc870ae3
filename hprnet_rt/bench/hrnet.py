"""HRNet: parallel branches of several resolutions that repeatedly exchange their features (torch).

Source: Sun et al., "Deep High-Resolution Representation Learning for Human Pose Estimation" (2019), and Wang
et al., "Deep High-Resolution Representation Learning for Visual Recognition" (2020) for the V2 head.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Bottleneck", "HRNet", "conv_bn"]

_STEM: Final = 64
_BLOCKS: Final = 4
_MODULES: Final = (1, 4, 3)  # of the stages with two, three and four branches


def conv_bn(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, *, relu: bool = True
) -> nn.Sequential:
    """Return a convolution and a batch norm, and with `relu` a ReLU."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    if relu:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class Bottleneck(nn.Module):
    """A bottleneck block: 1x1, 3x3, 1x1 with a shortcut (He et al., 2016)."""

    def __init__(self, inputs: int, width: int, stride: int = 1) -> None:
        super().__init__()
        outputs = 4 * width
        self.body = nn.Sequential(
            conv_bn(inputs, width, 1),
            conv_bn(width, width, 3, stride),
            conv_bn(width, outputs, 1, relu=False),
        )
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else conv_bn(inputs, outputs, 1, stride, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, 4 * width, H / stride, W / stride)."""
        return F.relu(self.body(x) + self.shortcut(x))


class _Basic(nn.Module):
    """A basic block: 3x3, 3x3 with a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv_bn(width, width), conv_bn(width, width, relu=False))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + x)


class _Exchange(nn.Module):
    """One exchange module: all branches run, then each resolution gets the sum of all branches."""

    def __init__(self, widths: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*[_Basic(w) for _ in range(_BLOCKS)]) for w in widths)
        self.paths = nn.ModuleList(
            nn.ModuleList(_path(widths, source, target) for source in range(len(widths)))
            for target in range(outputs)
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        fused = []
        for target, paths in enumerate(self.paths):
            size = maps[target].shape[2:]
            total = maps[target]
            assert isinstance(paths, nn.ModuleList)
            for source, path in enumerate(paths):
                if source == target:
                    continue
                other = path(maps[source])
                total = total + (F.interpolate(other, size=size) if source > target else other)
            fused.append(F.relu(total))
        return fused


def _path(widths: tuple[int, ...], source: int, target: int) -> nn.Module:
    """Return the layers from one resolution to another: strided ones to go down, a 1x1 before upsampling."""
    if source == target:
        return nn.Identity()
    if source > target:
        return conv_bn(widths[source], widths[target], 1, relu=False)
    steps = [conv_bn(widths[source], widths[source], 3, 2) for _ in range(target - source - 1)]
    return nn.Sequential(*steps, conv_bn(widths[source], widths[target], 3, 2, relu=False))


class HRNet(nn.Module):
    """The four stages after the stem, and a head.

    Args:
        width: channels of the highest resolution; 32 for HRNet-W32.
        inputs: channels of the input, which has the highest resolution.
        outputs: number of heat-maps.
        every: the head reads all resolutions (HRNetV2) instead of the highest one only.
    """

    def __init__(self, width: int, inputs: int, outputs: int, *, every: bool = False) -> None:
        super().__init__()
        widths = tuple(width << n for n in range(4))
        self.first = nn.Sequential(
            *[Bottleneck(inputs if n == 0 else 4 * _STEM, _STEM) for n in range(_BLOCKS)]
        )
        self.enter = nn.ModuleList([conv_bn(4 * _STEM, widths[0]), conv_bn(4 * _STEM, widths[1], 3, 2)])
        self.deeper = nn.ModuleList(conv_bn(widths[n], widths[n + 1], 3, 2) for n in (1, 2))
        self.stages = nn.ModuleList()
        for stage, modules in enumerate(_MODULES):
            branches = widths[: stage + 2]
            last = [not every and stage == len(_MODULES) - 1 and n == modules - 1 for n in range(modules)]
            self.stages.append(nn.ModuleList(_Exchange(branches, 1 if one else stage + 2) for one in last))
        read = sum(widths) if every else width
        hidden = [conv_bn(read, read, 1)] if every else []
        self.head = nn.Sequential(*hidden, nn.Conv2d(read, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H, W)."""
        x = self.first(x)
        maps = [enter(x) for enter in self.enter]
        for n, stage in enumerate(self.stages):
            if n:
                maps.append(self.deeper[n - 1](maps[-1]))
            assert isinstance(stage, nn.ModuleList)
            for module in stage:
                maps = module(maps)
        size = maps[0].shape[2:]
        larger = [F.interpolate(smaller, size=size, mode="bilinear") for smaller in maps[1:]]
        result: Tensor = self.head(torch.cat([maps[0], *larger], dim=1))
        return result
