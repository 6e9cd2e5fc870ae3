"""Any torch module on the library and device and in the precision of a backend (torch)."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hprnet_rt.backends import Backend, runs_on_gpu
from hprnet_rt.backends.torch_cuda import Replayed
from hprnet_rt.backends.torch_layers import HALVES

__all__ = ["Run", "describe", "in_torch", "run_like"]

FloatArray = npt.NDArray[np.float32]
Run = Callable[[npt.NDArray[np.uint8]], Sequence[FloatArray]]
"""Runs a module on bytes (N, H, W, C), which it gets as (N, C, H, W) from 0 to 1; outputs are on the host."""


def describe(backend: Backend) -> str:
    """Describe the library, device and precision with which `run_like` runs a module."""
    if backend.name == "openvino":
        return f"OpenVINO {_openvino_precision(backend)}"
    if runs_on_gpu(backend.name):
        return f"PyTorch on the GPU, {backend.precision}, CUDA graph"
    return "PyTorch fp32"


def run_like(module: nn.Module, backend: Backend, threads: int | None = None) -> Run:
    """Return a function that runs a module as similarly to `backend` as possible.

    If the backend is OpenVINO, the module runs in OpenVINO; if it is on a GPU, in PyTorch on that GPU, in
    the backend's precision, norms folded, with the kernels that the backend's own network has, as a CUDA
    graph for each shape of images; otherwise in PyTorch on the CPU in fp32. Instead of int8, the precision
    is that of the backend's layers that are not int8.

    Args:
        module: in evaluation mode, from one tensor (N, C, H, W) to one or more tensors.
        backend: with which the module is compared.
        threads: CPU threads; all cores when None.
    """
    if backend.name == "openvino":
        return _in_openvino(module, _openvino_precision(backend), threads)
    if threads is not None:
        torch.set_num_threads(threads)
    if not runs_on_gpu(backend.name):
        return in_torch(module, torch.device("cpu"), torch.float32)
    kind = HALVES.get(backend.precision, torch.float32)
    joined = kind is not torch.float32 and "fused kernels" in backend.description
    return in_torch(module, torch.device("cuda"), kind, joined=joined)


def _openvino_precision(backend: Backend) -> str:
    return "bf16" if "bf16" in backend.precision else "fp32"


class _FromBytes(nn.Module):
    """A module whose input is made of bytes where it runs."""

    def __init__(self, module: nn.Module, kind: torch.dtype) -> None:
        super().__init__()
        self.module, self.kind = module, kind

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        outputs = self.module(images.permute(0, 3, 1, 2).to(self.kind) / 255)
        return tuple(output.float() for output in _tuple(outputs))


def in_torch(module: nn.Module, device: torch.device, kind: torch.dtype, *, joined: bool = False) -> Run:
    """Return a function that runs a module in PyTorch; see `run_like`.

    Args:
        module: as `run_like` takes it; it is changed.
        device: the CPU, or a GPU, where each new shape of images is captured as a CUDA graph.
        kind: the type of its weights and maps.
        joined: layers do what follows them, as in `hprnet_rt.model.gpu`.
    """
    _fold(module)
    made = module.requires_grad_(False).to(device=device, dtype=kind, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if joined:
        made = importlib.import_module("hprnet_rt.model.gpu.network").joined(made, kind)
    whole, captured = _FromBytes(made, kind), dict[tuple[int, ...], Replayed]()

    def run(images: npt.NDArray[np.uint8]) -> list[FloatArray]:
        shape = cast(tuple[int, int, int, int], images.shape)
        if shape not in captured:
            captured[shape] = Replayed(whole, shape, device)
        captured[shape].start([images])
        return captured[shape].finish()

    return run


def _fold(module: nn.Module) -> None:
    """Fold the norms of all `conv_bn` in a module into their convolutions."""
    for part in module.modules():
        if isinstance(part, nn.Sequential) and len(part) > 1 and isinstance(part[1], nn.BatchNorm2d):
            part[0] = fuse_conv_bn_eval(cast(nn.Conv2d, part[0]), part[1])
            part[1] = nn.Identity()


def _in_openvino(module: nn.Module, precision: str, threads: int | None) -> Run:
    import openvino

    core = openvino.Core()
    options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32"}
    if threads is not None:
        options["INFERENCE_NUM_THREADS"] = threads
    compiled: dict[tuple[int, ...], Any] = {}

    def run(images: npt.NDArray[np.uint8]) -> list[FloatArray]:
        planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32) / np.float32(255)
        if images.shape not in compiled:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")  # of values that the trace makes constant: the shape is fixed
                model = openvino.convert_model(module, example_input=torch.from_numpy(planes))
            model.reshape({0: list(planes.shape)})
            compiled[images.shape] = core.compile_model(model, "CPU", options).create_infer_request()
        found = compiled[images.shape].infer({0: planes}, share_inputs=True)
        return [np.asarray(output, np.float32) for output in found.values()]

    return run


def _tuple(outputs: Any) -> tuple[Any, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)
