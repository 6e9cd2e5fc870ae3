"""Any torch module on the library, the device and in the precision of a backend (torch)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from hprnet_rt.backends import GPU_BACKENDS, Backend

__all__ = ["Run", "describe", "same_engine"]

FloatArray = npt.NDArray[np.float32]
Run = Callable[[FloatArray], Sequence[FloatArray]]
"""A module: one array in, its outputs on the host."""

_HALVES: Final = {"fp16": torch.float16, "bf16": torch.bfloat16}


def describe(backend: Backend) -> str:
    """What `same_engine` runs on."""
    if backend.name == "openvino":
        return f"OpenVINO {_openvino_precision(backend)}"
    if backend.name in GPU_BACKENDS:
        return f"PyTorch on the GPU, {backend.precision}"
    return "PyTorch fp32"


def same_engine(module: nn.Module, backend: Backend, threads: int | None = None) -> Run:
    """A module in evaluation mode as `backend` would run it.

    OpenVINO's in OpenVINO; a GPU's in PyTorch on that GPU, in the backend's precision; else in PyTorch on the
    CPU in fp32. int8 is replaced by the precision of what is not int8.

    Args:
        module: one tensor (N, C, H, W) -> a tensor or several.
        backend: what it is compared with.
        threads: CPU threads; all cores when None.
    """
    if backend.name == "openvino":
        return _in_openvino(module, _openvino_precision(backend), threads)
    on_gpu = backend.name in GPU_BACKENDS
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
            return [each.float().cpu().numpy() for each in _tuple(outputs)]

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
                warnings.simplefilter("ignore")  # what a trace of this very shape makes constant
                model = openvino.convert_model(module, example_input=torch.from_numpy(images))
            model.reshape({0: list(images.shape)})
            compiled[images.shape] = core.compile_model(model, "CPU", options).create_infer_request()
        found = compiled[images.shape].infer({0: images}, share_inputs=True)
        return [np.asarray(each, np.float32) for each in found.values()]

    return run


def _tuple(outputs: Any) -> tuple[Any, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)
