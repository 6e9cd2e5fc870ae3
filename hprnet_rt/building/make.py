"""From a plan to files: the graph, the library, the description beside the engine."""

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
    INT8,
    EngineRecipe,
    check_sidecar,
    sidecar_path,
    spec_sha256,
    write_sidecar,
)
from hprnet_rt.backends.trt import LIBRARIES, InputRange, build_engine, load_library
from hprnet_rt.building.int8 import build_int8
from hprnet_rt.building.plan import BuildPlan
from hprnet_rt.environment import cache_folder
from hprnet_rt.errors import BackendError, HprnetError, ModelError, OutputError
from hprnet_rt.machine import nvidia

__all__ = ["Built", "build", "built_folder", "recipe_of"]

_log = logging.getLogger(__name__)

_GRAPH: Final = "hprnet_rt.graph"
_SUFFIXES: Final = {"tensorrt": ".engine", "tensorrt-rtx": ".engine", "openvino": ".xml", "onnx": ".onnx"}
_OWN_GPU: Final = "tensorrt"  # builds for the GPU that it runs on, and for no other
_TIMING: Final = "tensorrt"  # times kernels while it builds


@dataclass(frozen=True)
class Built:
    """An engine on disk.

    Attributes:
        path: its file; the description is the JSON beside it.
        fresh: built now, not found.
        seconds: that it took.
    """

    path: Path
    fresh: bool
    seconds: float


def built_folder() -> Path:
    """Where engines are built unless another folder is asked for; it need not exist."""
    return cache_folder() / "engines" / "built"


def build(
    engine: ModelFile,
    plan: BuildPlan,
    folder: Path | None = None,
    *,
    calibrate: Path | None = None,
    overwrite: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Built:
    """Build an engine, unless the very same is there.

    Args:
        engine: the network.
        plan: what to build.
        folder: where; `built_folder()` when None.
        calibrate: a video or a folder of images to calibrate an int8 engine with, see `build_int8`; it is
            built again then.
        overwrite: build it again though it is there.
        progress: called with a phase of the build, the steps done in it, and all its steps.

    Raises:
        UsageError: the library cannot do what is planned.
        BackendError: a library is missing, no GPU is there to build on, or the build fails.
        ModelError: the ONNX file is damaged, or an int8 engine is not accepted.
        MediaError: the frames to calibrate with cannot be read.
        OutputError: the folder cannot be written.
    """
    library = load_library(plan.backend) if plan.backend in LIBRARIES else None
    recipe = recipe_of(engine, plan, library)
    place = built_folder() if folder is None else folder
    path = place / f"{recipe.stem}{_SUFFIXES[plan.backend]}"
    try:
        place.mkdir(parents=True, exist_ok=True)
        if not overwrite and calibrate is None and _is_there(path, engine, recipe):
            return Built(path, fresh=False, seconds=0.0)
        started = time.perf_counter()
        measured = None
        if plan.precision == INT8:
            measured = build_int8(engine, calibrate, path, progress=progress)
        else:
            _build_typed(engine, plan, library, path, progress)
        seconds = time.perf_counter() - started
        if plan.backend == "onnx":
            ModelFile.describe(path, engine.spec, engine.k, engine.source, engine.licence)
        else:
            write_sidecar(path, recipe, engine.spec, build_seconds=seconds, measured=measured)
    except HprnetError:  # some are OSErrors too: frames that cannot be read
        raise
    except OSError as error:
        raise OutputError(
            f"cannot write in {place}: {error.strerror or error}; make room there, or choose another folder "
            "with -o"
        ) from error
    return Built(path, fresh=True, seconds=seconds)


def _build_typed(
    engine: ModelFile,
    plan: BuildPlan,
    library: Any,
    path: Path,
    progress: Callable[[str, int, int], None] | None,
) -> None:
    """Write an engine whose precision is in its graph."""
    graphs = _graphs()
    graph = graphs.engine_graph(engine.path, plan.precision)
    graphs.fix_input(graph, plan.fixed_batch, plan.fixed_hw)
    made = graph.SerializeToString()
    if library is not None:
        made = _by_tensorrt(library, made, plan, path.parent, progress)
    if plan.backend == "openvino":
        _by_openvino(made, path)
    else:
        _write(path, made)


def _graphs() -> Any:
    try:
        return importlib.import_module(_GRAPH)
    except ImportError as error:
        raise _missing(error) from error


def _missing(error: ImportError) -> BackendError:
    package = error.name or "onnx"
    return BackendError(f"building an engine needs the package {package}: pip install 'hprnet-rt[build]'")


def recipe_of(engine: ModelFile, plan: BuildPlan, library: Any) -> EngineRecipe:
    """What an engine of a plan is, on this machine.

    Args:
        engine, plan: see `build`.
        library: from `load_library`; None for backends without one.

    Raises:
        BackendError: the engine is for this machine's GPU, and there is none, or a package is missing.
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
        model=engine.spec.name,
        spec_sha256=spec_sha256(engine.spec),
        onnx_sha256=engine.sha256,
        k=engine.k,
        precision=plan.precision,
        batch=plan.batch,
        height=(plan.height[0], plan.height[2]),
        width=(plan.width[0], plan.width[2]),
        gpus=_own_gpu() if plan.backend == _OWN_GPU else plan.gpus,
        library=name,
        library_version=version,
    )


def _own_gpu() -> tuple[str, ...]:
    """The GPU of this machine, as a recipe names it."""
    found = nvidia()
    if not found.gpus:
        raise BackendError(
            f"tensorrt builds an engine on the GPU that will run it, and there is none here: {found.why}; "
            "--backend tensorrt-rtx builds without one"
        )
    gpu = found.gpus[0]
    return (f"{gpu.name} ({gpu.compute_capability})",)


def _is_there(path: Path, engine: ModelFile, recipe: EngineRecipe) -> bool:
    """Whether the very engine exists; says why one that looks like it is built again."""
    if not (path.is_file() and sidecar_path(path).is_file()):
        return False
    try:
        if recipe.backend == "onnx":
            return ModelFile.find(path).spec == engine.spec
        check_sidecar(path, recipe)
    except ModelError as error:
        _log.warning("%s; building it again", str(error).partition("; build it again")[0])
        return False
    return True


def _by_tensorrt(
    library: Any,
    graph: bytes,
    plan: BuildPlan,
    place: Path,
    progress: Callable[[str, int, int], None] | None,
) -> bytes:
    """The engine; what the library has timed is kept for the next build."""
    low, high = plan.batch
    sizes = InputRange((low, high, high), plan.height, plan.width)
    timings = place / f"{library.__name__}-{library.__version__}.timing"
    before = None
    if plan.backend == _TIMING:
        before = timings.read_bytes() if timings.is_file() else b""
    made, timed = build_engine(library, graph, sizes, gpus=plan.gpus, timing_cache=before, progress=progress)
    if timed and timed != before:
        _write(timings, timed)
    return made


def _by_openvino(graph: bytes, path: Path) -> None:
    """OpenVINO's own form, an XML file and the weights beside it."""
    import openvino

    openvino.save_model(openvino.Core().read_model(graph), path, compress_to_fp16=False)


def _write(path: Path, data: bytes) -> None:
    """A reader finds the whole file or none."""
    partial = path.with_name(f"{path.stem}.partial{path.suffix}")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
