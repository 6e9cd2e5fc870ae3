"""Modulated deformable convolution (DCNv2) from standard operations, without a compiled extension.

Zhu et al., "Deformable ConvNets v2" (2019): each of the nine taps is read at a learnt offset, by bilinear
interpolation with zeros outside the map, and weighted by a learnt mask.

There are three forms with the same results. `grid_sample` runs everywhere: one bilinear sampling of nine maps
stacked in height, then a 1x1 convolution over 9 C channels. `torchvision` calls that package's operation, in
float32. `deform_conv` is for exports only: it becomes ONNX's DeformConv node (opset 19), which libraries that
have it run faster and in less memory. `hprnet_rt.model.gpu` has a kernel for NVIDIA GPUs.
"""

from __future__ import annotations

from typing import Final, Literal, cast

import torch
import torch.onnx.ops
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["DEFORM_CONV_OPSET", "DeformConv", "DeformForm", "choose_deform_form", "has_deform_conv"]

DeformForm = Literal["grid_sample", "torchvision", "deform_conv"]
DEFORM_CONV_OPSET: Final = 19
_TAPS: Final = 9


class DeformConv(nn.Module):
    """A 3x3 deformable convolution, stride 1, with the parameter names of the released weights.

    `conv_offset_mask` has 27 output channels: (dy, dx) of each tap in row-major order, then the nine masks
    before their sigmoid.

    Args:
        inputs, outputs: channels.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.conv_offset_mask = nn.Conv2d(inputs, 3 * _TAPS, 3, padding=1)
        self.form: DeformForm = "grid_sample"
        bound = (inputs * _TAPS) ** -0.5
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.zeros_(self.conv_offset_mask.weight)
        nn.init.zeros_(cast(Tensor, self.conv_offset_mask.bias))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve: (N, inputs, H, W) -> (N, outputs, H, W)."""
        offset, mask = self.conv_offset_mask(x).split((2 * _TAPS, _TAPS), dim=1)
        if self.form == "deform_conv":
            shape = (x.shape[0], self.weight.shape[0], x.shape[2], x.shape[3])
            return torch.onnx.ops.symbolic(
                "DeformConv",
                (x, self.weight, offset, self.bias, mask.sigmoid()),
                {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [1, 1]},
                dtype=x.dtype,
                shape=shape,
                version=DEFORM_CONV_OPSET,
            )
        if self.form == "torchvision":
            return self._by_torchvision(x, offset, mask.sigmoid())
        return self._sampled(x, offset, mask.sigmoid())

    def _by_torchvision(self, x: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
        """Convolve in float32: the operation takes one type, and positions have no room in half precision."""
        from torchvision.ops import deform_conv2d

        weight, bias = self.weight.float(), self.bias.float()
        made = deform_conv2d(x.float(), offset.float(), weight, bias, padding=1, mask=mask.float())
        result: Tensor = made.to(x.dtype)
        return result

    def _sampled(self, x: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        # positions in float32: in half precision a position is off by up to 0.03 cells
        offset = offset.float().view(batch, _TAPS, 2, height, width)
        steps = torch.arange(-1, 2, device=x.device, dtype=torch.float32)
        rows = torch.arange(height, device=x.device, dtype=torch.float32).view(1, 1, height, 1)
        columns = torch.arange(width, device=x.device, dtype=torch.float32).view(1, 1, 1, width)
        y = offset[:, :, 0] + rows + steps.repeat_interleave(3).view(1, _TAPS, 1, 1)
        x_at = offset[:, :, 1] + columns + steps.repeat(3).view(1, _TAPS, 1, 1)
        # cells to [-1, 1], where -1 and 1 are the outer edges of the outer cells
        grid = torch.stack(((2.0 * x_at + 1.0) / width - 1.0, (2.0 * y + 1.0) / height - 1.0), dim=-1)
        grid = grid.view(batch, _TAPS * height, width, 2)
        sampled = F.grid_sample(x.float(), grid, "bilinear", "zeros", align_corners=False)
        sampled = sampled.view(batch, channels, _TAPS, height, width) * mask.float().unsqueeze(1)
        weight = self.weight.reshape(self.weight.shape[0], channels * _TAPS, 1, 1)
        sampled = sampled.view(batch, channels * _TAPS, height, width).to(x.dtype)
        return F.conv2d(sampled, weight, self.bias)


def choose_deform_form(network: nn.Module, form: DeformForm) -> None:
    """Set the form of every deformable convolution in a network."""
    for module in network.modules():
        if isinstance(module, DeformConv):
            module.form = form


def has_deform_conv(network: nn.Module) -> bool:
    """Return whether a network has a deformable convolution."""
    return any(isinstance(module, DeformConv) for module in network.modules())
