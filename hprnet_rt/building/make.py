"""Building: from a plan to an engine on disk, with its description beside it."""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hprnet_rt.backends import ModelFile
from hprnet_rt.backends.built_engine import (
    BuiltEngine,
    EngineRecipe,
    check_sidecar,
    sidecar_path,
    spec_sha256,
    write_sidecar,
)
from hprnet_rt.backends.registry import INT8
from hprnet_rt.backends.trt import InputRange, build_engine, load_library, require_support
from hprnet_rt.building.int8 import build_int8
from hprnet_rt.building.plan import BuildPlan
from hprnet_rt.building.targets import TARGETS
from hprnet_rt.environment import cache_folder
from hprnet_rt.errors import BackendError, HprnetError, ModelError, OutputError
from hprnet_rt.machine import nvidia

__all__ = ["Built", "build", "built_folder", "recipe_of"]

_log = logging.getLogger(__name__)

_GRAPH: Final = "hprnet_rt.graph"


@dataclass(frozen=True)
class Built:
    """An engine on disk.

    Attributes:
        path: its file; the description is the JSON beside it.
        fresh: it was built now, not found.
        seconds: the duration of the build.
    """

    path: Path
    fresh: bool
    seconds: float


def built_folder() -> Path:
    """Return the folder for engines unless another one is asked for; it may not exist yet."""
    return cache_folder() / "engines" / "built"


def build(
    model_file: ModelFile,
    plan: BuildPlan,
    folder: Path | None = None,
    *,
    calibrate: Path | None = None,
    overwrite: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Built:
    """Build an engine, unless the same one exists.

    Args:
        model_file: the network.
        plan: the engine to build.
        folder: the folder to write; `built_folder()` when None.
        calibrate: a video or a folder of images to calibrate an int8 engine with, see `build_int8`; the
            engine is then built again even if it exists.
        overwrite: build it again even if it exists.
        progress: called with a phase of the build, the steps done in it, and all its steps.

    Raises:
        UsageError: the library cannot build what is planned.
        BackendError: a library or the GPU to build on is missing, or the build fails.
        ModelError: the ONNX file is damaged, or an int8 engine is not accepted.
        MediaError: the frames to calibrate with cannot be read.
        OutputError: the folder cannot be written.
    """
    target = TARGETS[plan.backend]
    library = load_library(plan.backend) if target.tensorrt else None
    recipe = recipe_of(model_file, plan, library)
    if target.gpu_kinds and not plan.gpus:
        _require_own_gpu(library)
    folder = built_folder() if folder is None else folder
    path = folder / f"{recipe.stem}{target.suffix}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not overwrite and calibrate is None and _exists(path, model_file, recipe):
            return Built(path, fresh=False, seconds=0.0)
        started = time.perf_counter()
        measured = None
        if plan.precision == INT8:
            measured = build_int8(model_file, calibrate, BuiltEngine(path, recipe), progress=progress)
        else:
            _build_typed(model_file, plan, library, path, progress)
        seconds = time.perf_counter() - started
        if plan.backend == "onnx":
            ModelFile.describe(path, model_file.spec, model_file.k, model_file.source, model_file.licence)
        else:
            write_sidecar(path, recipe, model_file.spec, build_seconds=seconds, measured=measured)
    except HprnetError:  # some are OSErrors too: frames that cannot be read
        raise
    except OSError as error:
        raise OutputError(
            f"cannot write in {folder}: {error.strerror or error}; make room there, or choose another folder "
            "with -o"
        ) from error
    return Built(path, fresh=True, seconds=seconds)


def _build_typed(
    model_file: ModelFile,
    plan: BuildPlan,
    library: Any,
    path: Path,
    progress: Callable[[str, int, int], None] | None,
) -> None:
    """Write an engine whose precision is in its graph."""
    graphs = _graphs()
    graph = graphs.engine_graph(model_file.path, plan.precision)
    graphs.fix_input(graph, plan.fixed_batch, plan.fixed_hw)
    data = graph.SerializeToString()
    if library is not None:
        data = _by_tensorrt(library, data, plan, path.parent, progress)
    if plan.backend == "openvino":
        _by_openvino(data, path)
    else:
        _write(path, data)


def _graphs() -> Any:
    try:
        return importlib.import_module(_GRAPH)
    except ImportError as error:
        raise _missing(error) from error


def _missing(error: ImportError) -> BackendError:
    package = error.name or "onnx"
    return BackendError(f"building an engine needs the package {package}: pip install 'hprnet-rt[build]'")


def recipe_of(model_file: ModelFile, plan: BuildPlan, library: Any) -> EngineRecipe:
    """Return the recipe of a planned engine on this machine.

    Args:
        model_file, plan: see `build`.
        library: from `load_library`; None for targets other than TensorRT.

    Raises:
        BackendError: the engine is for this machine's GPU, and there is none; or a package is missing.
    """
    if library is not None:
        name, version = library.__name__, str(library.__version__)
    else:
        try:
            name, version = plan.backend, importlib.metadata.version(plan.backend)
        except ImportError as error:
            raise _missing(error) from error
    return EngineRecipe(
        backend=plan.backend,
        model=model_file.spec.name,
        spec_sha256=spec_sha256(model_file.spec),
        onnx_sha256=model_file.sha256,
        k=model_file.k,
        precision=plan.precision,
        batch=plan.batch,
        height=(plan.height[0], plan.height[2]),
        width=(plan.width[0], plan.width[2]),
        gpus=_own_gpu() if TARGETS[plan.backend].own_gpu else plan.gpus,
        library=name,
        library_version=version,
    )


def _own_gpu() -> tuple[str, ...]:
    """Return the GPU of this machine, as a recipe names it."""
    found = nvidia()
    if not found.gpus:
        raise BackendError(
            f"tensorrt builds an engine on the GPU that will run it, and there is none here: {found.why}; "
            "--backend tensorrt-rtx builds without one"
        )
    gpu = found.gpus[0]
    return (f"{gpu.name} ({gpu.compute_capability})",)


def _require_own_gpu(library: Any) -> None:
    """Refuse to build an engine for this machine's GPU, where it has one, that could not run on it."""
    gpus = nvidia().gpus
    if not gpus:
        return  # for another machine
    try:
        require_support(library, gpus[0])
    except BackendError as error:
        raise BackendError(f"{error}; for the GPU of another machine, name its kind with --gpu") from error


def _exists(path: Path, model_file: ModelFile, recipe: EngineRecipe) -> bool:
    """Return whether an engine exists that fits; log why one under its name is built again."""
    if not (path.is_file() and sidecar_path(path).is_file()):
        return False
    try:
        if recipe.backend == "onnx":
            return ModelFile.find(path).spec == model_file.spec
        check_sidecar(path, recipe)
    except ModelError as error:
        _log.warning("%s; building it again", str(error).partition("; build it again")[0])
        return False
    return True


def _by_tensorrt(
    library: Any,
    graph: bytes,
    plan: BuildPlan,
    folder: Path,
    progress: Callable[[str, int, int], None] | None,
) -> bytes:
    """Return an engine of TensorRT; its timings are kept in `folder` for the next build."""
    low, high = plan.batch
    sizes = InputRange((low, high, high), plan.height, plan.width)
    timings = folder / f"{library.__name__}-{library.__version__}.timing"
    earlier = None
    if TARGETS[plan.backend].timing_cache:
        earlier = timings.read_bytes() if timings.is_file() else b""
    made, timed = build_engine(library, graph, sizes, gpus=plan.gpus, timing_cache=earlier, progress=progress)
    if timed and timed != earlier:
        _write(timings, timed)
    return made


def _by_openvino(graph: bytes, path: Path) -> None:
    """Write a graph in OpenVINO's own format, an XML file and the weights beside it."""
    import openvino

    openvino.save_model(openvino.Core().read_model(graph), path, compress_to_fp16=False)


def _write(path: Path, data: bytes) -> None:
    """Write a file so that a reader never finds a part of it."""
    partial = path.with_name(f"{path.stem}.partial{path.suffix}")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
