"""hprnet-mobile: HPRNet's nine heads on MobileNetV2 (width 1.5) with a small feature pyramid.

The trunk is the one of Google's MoveNet MultiPose, whose weights it takes (Apache-2.0). Batch norms are
folded into the convolutions, as published. Input is BGR in [0, 255]; the feature map has 24 channels at
stride 4.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from hprnet_rt.heads import HPRNET_MOBILE, ModelSpec
from hprnet_rt.model.heads import SeparableHead
from hprnet_rt.model.network import Network, start_rare

__all__ = ["FEATURES", "HprnetMobile"]

FEATURES = 24
_HIDDEN = 96
_EXPANSION = 6
_STEM = 48
# output channels and stride of the 17 inverted residual blocks
_BLOCKS = (
    *((24, 1), (40, 2), (40, 1), (48, 2), (48, 1), (48, 1), (96, 2), (96, 1), (96, 1), (96, 1)),
    *((144, 1), (144, 1), (144, 1), (240, 2), (240, 1), (240, 1), (480, 1)),
)
_LAST = 1280
_TAPS = {2: 24, 5: 32, 9: 64}  # block -> lateral channels; the last convolution has 64
_TOP = 64


class _SamePad(nn.Module):
    """TensorFlow's SAME padding of a stride-2 3x3 on even sizes: right and bottom only."""

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, 1, 0, 1))


def _conv3(inputs: int, outputs: int, stride: int, groups: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, 3, stride, padding=1 if stride == 1 else 0, groups=groups)
    return [conv] if stride == 1 else [_SamePad(), conv]


class _InvertedResidual(nn.Module):
    """Expand, depthwise, project; added to the input where the shape allows."""

    def __init__(self, inputs: int, outputs: int, stride: int, expand: bool) -> None:
        super().__init__()
        middle = inputs * _EXPANSION if expand else inputs
        layers: list[nn.Module] = []
        if expand:
            layers += [nn.Conv2d(inputs, middle, 1), nn.ReLU6()]
        layers += [*_conv3(middle, middle, stride, groups=middle), nn.ReLU6()]
        layers.append(nn.Conv2d(middle, outputs, 1))
        self.layers = nn.Sequential(*layers)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.adds else y


class _Smooth(nn.Module):
    """Depthwise 3x3 then pointwise with ReLU, after a top-down addition."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.pointwise(self.depthwise(x)))


class _Trunk(nn.Module):
    """(N, 3, H, W) in [-1, 1] -> (N, 24, H / 4, W / 4); H and W are multiples of 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_conv3(3, _STEM, 2), nn.ReLU6())
        inputs, blocks = _STEM, []
        for i, (outputs, stride) in enumerate(_BLOCKS):
            blocks.append(_InvertedResidual(inputs, outputs, stride, expand=i > 0))
            inputs = outputs
        self.blocks = nn.ModuleList(blocks)
        self.last = nn.Sequential(nn.Conv2d(inputs, _LAST, 1), nn.ReLU6())
        self.top = nn.Conv2d(_LAST, _TOP, 1)
        taps = sorted(_TAPS, reverse=True)
        self.laterals = nn.ModuleList(nn.Conv2d(_BLOCKS[i][0], _TAPS[i], 1) for i in taps)
        widths = [_TAPS[i] for i in taps] + [FEATURES]
        self.smooth = nn.ModuleList(_Smooth(a, b) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        taps = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in _TAPS:
                taps.append(x)
        x = self.top(self.last(x))
        for lateral, smooth, tap in zip(self.laterals, self.smooth, reversed(taps), strict=True):
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = smooth(x + lateral(tap))
        return x


class HprnetMobile(Network):
    """The network; its branches are in `heads`, by name.

    Args:
        spec: which joints and heads; `HPRNET_MOBILE` unless stated.
    """

    def __init__(self, spec: ModelSpec = HPRNET_MOBILE) -> None:
        super().__init__(spec)
        self.trunk = _Trunk()
        self.heads = nn.ModuleDict(
            {head.name: SeparableHead(FEATURES, _HIDDEN, head.channels) for head in spec.heads}
        )
        for head in spec.heads:
            if head.dense:
                start_rare(self.head(head.name))

    def head(self, name: str) -> SeparableHead:
        """The branch called `name`."""
        return cast(SeparableHead, self.heads[name])

    def trunk_map(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 24, H / 4, W / 4); H and W are multiples of 32."""
        result: Tensor = self.trunk(x)
        return result
