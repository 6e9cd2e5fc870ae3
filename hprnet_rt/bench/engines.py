"""Every network on every library: dense heads against sparse ones, and the forms of deformable convolution.

Weights are random, offsets of deformable convolutions about a cell. "sparse" is what this project runs: two
heat-maps everywhere, all other heads at the peaks, decode in the graph. "dense" is what the released code
runs: every head everywhere, maps to the host, no decode counted. All variants of a network, library and batch
take turns in one run, so that the ratio stands where the machine drifts.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from hprnet_rt.bench.measure import Limits, lapped, take_turns
from hprnet_rt.bench.raw_engine import Run, onnxruntime_run, openvino_run
from hprnet_rt.bench.report import Report, series_of
from hprnet_rt.bench.subject import on_demand
from hprnet_rt.errors import UsageError
from hprnet_rt.spec import SPECS

__all__ = ["LIBRARIES", "EnginesOptions", "engines_settings", "measure_engines"]

_K: Final = 32
LIBRARIES: Final = ("onnxruntime fp32", "openvino fp32", "openvino bf16")
"""What networks run on here."""


@dataclass(frozen=True)
class EnginesOptions:
    """What is measured: networks x libraries x sizes x batches.

    Attributes:
        models: names of networks.
        libraries: of `LIBRARIES`.
        sizes: sides of the square inputs; None for each network's own.
        batches: images at once.
        threads: of the libraries; all cores when None.
        limits: for each network, library, size and batch.
    """

    models: Sequence[str] = tuple(SPECS)
    libraries: Sequence[str] = LIBRARIES
    sizes: Sequence[int] | None = None
    batches: Sequence[int] = (1,)
    threads: int | None = None
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        for wanted, known in ((self.models, tuple(SPECS)), (self.libraries, LIBRARIES)):
            for name in wanted:
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


def _loaded(library: str, path: Path, batch: int, side: int, threads: int | None) -> Run:
    name, precision = library.split()
    if name == "onnxruntime":
        return onnxruntime_run(path, threads)
    return openvino_run(path, (side, side), threads, bf16=precision == "bf16", batch=batch)


def engines_settings(options: EnginesOptions) -> dict[str, Any]:
    """What must be equal for figures of `measure_engines` to be compared."""
    return {
        "models": list(options.models),
        "libraries": list(options.libraries),
        "sizes": options.sizes and list(options.sizes),
        "batches": list(options.batches),
        "threads": options.threads,
    }


def measure_engines(
    options: EnginesOptions, *, progress: Callable[[int, float], None] | None = None
) -> Report:
    """Measure every combination.

    Raises:
        BackendError: torch, which makes the networks, is missing.
    """
    networks = on_demand("networks")
    measured: dict[str, dict[str, list[float]]] = {}
    costs: dict[str, Any] = {}
    for name in options.models:
        with tempfile.TemporaryDirectory(prefix="hprnet-rt-bench-") as folder:
            network = networks.random_network(name)
            files = {
                "sparse": networks.export_engine(network, Path(folder), k=_K).path,
                "dense": networks.export_dense(network, Path(folder)),
            }
            if networks.has_deform_conv(network):
                sampled = networks.export_engine(network, Path(folder), k=_K, deform="grid_sample")
                files["sparse, grid_sample"] = sampled.path
            for side in options.sizes or (SPECS[name].input_px,):
                costs[f"{name} at {side}"] = {
                    kind: round(networks.gmac(name, side, dense=kind == "dense"), 2)
                    for kind in ("sparse", "dense")
                }
                for batch in options.batches:
                    for library in options.libraries:
                        case = f"{name} at {side}, {library}" + (f", {batch} images" if batch > 1 else "")
                        measured[case] = _one(files, library, batch, side, options, progress)
    settings = engines_settings(options)
    return Report("engines", settings, series_of(measured), {"gmac": costs, "random_weights": True})


def _one(
    files: dict[str, Path],
    library: str,
    batch: int,
    side: int,
    options: EnginesOptions,
    progress: Callable[[int, float], None] | None,
) -> dict[str, list[float]]:
    """Seconds of every variant of a network on one library."""
    images = np.random.default_rng(0).integers(0, 256, (batch, side, side, 3), np.uint8)
    runs = {kind: _loaded(library, path, batch, side, options.threads) for kind, path in files.items()}

    def task(kind: str) -> Callable[[], dict[str, float]]:
        return lambda: lapped((kind, lambda: runs[kind](images)))

    turns = take_turns({kind: task(kind) for kind in runs}, options.limits, progress=progress)
    return {kind: turns[kind][kind] for kind in runs}
