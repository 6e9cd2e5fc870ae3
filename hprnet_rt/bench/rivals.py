"""What the networks of others cost, beside HPRNet, for scenes with a known number of people (torch).

A network takes the same time for whatever is in a picture, so it is timed on one; the decode is timed on
planted maps of everyone. Hands and faces of OpenPose are networks that run once more for each person: they
are timed for a few people, and a line is fitted. The weights are random.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hprnet_rt import skeleton
from hprnet_rt.backends import Backend
from hprnet_rt.bench.measure import Limits, Measured, take_turns, theil_sen
from hprnet_rt.bench.people import ALL, PeopleOptions
from hprnet_rt.bench.planted_maps import people_in, planted_maps
from hprnet_rt.bench.report import BenchReport, series_of
from hprnet_rt.bench.run_like import Run, describe, run_like
from hprnet_rt.bench.scenes import picture, planted_peaks
from hprnet_rt.bench.subject import ModelOptions, open_subject
from hprnet_rt.charts import Chart, Curve
from hprnet_rt.grouping.rivals import BodyAndCrops, Look, RivalGrouper, place
from hprnet_rt.model.rivals import RivalNetwork, create_rival
from hprnet_rt.spec.rivals import OPENPOSE_WHOLEBODY, RIVALS, WHOLEBODY_PARTS
from hprnet_rt.words import counted

__all__ = ["RIVALS_SHOWN", "add_rivals", "rivals_chart"]

FloatArray = npt.NDArray[np.float32]

_OURS: Final = ("hprnet-dla34", "hprnet-hourglass104")
RIVALS_SHOWN: Final = (
    *_OURS,
    WHOLEBODY_PARTS[0],
    OPENPOSE_WHOLEBODY,
    "openpose-body135",
    "ae-hrnet-w32",
)
"""What is timed beside the model, in the order of the chart."""

_NETWORK, _DECODE, _CROPS = "network", "decode", "hands and faces"
_LIMITS: Final = {"least_rounds": 3, "most_rounds": 3, "warm_up": 1}


@dataclass(frozen=True)
class _Contender:
    """What is timed of a model.

    Attributes:
        engine: the library and precision.
        network: runs the network once on the picture.
        decode: for each number of people, makes people of planted maps, and returns how many.
        crops: for each number of people, looks at hands and faces; empty where nothing more is looked at.
    """

    engine: str
    network: Callable[[], object]
    decode: Mapping[int, Callable[[], int]]
    crops: Mapping[int, Callable[[], object]]


def add_rivals(
    report: BenchReport,
    backend: Backend,
    model_options: ModelOptions,
    options: PeopleOptions,
    *,
    names: Sequence[str] = RIVALS_SHOWN,
    progress: Callable[[int, float], None] | None = None,
) -> BenchReport:
    """Time other networks on the scenes of a report of `measure_people`, and return it with their figures.

    Args:
        report: of the model.
        backend: of the model; rivals run on its library and device, in its precision.
        model_options: how networks of this project run.
        options: of the report.
        names: which ones, of `RIVALS_SHOWN`.
        progress: see `take_turns`.
    """
    measured: Measured = {}
    summaries: dict[str, Any] = {}
    for name in names:
        ours = name in _OURS
        with (
            _ours(name, model_options, options) if ours else _theirs(name, model_options, options, backend)
        ) as contender:
            found = {people: run() for people, run in contender.decode.items()}
            times = _times(name, contender, options, progress)
        measured |= times
        summaries[name] = _summary(name, contender, times, found)
    return replace(
        report,
        settings={**report.settings, "rivals": list(names)},
        series=(*report.series, *series_of(measured, ())),
        summary={**report.summary, "rivals": summaries},
    )


@contextmanager
def _ours(name: str, model_options: ModelOptions, options: PeopleOptions) -> Iterator[_Contender]:
    """Open a network of this project; its decode is the grouping of planted peaks."""
    image = picture(max(options.counts), options.image_wh)
    settings = replace(model_options, input_px=None)
    with open_subject(name) as subject, settings.open(subject.model_file) as model:
        prepared = model.prepare(image)
        most = max(*options.counts, subject.model_file.k)
        peaks = {n: planted_peaks(subject.model_file.spec, n, prepared[1], most) for n in options.counts}

        def decode(people: int) -> Callable[[], int]:
            return lambda: len(model.group(peaks[people]))

        decodes = {people: decode(people) for people in peaks}
        note = "random weights" if subject.random else "its weights"
        yield _Contender(f"{model.description}, {note}", lambda: model.infer(*prepared), decodes, {})


@contextmanager
def _theirs(
    name: str, model_options: ModelOptions, options: PeopleOptions, backend: Backend
) -> Iterator[_Contender]:
    """Open a rival's network with random weights."""
    spec = RIVALS[WHOLEBODY_PARTS[0] if name == OPENPOSE_WHOLEBODY else name]
    image = picture(max(options.counts), options.image_wh)
    placement = place(spec, image.shape[:2], spec.input_px)
    network = _random(spec.name, backend, model_options.threads)
    batch = placement.apply(image)
    crops: dict[int, Callable[[], object]] = {}
    if name == OPENPOSE_WHOLEBODY:
        hand, face = (_looker(each, backend, model_options.threads) for each in WHOLEBODY_PARTS[1:])
        whole = BodyAndCrops(spec, None, hand, face)
        crops = {people: _crops_of(whole, people, options.image_wh) for people in options.peer_counts}
    group = RivalGrouper(spec)
    planted = {n: planted_maps(spec, n, placement) for n in sorted({*options.counts, *crops})}

    def decode(people: int) -> Callable[[], int]:
        return lambda: len(group(planted[people]))

    yield _Contender(
        f"{describe(backend)}, random weights",
        lambda: network(batch),
        {people: decode(people) for people in planted},
        crops,
    )


class _OfPlanes(nn.Module):
    """A rival's network as `run_like` takes one: from (N, 3, H, W) BGR, 0 to 1, to the maps of its heads."""

    def __init__(self, network: RivalNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, planes: Tensor) -> tuple[Tensor, ...]:
        return self.network.maps((planes * 255 - self.network.mean) * self.network.inverse)


def _random(name: str, backend: Backend, threads: int | None) -> Run:
    torch.manual_seed(0)
    return run_like(_OfPlanes(create_rival(RIVALS[name])).eval(), backend, threads)


def _looker(name: str, backend: Backend, threads: int | None) -> Look:
    """Return a function that runs the network of a crop; see `Look`."""
    run = _random(name, backend, threads)

    def look(square: npt.NDArray[np.uint8]) -> FloatArray:
        (maps,) = run(square[None])
        first: FloatArray = maps[0]
        return first

    return look


def _crops_of(group: BodyAndCrops, people: int, image_wh: tuple[int, int]) -> Callable[[], None]:
    """Return a function that looks at everyone's hands and face in a scene."""
    image = picture(people, image_wh)
    known = [np.full((skeleton.NUM_KEYPOINTS, 3), np.nan, np.float32) for _ in range(people)]
    for person, points in zip(known, people_in(people, image.shape[:2]), strict=True):
        person[skeleton.BODY, :2] = points[skeleton.BODY]

    def look() -> None:
        for person in known:
            group.add_parts(person.copy(), image)

    return look


def _case(name: str, people: int) -> str:
    return f"{name}, {counted(people, 'person')}"


def _times(
    name: str,
    contender: _Contender,
    options: PeopleOptions,
    progress: Callable[[int, float], None] | None,
) -> Measured:
    """Time a contender's parts, each in turns."""

    def task(stage: str, run: Callable[[], object]) -> Callable[[], dict[str, float]]:
        def timed() -> dict[str, float]:
            start = time.perf_counter()
            run()
            return {stage: time.perf_counter() - start}

        return timed

    limits = Limits(seconds=options.limits.seconds, **_LIMITS)
    measured = take_turns({name: task(_NETWORK, contender.network)}, limits, progress=progress)
    decodes = {_case(name, n): task(_DECODE, run) for n, run in contender.decode.items()}
    measured |= take_turns(decodes, limits, progress=progress)
    crops = {_case(name, n): task(_CROPS, run) for n, run in contender.crops.items()}
    for case, stages in (take_turns(crops, limits, progress=progress) if crops else {}).items():
        measured.setdefault(case, {}).update(stages)
    return measured


def _summary(name: str, contender: _Contender, times: Measured, found: Mapping[int, int]) -> dict[str, Any]:
    """Summarise a contender: the times of its parts, and those of the whole, measured or extended."""

    def median_ms(case: str, stage: str) -> float:
        return round(1e3 * float(np.median(times[case][stage])), 3)

    network = median_ms(name, _NETWORK)
    decode = {people: median_ms(_case(name, people), _DECODE) for people in contender.decode}
    crops = {people: median_ms(_case(name, people), _CROPS) for people in contender.crops}
    person_ms = theil_sen(list(crops), list(crops.values())) if crops else 0.0
    fixed_ms = float(np.median([ms - person_ms * n for n, ms in crops.items()])) if crops else 0.0
    whole, extended = {}, {}
    for people, ms in decode.items():
        if not contender.crops or people == 0 or people in crops:
            whole[people] = round(network + ms + crops.get(people, 0.0), 3)
        else:
            extended[people] = round(network + ms + max(0.0, fixed_ms + person_ms * people), 3)
    return {
        "engine": contender.engine,
        "network_ms": network,
        "decode_ms": decode,
        "found": dict(found),
        "crops_ms": crops,
        "crop_ms_per_person": round(person_ms, 3),
        "whole_ms": whole,
        "extended_ms": extended,
    }


def rivals_chart(report: BenchReport) -> Chart:
    """Make the chart of everyone's milliseconds against people; what was not measured is dashed."""
    counts: list[int] = list(report.settings["counts"])
    own = [(float(n), report.find(counted(n, "person"), ALL).p50_ms) for n in counts]
    curves = [Curve(report.settings["model"], own)]
    for name, line in report.summary["peers"].items():
        timed = report.settings["peers"][name]
        whole = {n: report.find(_case(name, n), "end to end").p50_ms for n in timed}
        beyond = (n for n in counts if n > max(timed))
        extended = {n: line["fixed_ms"] + line["ms_per_person"] * n for n in beyond}
        curves.append(_curve(name, whole, extended))
    curves += [
        _curve(name, line["whole_ms"], line["extended_ms"]) for name, line in report.summary["rivals"].items()
    ]
    notes = [
        f"{report.machine['processor']}, {report.machine['cores']} cores; {report.summary['engine']}",
        "others: random weights, decodes on planted maps; dashed: a line through measured times",
    ]
    return Chart(
        "Runtime against people, everyone found", "people in the picture", "ms a frame", curves, notes
    )


def _curve(name: str, whole: Mapping[Any, float], extended: Mapping[Any, float]) -> Curve:
    """Return the curve of what was measured, and how it goes on; JSON has made texts of numbers."""
    measured, rest = (sorted((float(n), ms) for n, ms in each.items()) for each in (whole, extended))
    beyond = [point for point in rest if point[0] > measured[-1][0]]
    return Curve(name, measured, extension=[measured[-1], *beyond] if beyond else ())
