"""Associative embedding on HRNet and HigherHRNet, named as in MMPose 0.x (torch).

Each point has a heat-map and a tag: points of one person have like tags.

Sources: Newell et al., "Associative Embedding" (2017); Cheng et al., "HigherHRNet" (2020).
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from hprnet_rt.model.hrnet import BasicBlock, HRNet, HRNetShape
from hprnet_rt.model.rivals.network import RivalNetwork
from hprnet_rt.spec import ModelSpec

__all__ = ["AssociativeNet", "HigherAssociativeNet"]

_W32: Final = HRNetShape(32)
_BLOCKS: Final = 4
_BGR_TO_RGB: Final = (2, 1, 0)


class _PlainHead(nn.Module):
    """Heat-maps and tags at the resolution of the features."""

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.final_layer = nn.Conv2d(features, outputs, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return (self.final_layer(x),)


class _HigherHead(nn.Module):
    """The same, and heat-maps at twice the resolution, for which the features are enlarged."""

    def __init__(self, features: int, outputs: int, fine: int) -> None:
        super().__init__()
        self.final_layers = nn.ModuleList([nn.Conv2d(features, outputs, 1), nn.Conv2d(features, fine, 1)])
        enlarge = nn.Sequential(
            nn.ConvTranspose2d(features + outputs, features, 4, 2, 1, bias=False),
            nn.BatchNorm2d(features),
            nn.ReLU(inplace=True),
        )
        blocks = [nn.Sequential(BasicBlock(features)) for _ in range(_BLOCKS)]
        self.deconv_layers = nn.ModuleList([nn.Sequential(enlarge, *blocks)])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        coarse = self.final_layers[0](x)
        fine = self.deconv_layers[0](torch.cat((x, coarse), dim=1))
        return coarse, self.final_layers[1](fine)


class AssociativeNet(RivalNetwork):
    """HRNet with heat-maps and tags of all points.

    Args:
        spec: the heads.
        shape: of the HRNet; W32 unless a test wants less.
    """

    def __init__(self, spec: ModelSpec, shape: HRNetShape = _W32) -> None:
        super().__init__(spec)
        self.backbone = HRNet(shape)
        self.keypoint_head: nn.Module = self._head(shape.width)

    def _head(self, features: int) -> nn.Module:
        return _PlainHead(features, self.spec.heads[0].channels)

    def maps(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the maps of each head; see `RivalNetwork`."""
        found: tuple[Tensor, ...] = self.keypoint_head(self.backbone(x[:, _BGR_TO_RGB])[0])
        return found

    def last_layers(self) -> list[nn.Module]:
        """Return the layers that give the maps."""
        assert isinstance(self.keypoint_head, _PlainHead)
        return [self.keypoint_head.final_layer]


class HigherAssociativeNet(AssociativeNet):
    """HigherHRNet with heat-maps and tags at stride 4, and heat-maps at stride 2."""

    def _head(self, features: int) -> nn.Module:
        return _HigherHead(features, *(head.channels for head in self.spec.heads))

    def last_layers(self) -> list[nn.Module]:
        """Return the layers that give the maps."""
        assert isinstance(self.keypoint_head, _HigherHead)
        return list(self.keypoint_head.final_layers)
