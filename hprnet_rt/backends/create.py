"""Choice of a backend. What is asked for runs or is refused; only "auto" chooses, and says what."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from hprnet_rt.backends.built_engine import INT8
from hprnet_rt.backends.engine_file import EngineFile
from hprnet_rt.backends.protocol import Backend
from hprnet_rt.errors import BackendError, UsageError

__all__ = ["BACKENDS", "BUILT_ONLY", "create_backend"]

_log = logging.getLogger(__name__)

BACKENDS: Final = ("openvino", "onnxruntime", "torch")
"""Backends in the order in which "auto" tries them."""
BUILT_ONLY: Final = ("tensorrt", "tensorrt-rtx")
"""Backends whose engines are built, but not yet run, by this version."""
_FLIPPING: Final = "torch"
_PACKAGES: Final = {"torch": '"hprnet-rt[train]"'}
PRECISIONS: Final = ("auto", "fp32", "bf16", INT8)
_INT8_BACKEND: Final = "openvino"


def create_backend(
    engine: EngineFile,
    input_hw: tuple[int, int],
    *,
    backend: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    flip: bool = False,
    find_int8: Callable[[EngineFile], Path] | None = None,
) -> Backend:
    """Compile `engine` for one input size.

    Args:
        engine: the network.
        input_hw: height and width, multiples of `engine.spec.multiple_px`.
        backend: "auto" or one of `BACKENDS`.
        precision: "auto" (the fastest that keeps accuracy), "fp32", "bf16", or "int8" for an engine
            that was built (OpenVINO only).
        threads: CPU threads; all cores when None.
        flip: average with the mirrored image (the backend torch only).
        find_int8: gives the int8 engine of a network; without it there is none.

    Raises:
        UsageError: an unknown or impossible choice.
        BackendError: the library is missing or cannot load the network, or no int8 engine was built.
        ModelError: the int8 engine is not what is needed.
    """
    if backend in BUILT_ONLY:
        raise UsageError(
            f"this version builds engines for {backend} (hprnet-rt build) but does not run them yet; use "
            f"--backend {BACKENDS[0]} or {BACKENDS[1]}"
        )
    if backend not in ("auto", *BACKENDS):
        raise UsageError(f"there is no backend {backend!r}; use one of: auto, {', '.join(BACKENDS)}")
    if precision not in PRECISIONS:
        raise UsageError(f"there is no precision {precision!r}; use one of: {', '.join(PRECISIONS)}")
    if threads is not None and threads < 1:
        raise UsageError(f"threads is at least 1, got {threads}")
    multiple = engine.spec.multiple_px
    if any(side <= 0 or side % multiple for side in input_hw):
        raise UsageError(f"{engine.spec.name} takes sides that are multiples of {multiple}, got {input_hw}")
    if flip and backend != _FLIPPING:
        raise UsageError(f"the flip test needs --backend {_FLIPPING}")
    if precision == INT8 and (backend != _INT8_BACKEND or find_int8 is None):
        raise UsageError(f"--precision {INT8} needs --backend {_INT8_BACKEND}, and an engine that was built")
    if backend == "auto":
        backend = next((name for name in BACKENDS if importlib.util.find_spec(name)), "")
        if not backend:
            raise BackendError(f"no inference library is installed; install one of: {', '.join(BACKENDS)}")
        _log.info("backend auto: chose %s", backend)
    elif importlib.util.find_spec(backend) is None:
        package = _PACKAGES.get(backend, backend)
        raise BackendError(f"the backend {backend} needs the package {backend}: pip install {package}")
    module = importlib.import_module(f"hprnet_rt.backends.{backend}")
    more: dict[str, Any] = {"flip": True} if flip else {}
    if precision == INT8 and find_int8 is not None:
        more["built"] = find_int8(engine)
    made: Backend = module.create(engine, input_hw, precision, threads, **more)
    _log.info("engine %s at %dx%d: %s", engine.spec.name, *reversed(input_hw), made.description)
    return made
