"""Choice of a backend. What is asked for runs or is refused; only "auto" chooses, and says what."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from hprnet_rt.backends.built_engine import INT8, FindBuilt
from hprnet_rt.backends.model_file import ModelFile
from hprnet_rt.backends.protocol import Backend
from hprnet_rt.backends.trt.library import LIBRARIES
from hprnet_rt.errors import BackendError, HprnetError, UsageError
from hprnet_rt.machine import nvidia

__all__ = ["BACKENDS", "CPU_BACKENDS", "GPU_BACKENDS", "PRECISIONS", "auto_backends", "create_backend"]

_log = logging.getLogger(__name__)

GPU_BACKENDS: Final = ("tensorrt", "tensorrt-rtx", "torch-cuda")
"""Backends on an NVIDIA GPU, in the order in which "auto" tries them."""
CPU_BACKENDS: Final = ("openvino", "onnxruntime", "torch")
"""Backends on the CPU, in the order in which "auto" tries them, after those on a GPU."""
BACKENDS: Final = (*GPU_BACKENDS, *CPU_BACKENDS)
"""All backends."""
PRECISIONS: Final = ("auto", "fp32", "fp16", "bf16", INT8)

_MODULES: Final = {"tensorrt": "trt.backend", "tensorrt-rtx": "trt.backend", "torch-cuda": "torch_cuda"}
_PACKAGES: Final = {
    "torch": '"hprnet-rt[train]"',
    "tensorrt": '"hprnet-rt[tensorrt]"',
    "tensorrt_rtx": '"hprnet-rt[rtx]"',
}
_FLIPPING: Final = "torch"
_ONE_AT_A_TIME: Final = ("openvino",)
_INT8_BACKEND: Final = "openvino"


def create_backend(
    engine: ModelFile,
    input_hw: tuple[int, int],
    *,
    backend: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    flip: bool = False,
    batch: int | None = 1,
    find_built: FindBuilt | None = None,
    may_build: bool = False,
    find_int8: Callable[[ModelFile], Path] | None = None,
) -> Backend:
    """Make `engine` ready to run for one input size.

    Args:
        engine: the network.
        input_hw: height and width, multiples of `engine.spec.multiple_px`.
        backend: "auto" or one of `BACKENDS`.
        precision: "auto" (the fastest that keeps accuracy) or another of `PRECISIONS`; int8 is
            OpenVINO's only.
        threads: CPU threads; all cores when None.
        flip: average with the mirrored image (the backend torch only).
        batch: images at a time; the backend's best when None.
        find_built: gives TensorRT's engines; without it these backends cannot run.
        may_build: it may build one that is missing; "auto" may in any case.
        find_int8: gives the int8 engine of a network; without it there is none.

    Raises:
        UsageError: an unknown or impossible choice.
        BackendError: the library or the GPU is missing, or cannot run the network.
        ModelError: the engine that was built is not what is needed.
    """
    if backend not in ("auto", *BACKENDS):
        raise UsageError(f"there is no backend {backend!r}; use one of: auto, {', '.join(BACKENDS)}")
    if precision not in PRECISIONS:
        raise UsageError(f"there is no precision {precision!r}; use one of: {', '.join(PRECISIONS)}")
    for name, value in (("threads", threads), ("batch", batch)):
        if value is not None and (type(value) is not int or value < 1):
            raise UsageError(f"{name} is a whole number of at least 1, or None; got {value!r}")
    multiple = engine.spec.multiple_px
    if any(side <= 0 or side % multiple for side in input_hw):
        raise UsageError(f"{engine.spec.name} takes sides that are multiples of {multiple}, got {input_hw}")
    cells = math.prod(side // engine.spec.stride_px for side in input_hw)
    if engine.k > cells:
        raise UsageError(
            f"{engine.path.name} returns {engine.k} people, more than the {cells} cells of its output for "
            f"inputs of {input_hw[1]} x {input_hw[0]}; take a larger --size"
        )
    if flip and backend != _FLIPPING:
        raise UsageError(f"the flip test needs --backend {_FLIPPING}")
    if precision == INT8 and (backend != _INT8_BACKEND or find_int8 is None):
        raise UsageError(f"--precision {INT8} needs --backend {_INT8_BACKEND}, and an engine that was built")

    def make(name: str, *, build: bool) -> Backend:
        _require(name, precision, batch)
        module: Any = importlib.import_module(f"hprnet_rt.backends.{_MODULES.get(name, name)}")
        made: Backend
        if name in LIBRARIES:
            if find_built is None:
                raise BackendError(f"{name} needs a built engine; load the model with hprnet_rt.load")
            built = find_built(
                *(engine, name), precision=precision, input_hw=input_hw, batch=batch, may_build=build
            )
            made = module.create(engine, built, input_hw, batch)
        elif name in GPU_BACKENDS:
            made = module.create(engine, input_hw, precision, batch)
        else:
            more: dict[str, Any] = {"flip": True} if flip else {}
            if name not in _ONE_AT_A_TIME:
                more["batch"] = batch or 1
            if precision == INT8 and find_int8 is not None:
                more["built"] = find_int8(engine)
            made = module.create(engine, input_hw, precision, threads, **more)
        _log.info("engine %s at %dx%d: %s", engine.spec.name, *reversed(input_hw), made.description)
        return made

    if backend != "auto":
        return make(backend, build=may_build)
    names = [name for name in auto_backends() if not (batch and batch > 1 and name in _ONE_AT_A_TIME)]
    for name in names:
        try:
            made = make(name, build=True)
        except HprnetError as error:
            if name not in GPU_BACKENDS:
                raise
            _log.warning("backend auto: %s cannot run: %s", name, error)
            continue
        _log.info("backend auto: chose %s", name)
        return made
    raise BackendError(f"no inference library is installed; install one of: {', '.join(CPU_BACKENDS)}")


def auto_backends() -> list[str]:
    """The backends that "auto" tries on this machine, in order: those with their library, and their GPU."""
    on_gpu = [name for name in GPU_BACKENDS if _installed(name)]
    if on_gpu and not nvidia().gpus:
        on_gpu = []
    return [*on_gpu, *(name for name in CPU_BACKENDS if _installed(name))]


def _library(backend: str) -> str:
    return LIBRARIES.get(backend, backend.partition("-")[0])


def _installed(backend: str) -> bool:
    return importlib.util.find_spec(_library(backend)) is not None


def _require(backend: str, precision: str, batch: int | None) -> None:
    """Refuse what a backend cannot do, before it is imported."""
    library = _library(backend)
    if not _installed(backend):
        package = _PACKAGES.get(library, library)
        raise BackendError(
            f"the backend {backend} needs the package {library.replace('_', '-')}: pip install {package}"
        )
    if precision == "fp16" and backend in CPU_BACKENDS:
        raise UsageError(
            f"{backend} does not compute in fp16; use --precision fp32 or auto, or a backend on a GPU: "
            f"{', '.join(GPU_BACKENDS)}"
        )
    if batch is not None and batch > 1 and backend in _ONE_AT_A_TIME:
        raise UsageError(f"{backend} takes one image at a time; leave --batch out, or use onnxruntime")
