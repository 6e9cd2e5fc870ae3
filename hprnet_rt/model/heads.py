"""Branches that can be computed everywhere, or at a few cells only.

Seven of HPRNet's nine heads are read at K person or part centres. Taking the 3x3 patches of the feature
map there and running the branch on them gives the same numbers as the dense branch, for a small part of
its cost.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["ConvHead", "Head", "SeparableHead", "StackHead", "gather_patches"]


class Head(nn.Module, ABC):
    """A branch with a receptive field of 3x3 cells: `first`, ReLU, `last`.

    Called with a feature map (N, features, H, W) it gives (N, channels, H, W).
    """

    @property
    @abstractmethod
    def first(self) -> nn.Conv2d:
        """The 3x3 convolution that reads the feature map."""

    @property
    @abstractmethod
    def last(self) -> nn.Conv2d:
        """The 1x1 convolution that gives the output."""

    def hidden_at(self, patches: Tensor) -> Tensor:
        """(..., 9, features) patches -> (..., hidden), what `last` reads at the patches' centres."""
        weight = self.first.weight.permute(0, 2, 3, 1).flatten(1)  # (hidden, 9 * features)
        return F.relu(F.linear(patches.flatten(-2), weight, self.first.bias))

    def at(self, patches: Tensor) -> Tensor:
        """(..., 9, features) patches -> (..., channels): the branch at the patches' centres."""
        return F.linear(self.hidden_at(patches), self.last.weight.flatten(1), self.last.bias)

    def pair_at(self, patches: Tensor) -> Tensor:
        """(N, J, K, 9, features) patches -> (N, J, K, 2): channels 2j and 2j + 1 for joint j."""
        joints = patches.shape[1]
        weight = self.last.weight.flatten(1).reshape(joints, 2, -1).transpose(1, 2)
        bias = self.last.bias
        assert bias is not None
        return torch.matmul(self.hidden_at(patches), weight) + bias.reshape(joints, 1, 2)


class ConvHead(Head, nn.Sequential):
    """3x3, ReLU, 1x1: the paper's form, with the released names `0` and `2`."""

    def __init__(self, features: int, hidden: int, channels: int) -> None:
        nn.Sequential.__init__(
            self, nn.Conv2d(features, hidden, 3, padding=1), nn.ReLU(), nn.Conv2d(hidden, channels, 1)
        )

    @property
    def first(self) -> nn.Conv2d:
        return cast(nn.Conv2d, self[0])

    @property
    def last(self) -> nn.Conv2d:
        return cast(nn.Conv2d, self[2])


class _Rectified(nn.Module):
    """A 3x3 convolution with bias, then ReLU, named `conv`."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x))


class StackHead(Head, nn.Sequential):
    """The same for one stack of an hourglass, with the released names `0.conv` and `1`."""

    def __init__(self, features: int, hidden: int, channels: int) -> None:
        nn.Sequential.__init__(self, _Rectified(features, hidden), nn.Conv2d(hidden, channels, 1))

    @property
    def first(self) -> nn.Conv2d:
        return cast(_Rectified, self[0]).conv

    @property
    def last(self) -> nn.Conv2d:
        return cast(nn.Conv2d, self[1])


class SeparableHead(Head):
    """Depthwise 3x3, pointwise, ReLU, pointwise: MoveNet's form of a CenterNet branch.

    Args:
        features: channels of the feature map.
        hidden: channels between the two pointwise convolutions.
        channels: output channels.
    """

    def __init__(self, features: int, hidden: int, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(features, features, 3, padding=1, groups=features, bias=False)
        self.pointwise = nn.Conv2d(features, hidden, 1)
        self.out = nn.Conv2d(hidden, channels, 1)

    @property
    def first(self) -> nn.Conv2d:
        return self.depthwise

    @property
    def last(self) -> nn.Conv2d:
        return self.out

    def forward(self, feature: Tensor) -> Tensor:
        """(N, features, H, W) -> (N, channels, H, W)."""
        hidden: Tensor = F.relu(self.pointwise(self.depthwise(feature)))
        result: Tensor = self.out(hidden)
        return result

    def hidden_at(self, patches: Tensor) -> Tensor:
        taps = self.depthwise.weight.flatten(1).t()  # (9, features)
        mixed = (patches * taps).sum(-2)
        return F.relu(F.linear(mixed, self.pointwise.weight.flatten(1), self.pointwise.bias))


def gather_patches(feature: Tensor, cells: Tensor) -> Tensor:
    """3x3 neighbourhoods of a feature map, zero outside it.

    Args:
        feature: (N, C, H, W).
        cells: (N, P) int64, row-major cell numbers y * W + x.

    Returns:
        (N, P, 9, C), taps in row-major order.
    """
    batch, channels, height, width = feature.shape
    rows = F.pad(feature, (1, 1, 1, 1)).permute(0, 2, 3, 1).reshape(-1, channels)
    y = torch.div(cells, width, rounding_mode="floor")
    corner = y * (width + 2) + (cells - y * width)  # top-left tap, in the padded map
    corner = corner + torch.arange(batch, device=cells.device).unsqueeze(1) * ((height + 2) * (width + 2))
    steps = torch.arange(3, device=cells.device)
    taps = (steps.unsqueeze(1) * (width + 2) + steps.unsqueeze(0)).reshape(-1)
    index = (corner.unsqueeze(-1) + taps).reshape(-1)
    return rows[index].reshape(batch, cells.shape[1], 9, channels)
