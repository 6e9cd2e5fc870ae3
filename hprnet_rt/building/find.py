"""The built engine that a backend is to run: found by its description, or built now."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any, Final

from hprnet_rt.backends import ModelFile
from hprnet_rt.backends.built_engine import BuiltEngine, EngineRecipe, check_sidecar, sidecar_path
from hprnet_rt.backends.registry import INT8
from hprnet_rt.backends.trt import load_library, require_support
from hprnet_rt.building.make import build, built_folder, recipe_of
from hprnet_rt.building.plan import BUILD_PRECISIONS, BuildPlan, require_buildable
from hprnet_rt.building.targets import TARGETS
from hprnet_rt.errors import BackendError, ModelError
from hprnet_rt.machine import Gpu, nvidia

__all__ = ["find_engine"]

_log = logging.getLogger(__name__)

_LEAST_USUAL: Final = 8.0  # compute capability of Ampere, the first that TensorRT-RTX builds for unasked
_USUAL_BATCH: Final = 8
_AXES: Final = ("batch", "height", "width")


def find_engine(
    model_file: ModelFile,
    backend: str,
    *,
    precision: str,
    input_hw: tuple[int, int],
    batch: int | None,
    may_build: bool,
) -> BuiltEngine:
    """Return the engine for an input; see `FindEngine`."""
    require_buildable(model_file.spec)
    if precision == INT8:
        return _find_int8(model_file, backend)
    return _find_tensorrt(
        model_file, backend, precision=precision, input_hw=input_hw, batch=batch, may_build=may_build
    )


def _find_int8(model_file: ModelFile, backend: str) -> BuiltEngine:
    """Return the int8 engine of a network, which takes one image at a time of any size.

    Where there is none of this network and this version of the library, the newest other one is refused with
    what differs.
    """
    recipe = recipe_of(model_file, BuildPlan.parse(model_file.spec, backend=backend, precision=INT8), None)
    folder = built_folder()
    path = folder / f"{recipe.stem}{TARGETS[backend].suffix}"
    if not path.is_file():
        others = _newest_first(folder, model_file, backend, f"{INT8}-*")
        if not others:
            raise BackendError(
                f"there is no {INT8} engine of {model_file.spec.name}; build it: {recipe.command}"
            )
        path = others[0]
    check_sidecar(path, recipe)
    return BuiltEngine(path, recipe)


def _find_tensorrt(
    model_file: ModelFile,
    backend: str,
    *,
    precision: str,
    input_hw: tuple[int, int],
    batch: int | None,
    may_build: bool,
) -> BuiltEngine:
    """Return a TensorRT engine; of several that fit, the one that was built for the fewest sizes."""
    library = load_library(backend)
    gpu = _gpu(backend)
    require_support(library, gpu)
    height, width = input_hw
    count = batch or _USUAL_BATCH
    needs_kind = TARGETS[backend].gpu_kinds and float(gpu.compute_capability) < _LEAST_USUAL
    plan = BuildPlan(
        backend=backend,
        precision=BUILD_PRECISIONS[0] if precision == "auto" else precision,
        batch=(count, count),
        height=(height, height, height),
        width=(width, width, width),
        gpus=(_kind(gpu),) if needs_kind else (),
    )
    exact = recipe_of(model_file, plan, library)
    fitting: list[BuiltEngine] = []
    refusal: ModelError | None = None
    for path in _newest_first(built_folder(), model_file, backend):
        recipe = _as_built(path, exact, gpu)
        if recipe is None or not _covers(recipe, input_hw, batch):
            continue
        try:
            check_sidecar(path, recipe)
            fitting.append(BuiltEngine(path, recipe))
        except ModelError as error:
            refusal = refusal or error
    if fitting:
        return min(fitting, key=lambda engine: _spread(engine.recipe))
    if may_build:
        why = str(refusal).partition("; build it again")[0] if refusal else "there is none yet"
        _log.warning("building an engine for %s at %dx%d (%s): it takes a while", backend, width, height, why)
        return BuiltEngine(build(model_file, plan).path, exact)
    if refusal is not None:
        raise refusal
    raise BackendError(
        f"there is no {backend} engine of {model_file.spec.name} for {width}x{height}"
        + (f" and {batch} images at a time" if batch and batch > 1 else "")
        + f"; build it: {exact.command}"
    )


def _gpu(backend: str) -> Gpu:
    found = nvidia()
    if not found.gpus:
        raise BackendError(f"{backend} needs an NVIDIA GPU, and there is none here: {found.why}")
    return found.gpus[0]


def _kind(gpu: Gpu) -> str:
    """Return the kind of a GPU as `BuildPlan.gpus` names it."""
    return f"sm{gpu.compute_capability.replace('.', '')}"


def _newest_first(folder: Path, model_file: ModelFile, backend: str, rest: str = "*") -> list[Path]:
    """Return the files in a folder whose names are those of engines of this network and backend.

    Args:
        folder: of engines.
        model_file: the network.
        backend: the one they are for.
        rest: pattern of their names' rest.
    """
    pattern = f"{model_file.spec.name}-{backend}-{rest}{TARGETS[backend].suffix}"
    paths = [path for path in folder.glob(pattern) if path.is_file()]
    return sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)


def _as_built(path: Path, exact: EngineRecipe, gpu: Gpu) -> EngineRecipe | None:
    """Return the recipe that an engine on disk must have to be accepted for the sizes it was built for.

    It is `exact` with the sizes from the engine's JSON, and with its kinds of GPU if `gpu` is among them.
    None where the JSON lacks them, or names another network: `path` may be an engine of hprnet-dla34-hm1
    where one of hprnet-dla34 is searched for.
    """
    try:
        data: Any = json.loads(sidecar_path(path).read_text(encoding="utf-8"))
        sizes: dict[str, tuple[int, int]] = {axis: (data[axis][0], data[axis][1]) for axis in _AXES}
        if data["model"] != exact.model or data["backend"] != exact.backend:
            return None
        kinds = tuple(data["gpus"])
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    fits = TARGETS[exact.backend].gpu_kinds and _kind(gpu) in kinds
    return dataclasses.replace(exact, **sizes, gpus=kinds if fits else exact.gpus)  # type: ignore[arg-type]


def _covers(recipe: EngineRecipe, input_hw: tuple[int, int], batch: int | None) -> bool:
    """Return whether an engine takes inputs of a size, and `batch` images at a time."""
    height, width = input_hw
    sizes = ((height, recipe.height), (width, recipe.width), (batch or recipe.batch[0], recipe.batch))
    return all(low <= size <= high for size, (low, high) in sizes)


def _spread(recipe: EngineRecipe) -> int:
    """Return how far the sizes of an engine reach, in pixels and images together."""
    return sum(high - low for low, high in (recipe.batch, recipe.height, recipe.width))
