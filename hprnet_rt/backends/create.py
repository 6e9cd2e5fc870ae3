"""Choice of a backend: one that is named runs or is refused; only "auto" chooses, and logs its choice."""

from __future__ import annotations

import importlib
import logging
import math
import os
from typing import cast

from hprnet_rt.backends.built_engine import FindEngine
from hprnet_rt.backends.model_file import ModelFile
from hprnet_rt.backends.protocol import Backend, BackendModule, BackendRequest
from hprnet_rt.backends.registry import INT8, PRECISIONS, BackendSpec, backend_spec, backend_specs
from hprnet_rt.errors import BackendError, HprnetError, UsageError
from hprnet_rt.machine import nvidia

__all__ = ["auto_backends", "create_backend"]

_log = logging.getLogger(__name__)


def create_backend(
    model_file: ModelFile,
    input_hw: tuple[int, int],
    *,
    backend: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    flip: bool = False,
    batch: int | None = 1,
    find_engine: FindEngine | None = None,
    may_build: bool = False,
) -> Backend:
    """Compile a network for one input size.

    Args:
        model_file: the network.
        input_hw: height and width, multiples of the network's `multiple_px`.
        backend: "auto" or the name of a registered backend.
        precision: "auto" (the fastest that keeps accuracy) or another of `PRECISIONS`; not every backend has
            all of them, and "auto" is never int8.
        threads: CPU threads; all cores when None.
        flip: average with the mirrored image (the backend torch only).
        batch: images at a time; the backend's best when None.
        find_engine: finds built engines; without it, backends and precisions that need one cannot run.
        may_build: let `find_engine` build one that is missing. With backend "auto" it may in any case.

    Raises:
        UsageError: a choice is unknown or impossible.
        BackendError: the library or the GPU is missing, or cannot run the network.
        ModelError: a built engine does not fit the network or this machine.
    """
    if backend != "auto":
        backend_spec(backend)
    _check_numbers(model_file, input_hw, precision, threads=threads, batch=batch)
    flipping = [spec.name for spec in backend_specs() if spec.flip]
    if flip and backend not in flipping:
        raise UsageError(f"the flip test needs --backend {' or '.join(flipping)}")
    with_int8 = [spec.name for spec in backend_specs() if INT8 in spec.precisions]
    if precision == INT8 and (backend not in with_int8 or find_engine is None):
        raise UsageError(
            f"--precision {INT8} needs --backend {' or '.join(with_int8)}, and an engine that was built"
        )
    request = BackendRequest(
        model_file=model_file,
        input_hw=input_hw,
        precision=precision,
        threads=threads or os.cpu_count() or 1,
        batch=batch,
        flip=flip,
    )
    if backend != "auto":
        return _create(backend_spec(backend), request, find_engine, may_build=may_build)
    for spec in auto_backends():
        if batch is not None and batch > 1 and not spec.batches:
            continue
        try:
            made = _create(spec, request, find_engine, may_build=spec.auto_builds)
        except HprnetError as error:
            if spec.auto == "use":
                raise
            _log.warning("backend auto: %s cannot run: %s", spec.name, error)
            continue
        _log.info("backend auto: chose %s", spec.name)
        return made
    names = ", ".join(spec.name for spec in backend_specs("cpu"))
    raise BackendError(f"no inference library is installed; install one of: {names}")


def auto_backends() -> list[BackendSpec]:
    """Return the backends that "auto" considers on this machine, in order.

    They are those whose library is installed; of those on a GPU none where there is no GPU.
    """
    found = [spec for spec in backend_specs() if spec.auto != "skip" and spec.installed]
    if any(spec.device == "gpu" for spec in found) and not nvidia().gpus:
        return [spec for spec in found if spec.device == "cpu"]
    return found


def _check_numbers(
    model_file: ModelFile,
    input_hw: tuple[int, int],
    precision: str,
    *,
    threads: int | None,
    batch: int | None,
) -> None:
    """Refuse numbers that no backend takes."""
    if precision not in PRECISIONS:
        raise UsageError(f"there is no precision {precision!r}; use one of: {', '.join(PRECISIONS)}")
    for name, value in (("threads", threads), ("batch", batch)):
        if value is not None and (type(value) is not int or value < 1):
            raise UsageError(f"{name} is a whole number of at least 1, or None; got {value!r}")
    spec = model_file.spec
    if any(side <= 0 or side % spec.multiple_px for side in input_hw):
        raise UsageError(f"{spec.name} takes sides that are multiples of {spec.multiple_px}, got {input_hw}")
    cells = math.prod(side // spec.stride_px for side in input_hw)
    if model_file.k > cells:
        raise UsageError(
            f"{model_file.path.name} returns {model_file.k} people, more than the {cells} cells of its "
            f"output for inputs of {input_hw[1]} x {input_hw[0]}; take a larger --size"
        )


def _create(
    spec: BackendSpec, request: BackendRequest, find_engine: FindEngine | None, *, may_build: bool
) -> Backend:
    """Check a request against a backend's description, find its engine if it needs one, and create it."""
    _check_request(spec, request)
    if spec.needs_engine(request.precision):
        if find_engine is None:
            raise BackendError(f"{spec.name} needs a built engine; load the model with hprnet_rt.load")
        engine = find_engine(
            request.model_file,
            spec.name,
            precision=request.precision,
            input_hw=request.input_hw,
            batch=request.batch,
            may_build=may_build,
        )
        request = request.with_engine(engine)
    made = cast(BackendModule, importlib.import_module(spec.module)).create(request)
    height, width = request.input_hw
    _log.info("%s at %dx%d: %s", request.model_file.spec.name, width, height, made.description)
    return made


def _check_request(spec: BackendSpec, request: BackendRequest) -> None:
    """Refuse a request that a backend cannot fulfil, before the backend is imported."""
    if not spec.installed:
        requirement = spec.requirement if spec.extra is None else f'"{spec.requirement}"'
        raise BackendError(
            f"the backend {spec.name} needs the package {spec.package}: pip install {requirement}"
        )
    precision = request.precision
    if precision not in ("auto", *spec.precisions):
        if precision == "fp16":
            names = ", ".join(other.name for other in backend_specs("gpu"))
            raise UsageError(
                f"{spec.name} does not compute in fp16; use --precision fp32 or auto, or a backend on a GPU: "
                f"{names}"
            )
        others = [other.name for other in backend_specs(spec.device) if precision in other.precisions]
        raise UsageError(
            f"{spec.name} runs this network in {' or '.join(spec.precisions)} only, not {precision}"
            + (f"; use --backend {others[0]}" if others else "")
        )
    if request.batch is not None and request.batch > 1 and not spec.batches:
        name = next(other.name for other in backend_specs(spec.device) if other.batches)
        raise UsageError(f"{spec.name} takes one image at a time; leave --batch out, or use {name}")
