"""Branches that can be computed everywhere, or at a few cells only.

Seven of HPRNet's nine heads are read at K person or part centres only. Running a branch on the 3x3 patches
of the feature map at these cells gives the same numbers as the dense branch, at a small part of its cost.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["ConvHead", "Head", "Patches", "PlainHead", "SeparableHead", "SplitHead", "StackHead"]

_ALL = slice(None)


class Patches:
    """The 3x3 neighbourhoods of a feature map, zero outside it.

    Args:
        features: (N, H, W, C).
    """

    def __init__(self, features: Tensor) -> None:
        self._features = features
        self._rows: dict[tuple[int | None, int | None], Tensor] = {}

    def _rows_of(self, channels: slice) -> Tensor:
        """Return some channels of the padded map, (N * (H + 2) * (W + 2), C), a row for each cell."""
        key = channels.start, channels.stop
        if key not in self._rows:
            features = self._features if key == (None, None) else self._features[..., channels]
            padded = F.pad(features, (0, 0, 1, 1, 1, 1))
            self._rows[key] = padded.reshape(-1, features.shape[3])
        return self._rows[key]

    def around(self, cells: Tensor, channels: slice = _ALL) -> Tensor:
        """Return the inputs that a 3x3 convolution reads at these cells.

        Args:
            cells: (N, ...) int64, row-major cell numbers y * W + x.
            channels: of the feature map, without a step.

        Returns:
            (N, ..., 9, channels), taps in row-major order.
        """
        batch, height, width, _ = self._features.shape
        flat = cells.reshape(batch, -1)
        y = torch.div(flat, width, rounding_mode="floor")
        corner = y * (width + 2) + (flat - y * width)  # top-left tap, in the padded map
        first = torch.arange(batch, device=cells.device).unsqueeze(1) * ((height + 2) * (width + 2))
        steps = torch.arange(3, device=cells.device)
        taps = (steps.unsqueeze(1) * (width + 2) + steps.unsqueeze(0)).reshape(-1)
        index = ((corner + first).unsqueeze(-1) + taps).reshape(-1)
        return self._rows_of(channels)[index].reshape(*cells.shape, 9, -1)


class Head(nn.Module, ABC):
    """A branch with a receptive field of 3x3 cells.

    Called with a feature map (N, features, H, W) it gives (N, channels, H, W).
    """

    @property
    @abstractmethod
    def first(self) -> tuple[nn.Conv2d, ...]:
        """The 3x3 convolutions that read the feature map."""

    @property
    @abstractmethod
    def last(self) -> tuple[nn.Conv2d, ...]:
        """The 1x1 convolutions that give the output, in the order of its channels."""

    @abstractmethod
    def at(self, patches: Patches, cells: Tensor) -> Tensor:
        """Compute the branch at cells (N, ...): (N, ..., channels)."""

    @abstractmethod
    def pairs_at(self, patches: Patches, cells: Tensor) -> Tensor:
        """Compute channels 2j and 2j + 1 at the cells (N, J, K) of joint j: (N, J, K, 2)."""


class PlainHead(Head):
    """One convolution 3x3, ReLU, one 1x1."""

    def _hidden(self, around: Tensor) -> Tensor:
        """Compute from patches (..., 9, features) what `last` reads, (..., hidden)."""
        (first,) = self.first
        weight = first.weight.permute(0, 2, 3, 1).flatten(1)  # (hidden, 9 * features)
        return F.relu(F.linear(around.flatten(-2), weight, first.bias))

    def at(self, patches: Patches, cells: Tensor, channels: slice = _ALL) -> Tensor:
        """See `Head`; the branch reads only `channels` of the feature map."""
        (last,) = self.last
        hidden = self._hidden(patches.around(cells, channels)).to(last.weight.dtype)
        return F.linear(hidden, last.weight.flatten(1), last.bias)

    def pairs_at(self, patches: Patches, cells: Tensor, channels: slice = _ALL) -> Tensor:
        """See `Head`; the branch reads only `channels` of the feature map."""
        (last,) = self.last
        joints = cells.shape[1]
        weight = last.weight.flatten(1).reshape(joints, 2, -1).transpose(1, 2)
        assert last.bias is not None
        hidden = self._hidden(patches.around(cells, channels)).to(last.weight.dtype)
        return torch.matmul(hidden, weight) + last.bias.reshape(joints, 1, 2)


class ConvHead(PlainHead, nn.Sequential):
    """3x3, ReLU, 1x1: the paper's form, with the released names `0` and `2`."""

    def __init__(self, features: int, hidden: int, channels: int) -> None:
        nn.Sequential.__init__(
            self, nn.Conv2d(features, hidden, 3, padding=1), nn.ReLU(), nn.Conv2d(hidden, channels, 1)
        )

    @property
    def first(self) -> tuple[nn.Conv2d]:
        return (cast(nn.Conv2d, self[0]),)

    @property
    def last(self) -> tuple[nn.Conv2d]:
        return (cast(nn.Conv2d, self[2]),)


class _Rectified(nn.Module):
    """A 3x3 convolution with bias, then ReLU, named `conv`."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x))


class StackHead(PlainHead, nn.Sequential):
    """3x3, ReLU, 1x1 for one stack of an hourglass, with the released names `0.conv` and `1`."""

    def __init__(self, features: int, hidden: int, channels: int) -> None:
        nn.Sequential.__init__(self, _Rectified(features, hidden), nn.Conv2d(hidden, channels, 1))

    @property
    def first(self) -> tuple[nn.Conv2d]:
        return (cast(_Rectified, self[0]).conv,)

    @property
    def last(self) -> tuple[nn.Conv2d]:
        return (cast(nn.Conv2d, self[1]),)


class SeparableHead(PlainHead):
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
    def first(self) -> tuple[nn.Conv2d]:
        return (self.depthwise,)

    @property
    def last(self) -> tuple[nn.Conv2d]:
        return (self.out,)

    def forward(self, feature: Tensor) -> Tensor:
        """Compute the branch everywhere: (N, features, H, W) -> (N, channels, H, W)."""
        hidden: Tensor = F.relu(self.pointwise(self.depthwise(feature)))
        result: Tensor = self.out(hidden)
        return result

    def _hidden(self, around: Tensor) -> Tensor:
        taps = self.depthwise.weight.flatten(1).t()  # (9, features)
        mixed = (around * taps).sum(-2)
        return F.relu(F.linear(mixed, self.pointwise.weight.flatten(1), self.pointwise.bias))


class SplitHead(Head):
    """Several branches on channels of their own of the feature map; their outputs are concatenated.

    Args:
        branches: by name, in the order of the output's channels: a branch, and before it the channels that it
            reads, as the first one and the one after the last.
    """

    def __init__(self, branches: Mapping[str, tuple[tuple[int, int], PlainHead]]) -> None:
        super().__init__()
        self.reads = {name: slice(*channels) for name, (channels, _) in branches.items()}
        self.branches = nn.ModuleDict({name: branch for name, (_, branch) in branches.items()})

    def _branches(self) -> Iterator[tuple[slice, PlainHead]]:
        for name, channels in self.reads.items():
            yield channels, cast(PlainHead, self.branches[name])

    @property
    def first(self) -> tuple[nn.Conv2d, ...]:
        return tuple(conv for _, branch in self._branches() for conv in branch.first)

    @property
    def last(self) -> tuple[nn.Conv2d, ...]:
        return tuple(conv for _, branch in self._branches() for conv in branch.last)

    def forward(self, feature: Tensor) -> Tensor:
        """Compute the branches everywhere: (N, features, H, W) -> (N, channels, H, W)."""
        return torch.cat([branch(feature[:, channels]) for channels, branch in self._branches()], dim=1)

    def at(self, patches: Patches, cells: Tensor) -> Tensor:
        return torch.cat(
            [branch.at(patches, cells, channels) for channels, branch in self._branches()], dim=-1
        )

    def pairs_at(self, patches: Patches, cells: Tensor) -> Tensor:
        counts = [branch.last[0].out_channels // 2 for _, branch in self._branches()]
        joints = zip(self._branches(), torch.split(cells, counts, dim=1), strict=True)
        return torch.cat(
            [branch.pairs_at(patches, own, channels) for (channels, branch), own in joints], dim=1
        )
