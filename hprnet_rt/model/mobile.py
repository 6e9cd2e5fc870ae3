"""hprnet-mobile: HPRNet's nine heads on MobileNetV2 (width 1.5) with two small feature pyramids.

Trunk, one pyramid and the body's branches are those of Google's MoveNet MultiPose, with whose weights
training starts (Apache-2.0). Batch norms are folded into the convolutions, as published. Feet, face and hands
have their own pyramid on the same trunk: MoveNet's has 24 channels, too few for 110 points. Input is BGR in
[0, 255].
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hprnet_rt.model.heads import ConvHead, PlainHead, SeparableHead, SplitHead
from hprnet_rt.model.network import Network, start_rare
from hprnet_rt.spec import HPRNET_MOBILE, HeadSpec, ModelSpec

__all__ = ["BODY_FEATURES", "PART_FEATURES", "HprnetMobile"]

BODY_FEATURES, PART_FEATURES = 24, 64
_HIDDEN = 96  # of separable branches
_WIDE = 256  # of those with many outputs, which are computed at few cells
_WIDE_HEADS = ("hps", "face_lms", "hand_lms")
_EXPANSION = 6
_STEM = 48
# output channels and stride of the 17 inverted residual blocks
_BLOCKS = (
    (24, 1),
    (40, 2),
    (40, 1),
    (48, 2),
    (48, 1),
    (48, 1),
    (96, 2),
    (96, 1),
    (96, 1),
    (96, 1),
    (144, 1),
    (144, 1),
    (144, 1),
    (240, 2),
    (240, 1),
    (240, 1),
    (480, 1),
)
_LAST = 1280
_TAPS = {2: 24, 5: 32, 9: 64}  # block -> lateral channels; the last convolution has 64
_DOWN = tuple(sorted(_TAPS, reverse=True))
_TOP = 64
_PART_TAPS = (16, 12, 9, 5, 2)  # blocks at strides 32, 16, 16, 8, 4
_KEPT = {*_TAPS, *_PART_TAPS}
_PART_WIDTHS = (128, 96, 64)  # at strides 16, 8, 4
_BODY_CHANNELS = {"hm": 1, "wh": 2, "reg": 2, "hps": 34, "hm_hp": 17, "hp_offset": 34}  # MoveNet's


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
            layers += [nn.Conv2d(inputs, middle, 1), nn.ReLU6(inplace=True)]
        layers += [*_conv3(middle, middle, stride, groups=middle), nn.ReLU6(inplace=True)]
        layers.append(nn.Conv2d(middle, outputs, 1))
        self.layers = nn.Sequential(*layers)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.adds else y


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class _Smooth(nn.Module):
    """Depthwise 3x3 then pointwise with ReLU, after a top-down addition."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.pointwise(self.depthwise(x)))


class _Trunk(nn.Module):
    """The trunk: (N, 3, H, W) in [-1, 1] -> the body's feature map (N, 24, H / 4, W / 4), the parts' maps.

    The parts' maps are the outputs of the blocks `_PART_TAPS`, deepest first. H and W are multiples of 32.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_conv3(3, _STEM, 2), nn.ReLU6(inplace=True))
        inputs, blocks = _STEM, []
        for i, (outputs, stride) in enumerate(_BLOCKS):
            blocks.append(_InvertedResidual(inputs, outputs, stride, expand=i > 0))
            inputs = outputs
        self.blocks = nn.ModuleList(blocks)
        self.last = nn.Sequential(nn.Conv2d(inputs, _LAST, 1), nn.ReLU6(inplace=True))
        self.top = nn.Conv2d(_LAST, _TOP, 1)
        self.laterals = nn.ModuleList(nn.Conv2d(_BLOCKS[i][0], _TAPS[i], 1) for i in _DOWN)
        widths = [_TAPS[i] for i in _DOWN] + [BODY_FEATURES]
        self.smooth = nn.ModuleList(_Smooth(a, b) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        x = self.stem(x)
        maps = {}
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in _KEPT:
                maps[i] = x
        x = self.top(self.last(x))
        for lateral, smooth, tap in zip(self.laterals, self.smooth, _DOWN, strict=True):
            x = smooth(_doubled(x) + lateral(maps[tap]))
        return x, [maps[i] for i in _PART_TAPS]


class _PartPyramid(nn.Module):
    """A pyramid for feet, face and hands: wider than MoveNet's, with a larger receptive field.

    At strides 16 and 8 its convolutions are dense, at stride 4 depthwise and pointwise.
    """

    def __init__(self) -> None:
        super().__init__()
        deep, middle, fine = _PART_WIDTHS
        top, *taps = (_BLOCKS[i][0] for i in _PART_TAPS)
        widths = (deep, deep, middle, fine)
        self.top = nn.Conv2d(top, deep, 1)
        self.laterals = nn.ModuleList(
            nn.Conv2d(tap, width, 1) for tap, width in zip(taps, widths, strict=True)
        )
        self.narrow = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(_PART_WIDTHS))
        self.last = _Smooth(fine, PART_FEATURES)

    def forward(self, taps: Sequence[Tensor]) -> Tensor:
        """Return the parts' feature map (N, 64, H / 4, W / 4) of the trunk's maps, deepest first."""
        across = [lateral(tap) for lateral, tap in zip(self.laterals, taps[1:], strict=True)]
        x = F.relu(_doubled(self.top(taps[0])) + across[0])
        x = F.relu(self.narrow[0](x + across[1]))
        x = F.relu(self.narrow[1](_doubled(x) + across[2]))
        result: Tensor = self.last(_doubled(x) + across[3])
        return result


class HprnetMobile(Network):
    """The network; its branches are in `heads`, by name, split into `body` and `parts`.

    Args:
        spec: which joints and heads; `HPRNET_MOBILE` unless stated.
    """

    # with these rounded to bfloat16 one sure joint of a hundred goes to another peak (docs/gpu.md)
    needs_float32 = ("trunk.smooth.",)
    body_channels = slice(0, BODY_FEATURES)

    def __init__(self, spec: ModelSpec = HPRNET_MOBILE) -> None:
        super().__init__(spec)
        self.trunk = _Trunk()
        self.parts = _PartPyramid()
        self.heads = nn.ModuleDict({head.name: _split(head) for head in spec.heads})
        for head in spec.heads:
            if head.dense:
                start_rare(self.head(head.name))
        self._add_refiner()

    def head(self, name: str) -> SplitHead:
        """Return the branch of a head."""
        return cast(SplitHead, self.heads[name])

    def trunk_map(self, x: Tensor) -> Tensor:
        """Return the feature map: (N, 3, H, W) -> (N, 24 + 64, H / 4, W / 4); H and W are multiples of 32."""
        body, taps = self.trunk(x)
        parts = self.parts(taps)
        return torch.cat((body.to(parts.dtype), parts), dim=1)


def _split(head: HeadSpec) -> SplitHead:
    """Create a branch: the outputs that MoveNet has read its features, all others those of the parts."""
    branches: dict[str, tuple[tuple[int, int], PlainHead]] = {}
    body = _BODY_CHANNELS.get(head.name, 0)
    if body:
        branches["body"] = (0, BODY_FEATURES), SeparableHead(BODY_FEATURES, _HIDDEN, body)
    rest = head.channels - body
    if rest:
        wide = head.name in _WIDE_HEADS
        branches["parts"] = (
            (BODY_FEATURES, BODY_FEATURES + PART_FEATURES),
            ConvHead(PART_FEATURES, _WIDE, rest) if wide else SeparableHead(PART_FEATURES, _HIDDEN, rest),
        )
    return SplitHead(branches)
