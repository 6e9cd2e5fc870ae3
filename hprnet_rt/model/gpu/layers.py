"""The layers of a network for NVIDIA GPUs: what comes after a convolution is done in its kernel.

They are made of a network's own layers, with the same results to rounding. Maps are in channels-last order;
`half` is the type of the maps, weights and products, and sums are float32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hprnet_rt.model.deform import DeformConv
from hprnet_rt.model.gpu import kernels
from hprnet_rt.model.gpu.blocks import Blocks, chosen_blocks

__all__ = ["ExactConv", "FinishedConv", "FusedDeform", "Raised", "can_raise", "can_split"]

_TAPS: Final = 9
_NUMBERS: Final = 1024  # that one program of a simple kernel computes
_LEAST_COLUMNS: Final = 16  # of products
_CHANNELS_LAST: Final = torch.channels_last
_EXACT: Final = (
    Blocks(64, 0, 64, 9),
    Blocks(32, 0, 64, 9),
    Blocks(32, 0, 64, 3),
    Blocks(16, 0, 64, 1),
)
"""Candidates for `ExactConv`, the first one for any GPU; few, as each takes seconds to compile."""
_DEFORM: Final = (
    Blocks(64, 64, 64, 9),
    Blocks(64, 64, 32, 9, stages=3),
    Blocks(128, 64, 32, 9, warps=8),
    Blocks(64, 128, 32, 9, warps=8),
    Blocks(32, 64, 64, 3),
    Blocks(32, 64, 64, 1),
)
"""Candidates for `FusedDeform`."""
_MANY_PIXELS: Final = 16384
"""From here on there is work for a whole GPU without sharing out the taps of a pixel."""


def _last(maps: Tensor) -> Tensor:
    return maps.contiguous(memory_format=_CHANNELS_LAST)


def _whole_if(many: bool, candidates: Sequence[Blocks]) -> Sequence[Blocks]:
    """Return the candidates whose programs sum over all taps if there are many programs, else all of them."""
    return [each for each in candidates if each.taps == _TAPS] or candidates if many else candidates


def _blocks_of(count: int, size: int) -> int:
    return -(-count // size)


def _by_tap(weight: Tensor, columns: int) -> Tensor:
    """Return weights (outputs, inputs, h, w) as (h * w * inputs, columns), zero in columns beyond outputs."""
    rows = weight.permute(2, 3, 1, 0).reshape(-1, weight.shape[0])
    return F.pad(rows, (0, columns - weight.shape[0]))


def can_split(conv: nn.Conv2d, half: torch.dtype) -> bool:
    """Return whether a half precision has numbers as large as a layer's weights, for `ExactConv`."""
    return bool(conv.weight.detach().to(half).isfinite().all())


class ExactConv(nn.Module):
    """A convolution 1x1 or 3x3 of half-precision maps whose float32 weights are not rounded to half.

    They are split into two halves whose sum they are, to float16's 22 bits or bfloat16's 16; the products are
    summed in float32, and so are the results. It is for positions and logits, whose rounding would show.

    Args:
        conv: float32, stride 1, as much padding as keeps the size.
        half: the type of the maps.
    """

    high: Tensor
    low: Tensor
    bias: Tensor

    def __init__(self, conv: nn.Conv2d, half: torch.dtype) -> None:
        super().__init__()
        self.side, self.outputs, self.dtype = int(conv.kernel_size[0]), conv.out_channels, half
        self.columns = max(_LEAST_COLUMNS, 1 << (conv.out_channels - 1).bit_length())
        weight = _by_tap(conv.weight.detach().float(), self.columns)
        self.register_buffer("high", weight.to(half))
        self.register_buffer("low", (weight - self.high.float()).to(half))
        bias = torch.zeros(self.outputs, device=weight.device) if conv.bias is None else conv.bias.detach()
        self.register_buffer("bias", bias.float())

    def forward(self, maps: Tensor) -> Tensor:
        """Convolve maps (N, inputs, H, W) without bias, as far as a sum.

        Returns:
            (parts, N * H * W, columns) float32, sums over some of the taps each; there are as many columns as
            outputs or more, and with 1x1 weights there is one part.
        """
        maps = _last(maps.to(self.dtype))
        batch, inputs, height, width = maps.shape
        pixels, taps = batch * height * width, self.side**2

        def run(blocks: Blocks) -> Tensor:
            each = min(taps, blocks.taps)
            out = torch.empty(taps // each, pixels, self.columns, device=maps.device)
            kernels.convolve_exactly[_blocks_of(pixels, blocks.pixels), taps // each](
                maps, self.high, self.low, out, pixels, height, width, inputs, each,
                SIDE=self.side, SPLIT=self.dtype is not torch.float32, COLUMNS=self.columns,
                PIXELS=blocks.pixels, INPUTS=blocks.inputs, num_warps=blocks.warps, num_stages=blocks.stages,
            )  # fmt: skip
            return out

        name = f"exact {self.dtype}, {self.side} x {self.side}, {inputs} to {self.columns}, {pixels} pixels"
        candidates = _whole_if(taps == 1 or pixels >= _MANY_PIXELS, _EXACT)
        result: Tensor = run(chosen_blocks(name, maps.device, candidates, run))
        return result


class FusedDeform(nn.Module):
    """A `DeformConv` in two kernels, or three where programs share out the taps, as on small maps.

    Args:
        layer: with a float32 `conv_offset_mask`.
        half: the type of the maps; float32 in Triton's interpreter only.
        relu: a ReLU follows.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, layer: DeformConv, half: torch.dtype, *, relu: bool) -> None:
        super().__init__()
        self.relu, self.dtype, self.outputs = relu, half, layer.weight.shape[0]
        self.moves = ExactConv(layer.conv_offset_mask, half)
        self.register_buffer("weight", _by_tap(layer.weight.detach().to(half), self.outputs).contiguous())
        self.register_buffer("bias", layer.bias.detach().float())

    def forward(self, maps: Tensor) -> Tensor:
        """Convolve: (N, inputs, H, W) -> (N, outputs, H, W)."""
        maps = _last(maps.to(self.dtype))
        batch, inputs, height, width = maps.shape
        pixels, moves = batch * height * width, self.moves(maps)
        shape = (batch, self.outputs, height, width)
        out = torch.empty(shape, dtype=self.dtype, device=maps.device, memory_format=_CHANNELS_LAST)

        def run(blocks: Blocks) -> Tensor:
            parts = _TAPS // blocks.taps
            sums = out if parts == 1 else torch.empty(parts, pixels, self.outputs, device=maps.device)
            grid = _blocks_of(pixels, blocks.pixels), _blocks_of(self.outputs, blocks.outputs), parts
            kernels.deform[grid](
                maps, moves, self.moves.bias, self.weight, self.bias, sums,
                pixels, height, width, inputs, self.outputs, len(moves),
                COLUMNS=self.moves.columns, RELU=self.relu, WHOLE=parts == 1,
                TAPS=blocks.taps, PIXELS=blocks.pixels, OUTPUTS=blocks.outputs, INPUTS=blocks.inputs,
                num_warps=blocks.warps, num_stages=blocks.stages,
            )  # fmt: skip
            if parts > 1:
                kernels.sum_parts[(_blocks_of(out.numel(), _NUMBERS),)](
                    sums, self.bias, out, out.numel(), self.outputs,
                    PARTS=parts, RELU=self.relu, NUMBERS=_NUMBERS,
                )  # fmt: skip
            return out

        name = f"deform {self.dtype}, {inputs} to {self.outputs}, {pixels} pixels, {len(moves)} parts"
        fitting = [each for each in _DEFORM if each.outputs <= max(64, self.outputs)]
        candidates = _whole_if(pixels >= _MANY_PIXELS, fitting)
        result: Tensor = run(chosen_blocks(name, maps.device, candidates, run))
        return result


class FinishedConv(nn.Module):
    """A convolution, and after it a sum with other maps and bounds of the results, where there are such.

    It is one kernel of cuDNN if that has a fused form of the layer, else a convolution and a kernel for the
    rest.

    Args:
        conv: in half precision.
        adds: other maps are added.
        least, most: bounds of the results; None for none.
    """

    bias: Tensor

    def __init__(
        self, conv: nn.Conv2d, *, adds: bool, least: float | None = None, most: float | None = None
    ) -> None:
        super().__init__()
        self.weight = conv.weight
        self.own_bias = conv.bias
        bias = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias.detach()
        self.register_buffer("bias", bias.float().to(conv.weight.device))
        self.adds, self.least, self.most = adds, least, most
        self.where = (conv.stride, cast(tuple[int, int], conv.padding), conv.dilation, conv.groups)
        self.in_cudnn = least == 0.0 and most is None and conv.groups == 1

    def forward(self, maps: Tensor, other: Tensor | None = None) -> Tensor:
        """Convolve maps, (N, inputs, H, W); `other` has the shape of the result."""
        maps = maps.to(self.weight.dtype)
        if self.in_cudnn:
            try:
                return self._by_cudnn(maps, other)
            except RuntimeError as error:
                if torch.cuda.is_available() and torch.cuda.is_current_stream_capturing():
                    raise
                if "engine" not in str(error) and "CUDNN_STATUS" not in str(error):
                    raise
                self.in_cudnn = False  # it has no fused form of this layer on this GPU
        result = _last(F.conv2d(maps, self.weight, None, *self.where))
        kernels.finish[(_blocks_of(result.numel(), _NUMBERS),)](
            result, self.bias, result if other is None else _last(other), result,
            result.numel(), result.shape[1],
            -math.inf if self.least is None else self.least, math.inf if self.most is None else self.most,
            ADDS=other is not None, BOUNDED=self.least is not None, NUMBERS=_NUMBERS,
        )  # fmt: skip
        return result

    def _by_cudnn(self, maps: Tensor, other: Tensor | None) -> Tensor:
        if other is None:
            plain: Tensor = torch.cudnn_convolution_relu(maps, self.weight, self.own_bias, *self.where)
            return plain
        added: Tensor = torch.cudnn_convolution_add_relu(
            maps, self.weight, _last(other.to(maps.dtype)), 1.0, self.own_bias, *self.where
        )
        return added


def can_raise(up: nn.ConvTranspose2d) -> bool:
    """Return whether `Raised` does what a transposed convolution does."""
    factor = up.stride[0]
    return (
        up.groups == up.in_channels == up.out_channels
        and up.stride == (factor, factor)
        and up.kernel_size == (2 * factor, 2 * factor)
        and up.padding == (factor // 2, factor // 2)
        and factor % 2 == 0
        and up.bias is None
    )


class Raised(nn.Module):
    """Up-sampling of each channel by its own weights, and a sum with finer maps.

    Args:
        up: `can_raise` is true of it.
    """

    weight: Tensor

    def __init__(self, up: nn.ConvTranspose2d) -> None:
        super().__init__()
        self.factor = up.stride[0]
        weight = up.weight.detach().float()[:, 0].permute(1, 2, 0)  # (2 factor, 2 factor, channels)
        self.register_buffer("weight", weight.contiguous())

    def forward(self, maps: Tensor, other: Tensor) -> Tensor:
        """Raise maps (N, C, H, W) to the size of `other`, (N, C, factor * H, factor * W), and add them."""
        maps, other = _last(maps), _last(other)
        out: Any = torch.empty_like(other)
        _, channels, height, width = other.shape
        kernels.raise_and_add[(_blocks_of(out.numel(), _NUMBERS),)](
            maps, self.weight, other, out, out.numel(), height, width, channels,
            FACTOR=self.factor, NUMBERS=_NUMBERS,
        )  # fmt: skip
        result: Tensor = out
        return result
