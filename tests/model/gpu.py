"""Kernels without a GPU: in Triton's interpreter, or not run at all but counted."""

import os

import pytest
import torch
from torch.utils._python_dispatch import _disable_current_modes

WHY = "Triton is not installed (pip install triton)"


def interpreted():
    """Skip where kernels cannot be interpreted."""
    pytest.importorskip("triton", reason=WHY)
    if os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("there is a GPU here: tests/gpu runs the kernels on it")


def stand_in_for_cudnn(monkeypatch, launches=None):
    """Compute cuDNN's fused convolutions, which CPUs lack; each is noted as one launch, if they are."""

    def convolve(x, other, alpha, weight, bias, where):
        with _disable_current_modes():
            if launches is not None:
                launches.append(("cudnn", tuple(x.shape), tuple(weight.shape), other is not None))
            made = torch.conv2d(x, weight, bias, *where)
            return (made if other is None else made + alpha * other).relu()

    def plain(x, weight, bias, *where):
        return convolve(x, None, 1.0, weight, bias, where)

    def added(x, weight, other, alpha, bias, *where):
        return convolve(x, other, alpha, weight, bias, where)

    monkeypatch.setattr(torch, "cudnn_convolution_relu", plain)
    monkeypatch.setattr(torch, "cudnn_convolution_add_relu", added)


_RESULTS = {
    "convolve_exactly": (3,),
    "deform": (5,),
    "sum_parts": (2,),
    "finish": (3,),
    "raise_and_add": (3,),
    "local_peaks": (2, 3),
    "best_peaks": (2, 3),
}
"""Places of each kernel's results among its arguments."""


class Launches(list):
    """Stands in for the kernels: notes name, grid and shapes of every launch, and gives zeros."""

    def replace(self, monkeypatch, kernels):
        for name in kernels.__all__:
            monkeypatch.setattr(kernels, name, _Kernel(name, self))
        return self


class _Kernel:
    def __init__(self, name, launches):
        self.name, self.launches = name, launches

    def __getitem__(self, grid):
        def launch(*inputs, **constants):
            shapes = [tuple(each.shape) if torch.is_tensor(each) else each for each in inputs]
            self.launches.append((self.name, grid, *shapes, *constants.items()))
            with _disable_current_modes():
                for place in _RESULTS[self.name]:
                    inputs[place].zero_()

        return launch
