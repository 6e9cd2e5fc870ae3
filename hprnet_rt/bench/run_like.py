"""Any torch module on the library and device and in the precision of a backend (torch)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from hprnet_rt.backends import Backend, runs_on_gpu

__all__ = ["Run", "describe", "run_like"]

FloatArray = npt.NDArray[np.float32]
Run = Callable[[FloatArray], Sequence[FloatArray]]
"""Runs a module: one array in, its outputs on the host."""

_HALVES: Final = {"fp16": torch.float16, "bf16": torch.bfloat16}


def describe(backend: Backend) -> str:
    """Describe the library, device and precision with which `run_like` runs a module."""
    if backend.name == "openvino":
        return f"OpenVINO {_openvino_precision(backend)}"
    if runs_on_gpu(backend.name):
        return f"PyTorch on the GPU, {backend.precision}"
    return "PyTorch fp32"


def run_like(module: nn.Module, backend: Backend, threads: int | None = None) -> Run:
    """Return a function that runs a module as similarly to `backend` as possible.

    If the backend is OpenVINO, the module runs in OpenVINO; if it is on a GPU, in PyTorch on that GPU, in the
    backend's precision; otherwise in PyTorch on the CPU in fp32. Instead of int8, the precision is that of
    the backend's layers that are not int8.

    Args:
        module: in evaluation mode, from one tensor (N, C, H, W) to one or more tensors.
        backend: with which the module is compared.
        threads: CPU threads; all cores when None.
    """
    if backend.name == "openvino":
        return _in_openvino(module, _openvino_precision(backend), threads)
    on_gpu = runs_on_gpu(backend.name)
    if threads is not None:
        torch.set_num_threads(threads)
    kind = _HALVES.get(backend.precision, torch.float32) if on_gpu else torch.float32
    return _in_torch(module, torch.device("cuda" if on_gpu else "cpu"), kind)


def _openvino_precision(backend: Backend) -> str:
    return "bf16" if "bf16" in backend.precision else "fp32"


def _in_torch(module: nn.Module, device: torch.device, kind: torch.dtype) -> Run:
    module.to(device=device, dtype=kind)

    def run(images: FloatArray) -> list[FloatArray]:
        with torch.inference_mode():
            outputs = module(torch.from_numpy(images).to(device=device, dtype=kind))
            return [output.float().cpu().numpy() for output in _tuple(outputs)]

    return run


def _in_openvino(module: nn.Module, precision: str, threads: int | None) -> Run:
    import openvino

    core = openvino.Core()
    options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32"}
    if threads is not None:
        options["INFERENCE_NUM_THREADS"] = threads
    compiled: dict[tuple[int, ...], Any] = {}

    def run(images: FloatArray) -> list[FloatArray]:
        if images.shape not in compiled:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")  # of values that the trace makes constant: the shape is fixed
                model = openvino.convert_model(module, example_input=torch.from_numpy(images))
            model.reshape({0: list(images.shape)})
            compiled[images.shape] = core.compile_model(model, "CPU", options).create_infer_request()
        found = compiled[images.shape].infer({0: images}, share_inputs=True)
        return [np.asarray(output, np.float32) for output in found.values()]

    return run


def _tuple(outputs: Any) -> tuple[Any, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)
