"""The built engine that a GPU backend is to run: found by its description, or built now."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any, Final

from hprnet_rt.backends import ModelFile
from hprnet_rt.backends.built_engine import BuiltEngine, EngineRecipe, check_sidecar, sidecar_path
from hprnet_rt.backends.trt import load_library
from hprnet_rt.building.make import build, built_folder, recipe_of
from hprnet_rt.building.plan import BUILD_PRECISIONS, BuildPlan
from hprnet_rt.errors import BackendError, ModelError
from hprnet_rt.machine import Gpu, nvidia

__all__ = ["find_built"]

_log = logging.getLogger(__name__)

_ANY_GPU: Final = "tensorrt-rtx"  # builds for kinds of GPU, not for the one that is there
_LEAST_USUAL: Final = 8.0  # compute capability of Ampere, the first that TensorRT-RTX builds for unasked
_USUAL_BATCH: Final = 8
_AXES: Final = ("batch", "height", "width")


def find_built(
    engine: ModelFile,
    backend: str,
    *,
    precision: str,
    input_hw: tuple[int, int],
    batch: int | None,
    may_build: bool,
) -> BuiltEngine:
    """See `FindBuilt`. Of several that fit, the one that was built for the fewest sizes is taken."""
    library = load_library(backend)
    gpu = _gpu(backend)
    height, width = input_hw
    count = batch or _USUAL_BATCH
    plan = BuildPlan(
        backend,
        BUILD_PRECISIONS[0] if precision == "auto" else precision,
        (count, count),
        (height, height, height),
        (width, width, width),
        () if backend != _ANY_GPU or float(gpu.compute_capability) >= _LEAST_USUAL else (_kind(gpu),),
    )
    wanted = recipe_of(engine, plan, library)
    fitting: list[BuiltEngine] = []
    refusal: ModelError | None = None
    for path in _newest_first(built_folder(), engine, backend):
        recipe = _as_built(path, wanted, gpu)
        if recipe is None or not _covers(recipe, input_hw, batch):
            continue
        try:
            check_sidecar(path, recipe)
            fitting.append(BuiltEngine(path, recipe))
        except ModelError as error:
            refusal = refusal or error
    if fitting:
        return min(fitting, key=lambda each: _spread(each.recipe))
    if may_build:
        why = str(refusal).partition("; build it again")[0] if refusal else "there is none yet"
        _log.warning("building an engine for %s at %dx%d (%s): it takes a while", backend, width, height, why)
        return BuiltEngine(build(engine, plan).path, wanted)
    if refusal is not None:
        raise refusal
    raise BackendError(
        f"there is no {backend} engine of {engine.spec.name} for {width}x{height}"
        + (f" and {batch} images at a time" if batch and batch > 1 else "")
        + f"; build it: {wanted.command}"
    )


def _gpu(backend: str) -> Gpu:
    found = nvidia()
    if not found.gpus:
        raise BackendError(f"{backend} needs an NVIDIA GPU, and there is none here: {found.why}")
    return found.gpus[0]


def _kind(gpu: Gpu) -> str:
    return f"sm{gpu.compute_capability.replace('.', '')}"


def _newest_first(folder: Path, engine: ModelFile, backend: str) -> list[Path]:
    """Engines of the network and backend, by the names that `build` gives them."""
    paths = [path for path in folder.glob(f"{engine.spec.name}-{backend}-*.engine") if path.is_file()]
    return sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)


def _as_built(path: Path, wanted: EngineRecipe, gpu: Gpu) -> EngineRecipe | None:
    """`wanted` with the sizes, and the kinds of GPU if this one is among them, that an engine was built for.

    None where the JSON does not say them; an engine of a longer name (hprnet-dla34-hm1 for hprnet-dla34) is
    told by its model.
    """
    try:
        data: Any = json.loads(sidecar_path(path).read_text(encoding="utf-8"))
        sizes: dict[str, tuple[int, int]] = {axis: (data[axis][0], data[axis][1]) for axis in _AXES}
        if data["model"] != wanted.model or data["backend"] != wanted.backend:
            return None
        kinds = tuple(data["gpus"])
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    fits = wanted.backend == _ANY_GPU and _kind(gpu) in kinds
    return dataclasses.replace(wanted, **sizes, gpus=kinds if fits else wanted.gpus)  # type: ignore[arg-type]


def _covers(recipe: EngineRecipe, input_hw: tuple[int, int], batch: int | None) -> bool:
    asked = {"height": input_hw[0], "width": input_hw[1], "batch": batch or recipe.batch[0]}
    ranges = {"height": recipe.height, "width": recipe.width, "batch": recipe.batch}
    return all(low <= asked[axis] <= high for axis, (low, high) in ranges.items())


def _spread(recipe: EngineRecipe) -> int:
    return sum(high - low for low, high in (recipe.batch, recipe.height, recipe.width))
