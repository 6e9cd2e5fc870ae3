"""`bench engines`: every network on every library, with sparse and with dense heads.

Weights are random, and the offsets of deformable convolutions are about a cell. "sparse" is what this project
runs: two heat-maps on the whole map, all other heads at the peaks, decoding in the graph. "dense" is what the
released code runs: every head on the whole map, maps copied to the host; decoding is not counted. "sparse,
grid_sample" has deformable convolutions made of GridSample. All variants of a network, library and batch take
turns in one run, so that drifts of the machine do not change their ratios.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from hprnet_rt.bench.measure import Limits, take_turns, time_steps
from hprnet_rt.bench.raw_onnx import Run, onnxruntime_run, openvino_run
from hprnet_rt.bench.report import BenchReport, series_of
from hprnet_rt.bench.subject import on_demand
from hprnet_rt.errors import UsageError
from hprnet_rt.spec import SPECS

__all__ = ["LIBRARIES", "EnginesOptions", "engines_settings", "measure_engines"]

_K: Final = 32
LIBRARIES: Final = ("onnxruntime fp32", "openvino fp32", "openvino bf16")
"""Libraries with a precision, on which networks run."""


@dataclass(frozen=True)
class EnginesOptions:
    """What `measure_engines` measures: every combination of networks, libraries, sizes and batches.

    Attributes:
        models: names of networks.
        libraries: of `LIBRARIES`.
        sizes: sides of the square inputs; None for each network's own.
        batches: numbers of images at once.
        threads: of the libraries; all cores when None.
        limits: of the measurement of each combination.
    """

    models: Sequence[str] = tuple(SPECS)
    libraries: Sequence[str] = LIBRARIES
    sizes: Sequence[int] | None = None
    batches: Sequence[int] = (1,)
    threads: int | None = None
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        for names, known in ((self.models, tuple(SPECS)), (self.libraries, LIBRARIES)):
            for name in names:
                if name not in known:
                    raise UsageError(f"there is no {name!r}; use one of: {', '.join(known)}")
        if min(self.batches, default=0) < 1:
            raise UsageError(f"a batch is 1 image or more, got {list(self.batches)}")
        for size in self.sizes or ():
            for name in self.models:
                if size <= 0 or size % SPECS[name].multiple_px:
                    raise UsageError(
                        f"{name} takes sizes that are multiples of {SPECS[name].multiple_px}, got {size}"
                    )


def _load(library: str, path: Path, batch: int, side: int, threads: int | None) -> Run:
    name, precision = library.split()
    if name == "onnxruntime":
        return onnxruntime_run(path, threads)
    return openvino_run(path, (side, side), threads, bf16=precision == "bf16", batch=batch)


def engines_settings(options: EnginesOptions) -> dict[str, Any]:
    """Return the settings that must be equal for figures of `measure_engines` to be compared."""
    return {
        "models": list(options.models),
        "libraries": list(options.libraries),
        "sizes": options.sizes and list(options.sizes),
        "batches": list(options.batches),
        "threads": options.threads,
    }


def measure_engines(
    options: EnginesOptions, *, progress: Callable[[int, float], None] | None = None
) -> BenchReport:
    """Measure every combination.

    Args:
        options: what is measured.
        progress: see `take_turns`.

    Raises:
        BackendError: torch, which makes the networks, is not installed.
    """
    networks = on_demand("networks")
    measured: dict[str, dict[str, list[float]]] = {}
    costs: dict[str, Any] = {}
    for name in options.models:
        with tempfile.TemporaryDirectory(prefix="hprnet-rt-bench-") as folder:
            network = networks.random_network(name)
            files = {
                "sparse": networks.export_model_file(network, Path(folder), k=_K).path,
                "dense": networks.export_dense(network, Path(folder)),
            }
            if networks.has_deform_conv(network):
                sampled = networks.export_model_file(network, Path(folder), k=_K, deform="grid_sample")
                files["sparse, grid_sample"] = sampled.path
            for side in options.sizes or (SPECS[name].input_px,):
                costs[f"{name} at {side}"] = {
                    kind: round(networks.gmac(name, side, dense=kind == "dense"), 2)
                    for kind in ("sparse", "dense")
                }
                for batch in options.batches:
                    for library in options.libraries:
                        case = f"{name} at {side}, {library}" + (f", {batch} images" if batch > 1 else "")
                        measured[case] = _measure_case(files, library, batch, side, options, progress)
    settings = engines_settings(options)
    return BenchReport("engines", settings, series_of(measured), {"gmac": costs, "random_weights": True})


def _measure_case(
    files: dict[str, Path],
    library: str,
    batch: int,
    side: int,
    options: EnginesOptions,
    progress: Callable[[int, float], None] | None,
) -> dict[str, list[float]]:
    """Measure every variant of a network on one library, and return the seconds of all rounds by variant."""
    images = np.random.default_rng(0).integers(0, 256, (batch, side, side, 3), np.uint8)
    runs = {kind: _load(library, path, batch, side, options.threads) for kind, path in files.items()}

    def task(kind: str) -> Callable[[], dict[str, float]]:
        return lambda: time_steps((kind, lambda: runs[kind](images)))

    turns = take_turns({kind: task(kind) for kind in runs}, options.limits, progress=progress)
    return {kind: turns[kind][kind] for kind in runs}
