"""This package's path against the released one, on the same weights, in one run.

The released path computes every head everywhere, brings all maps to the host, decodes and matches them as
tensors and puts people together in Python. It runs twice: with its network on the backend that ours has, and
in PyTorch, as it was released.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hprnet_rt.backends import Backend
from hprnet_rt.bench.measure import Limits, take_turns, time_steps
from hprnet_rt.bench.raw_onnx import dense_run
from hprnet_rt.bench.report import BenchReport, series_of
from hprnet_rt.bench.scenes import picture, planted_heads, planted_peaks, require_people
from hprnet_rt.bench.subject import ModelOptions, Subject, on_demand

__all__ = ["ReleasedOptions", "ReleasedPipeline", "measure_released", "released_settings"]

_WHOLE: Final = "end to end"
_REPEATS: Final = 5
_AFTER: Final = "after the network"


@dataclass(frozen=True)
class ReleasedOptions:
    """Options of `measure_released`.

    Attributes:
        people: in the scene.
        image_wh: size of the picture.
        limits: when to stop measuring.
        in_torch: run the released path in PyTorch too.
    """

    people: int = 20
    image_wh: tuple[int, int] = (1280, 720)
    limits: Limits = field(default_factory=Limits)
    in_torch: bool = True

    def __post_init__(self) -> None:
        require_people(self.people)


def _network_of(subject: Subject) -> Any:
    """Return the network in PyTorch, with random weights where it has no others."""
    networks = on_demand("networks")
    if subject.random:
        return networks.random_network(subject.model_file.spec.name)
    return networks.network_of(subject.model_file)


def _median_of(repeats: int, run: Callable[[], object]) -> float:
    """Return the median duration of `run` in seconds."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def released_settings(
    subject: Subject, model_options: ModelOptions, options: ReleasedOptions
) -> dict[str, Any]:
    """Return the settings that must be equal for figures of `measure_released` to be compared."""
    return {
        **model_options.settings(subject.model_file),
        "people": options.people,
        "picture": list(options.image_wh),
        "in_torch": options.in_torch,
    }


def measure_released(
    subject: Subject,
    model_options: ModelOptions,
    options: ReleasedOptions,
    *,
    progress: Callable[[int, float], None] | None = None,
) -> BenchReport:
    """Measure both paths in turns: the network on a picture, the steps after it on the same planted maps.

    Raises:
        BackendError: torch is missing, or an engine cannot run.
    """
    networks, tensors = on_demand("networks"), on_demand("tensor_decode")
    networks.use_threads(model_options.threads)
    spec, k = subject.model_file.spec, subject.model_file.k
    network = _network_of(subject)
    dense_path = networks.export_dense(network, subject.folder)
    image = picture(options.people, options.image_wh)
    names = [head.name for head in spec.heads]
    with model_options.open(subject.model_file) as model:
        batch, letterbox = model.prepare(image)
        backend = model.backend_for(letterbox.input_hw)
        ranks = max(k, options.people)
        peaks = planted_peaks(spec, options.people, letterbox, ranks)
        maps = planted_heads(spec, options.people, letterbox.input_hw)
        threshold = model.group.options.person_threshold
        dense = dense_run(dense_path, backend, letterbox.input_hw, model_options.threads)

        def after() -> object:
            rows = tensors.decode(maps, spec, ranks)
            return tensors.group(rows, spec, letterbox, threshold)

        def ours() -> dict[str, float]:
            times = time_steps(("network and decode", lambda: model.infer(batch, letterbox)))
            times["grouping"] = _median_of(_REPEATS, lambda: model.group(peaks))
            return {**times, _WHOLE: sum(times.values())}

        def released(run: Callable[[Any], Any]) -> Callable[[], dict[str, float]]:
            def task() -> dict[str, float]:
                times = time_steps(("network, dense maps", lambda: run(batch)), (_AFTER, after))
                return {**times, _WHOLE: sum(times.values())}

            return task

        tasks = {"ours": ours, "released, same backend": released(dense)}
        if options.in_torch:
            tasks["released, PyTorch"] = released(networks.dense_torch(network, names))
        measured = take_turns(tasks, options.limits, watched=(_WHOLE,), progress=progress)
        description = model.description
    settings = released_settings(subject, model_options, options)
    series = series_of(measured, (_WHOLE,))
    report = BenchReport("released", settings, series)
    summary: dict[str, Any] = {
        "engine": description,
        "random_weights": subject.random,
        "map_mb": round(sum(values.nbytes for values in maps.values()) / 1e6, 2),
        "peaks_mb": round(peaks.packed.nbytes / 1e6, 3),
    }
    for name in list(tasks)[1:]:
        pairs = zip(measured[name][_WHOLE], measured["ours"][_WHOLE], strict=True)
        summary[f"{name}: times as long"] = round(
            float(np.median([theirs / own for theirs, own in pairs])), 2
        )
    after_ms = report.find("released, same backend", _AFTER).p50_ms
    summary["decode, match and group against grouping"] = round(
        after_ms / report.find("ours", "grouping").p50_ms, 1
    )
    return BenchReport(report.kind, settings, series, summary, report.machine)


class ReleasedPipeline:
    """The released path as a peer of `measure_people`: the maps after the network are planted.

    Args:
        subject: the network.
        model_options: how it runs.
        backend: of the model; the dense network runs on its library.

    Attributes:
        description, note: see `Peer`.

    Raises:
        BackendError: torch is missing, or the engine cannot run.
    """

    note = "dense maps to the host, decoded and matched as tensors; planted maps"

    def __init__(self, subject: Subject, model_options: ModelOptions, backend: Backend) -> None:
        networks, self._tensors = on_demand("networks"), on_demand("tensor_decode")
        networks.use_threads(model_options.threads)
        self._spec, self._k = subject.model_file.spec, subject.model_file.k
        path = networks.export_dense(_network_of(subject), subject.folder)
        with model_options.open(subject.model_file) as model:
            self._letterbox, self._threshold = model.letterbox, model.group.options.person_threshold
        self._dense = functools.cache(
            lambda input_hw: dense_run(path, backend, input_hw, model_options.threads)
        )
        self._planted = functools.cache(lambda people, input_hw: planted_heads(self._spec, people, input_hw))
        self.description = f"{backend.description}, the same network with every head everywhere"

    def __call__(self, image: npt.NDArray[np.uint8], people: int) -> dict[str, float]:
        """Return the seconds by stage for an image (H, W, 3), as if this number of people were in it."""
        letterbox = self._letterbox(image.shape[:2])
        run, maps = self._dense(letterbox.input_hw), self._planted(people, letterbox.input_hw)
        ranks = max(self._k, people)
        start = time.perf_counter()
        run(letterbox.apply(image))
        mapped = time.perf_counter()
        rows = self._tensors.decode(maps, self._spec, ranks)
        self._tensors.group(rows, self._spec, letterbox, self._threshold)
        end = time.perf_counter()
        return {"network, dense maps": mapped - start, _AFTER: end - mapped, _WHOLE: end - start}
