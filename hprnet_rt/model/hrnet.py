"""HRNet: parallel branches of several resolutions that repeatedly exchange their features (torch).

Modules are named as in MMPose's checkpoints.

Source: Sun et al., "Deep High-Resolution Representation Learning for Human Pose Estimation" (2019), and Wang
et al., "Deep High-Resolution Representation Learning for Visual Recognition" (2020) for the V2 head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["BasicBlock", "Bottleneck", "HRNet", "HRNetShape", "HeatMapNet", "conv_bn"]

_EXPANSION: Final = 4


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
        outputs = _EXPANSION * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        same = inputs == outputs and stride == 1
        self.downsample = nn.Identity() if same else conv_bn(inputs, outputs, 1, stride, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, 4 * width, H / stride, W / stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class BasicBlock(nn.Module):
    """A basic block: 3x3, 3x3 with a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, width, H, W) to the same shape."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + x)


class _Exchange(nn.Module):
    """One exchange module: all branches run, then each resolution gets the sum of all branches."""

    def __init__(self, widths: tuple[int, ...], outputs: int, blocks: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*[BasicBlock(width) for _ in range(blocks)]) for width in widths
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_path(widths, source, target) for source in range(len(widths)))
            for target in range(outputs)
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        fused = []
        for target, paths in enumerate(self.fuse_layers):
            total = maps[target]
            assert isinstance(paths, nn.ModuleList)
            for source, path in enumerate(paths):
                if source == target:
                    continue
                other = path(maps[source])
                if source > target:
                    other = F.interpolate(other, scale_factor=float(1 << source - target))
                total = total + other
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


@dataclass(frozen=True)
class HRNetShape:
    """Sizes of an HRNet; the defaults, but for the width, are those of every published one.

    Attributes:
        width: channels of the highest resolution; 32 for HRNet-W32.
        stem: channels of the stem and of the first stage's bottlenecks.
        blocks: of each branch, and of the first stage.
        modules: exchange modules of the stages with two, three and four branches.
    """

    width: int
    stem: int = 64
    blocks: int = 4
    modules: tuple[int, int, int] = (1, 4, 3)


class HRNet(nn.Module):
    """The four stages, after a stem or without one.

    Args:
        shape: widths and numbers of blocks.
        inputs: channels of the input, which has the highest resolution; None for an image, which a stem of
            two strided convolutions takes to a fourth of its sides.
        every: the last module returns all resolutions, and not the highest one only.
    """

    def __init__(self, shape: HRNetShape, inputs: int | None = None, *, every: bool = False) -> None:
        super().__init__()
        stem, wide = shape.stem, _EXPANSION * shape.stem
        widths = tuple(shape.width << n for n in range(4))
        self._has_stem = inputs is None
        if self._has_stem:
            self.conv1 = nn.Conv2d(3, stem, 3, 2, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(stem)
            self.conv2 = nn.Conv2d(stem, stem, 3, 2, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(stem)
        first = inputs or stem
        self.layer1 = nn.Sequential(
            *[Bottleneck(first if n == 0 else wide, stem) for n in range(shape.blocks)]
        )
        for stage, modules in enumerate(shape.modules, 2):
            self.add_module(f"transition{stage - 1}", _transition(stage, widths, wide))
            branches = widths[:stage]
            last = [not every and stage == 4 and n == modules - 1 for n in range(modules)]
            made = [_Exchange(branches, 1 if one else stage, shape.blocks) for one in last]
            self.add_module(f"stage{stage}", nn.Sequential(*made))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the maps of the resolutions, the highest one first; see the arguments."""
        if self._has_stem:
            x = F.relu(self.bn1(self.conv1(x)))
            x = F.relu(self.bn2(self.conv2(x)))
        maps = [self.layer1(x)]
        for stage in (2, 3, 4):
            enter = self.get_submodule(f"transition{stage - 1}")
            assert isinstance(enter, nn.ModuleList)
            # a new branch is made of the lowest resolution
            maps = [layer(maps[min(n, len(maps) - 1)]) for n, layer in enumerate(enter)]
            maps = self.get_submodule(f"stage{stage}")(maps)
        return maps


def _transition(stage: int, widths: tuple[int, ...], wide: int) -> nn.ModuleList:
    """Return the layers before a stage: one for each of its branches."""
    if stage == 2:
        return nn.ModuleList([conv_bn(wide, widths[0]), nn.Sequential(conv_bn(wide, widths[1], 3, 2))])
    lower = nn.Sequential(conv_bn(widths[stage - 2], widths[stage - 1], 3, 2))
    return nn.ModuleList([*(nn.Identity() for _ in range(stage - 1)), lower])


class HeatMapNet(nn.Module):
    """An HRNet and a head for heat-maps.

    Args:
        shape, inputs: of the HRNet.
        outputs: number of heat-maps.
        every: the head reads all resolutions (HRNetV2) instead of the highest one only.
    """

    def __init__(self, shape: HRNetShape, inputs: int | None, outputs: int, *, every: bool = False) -> None:
        super().__init__()
        read = shape.width * (1 + 2 + 4 + 8 if every else 1)
        self.backbone = HRNet(shape, inputs, every=every)
        hidden = [conv_bn(read, read, 1)] if every else []
        self.head = nn.Sequential(*hidden, nn.Conv2d(read, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H, W), or an image to (N, outputs, H / 4, W / 4)."""
        highest, *lower = self.backbone(x)
        size = highest.shape[2:]
        larger = [F.interpolate(smaller, size=size, mode="bilinear") for smaller in lower]
        result: Tensor = self.head(torch.cat([highest, *larger], dim=1))
        return result
