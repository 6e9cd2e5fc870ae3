"""Running time against the number of people: the paper's Figure 5.

Each scene is a picture with a known number of people. The network runs on the picture. The stages after it
run twice: on the peaks that the network found, and on planted peaks of everyone, because a model file returns
at most `k` people and small people are missed. So "everyone" is the time if all people were found.

Drawing is measured on planes, as `annotate` draws, and apart from the frame on an image too, as `live` does.
The refinement of faces and hands, where it follows grouping, costs by the parts that are there: it has a
stage of its own, so that what does not depend on people is seen beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

import numpy as np

from hprnet_rt.backends import Backend
from hprnet_rt.bench.failures import in_a_sentence
from hprnet_rt.bench.measure import Limits, take_turns, theil_sen, time_steps
from hprnet_rt.bench.report import BenchReport, series_of
from hprnet_rt.bench.scenes import COUNTS, picture, planted_peaks, require_people
from hprnet_rt.bench.subject import ModelOptions, Subject
from hprnet_rt.errors import UsageError
from hprnet_rt.inference.model import PoseModel
from hprnet_rt.render import Overlay
from hprnet_rt.tracking import Tracker
from hprnet_rt.types import ImageArray, Peaks, Planes, Poses
from hprnet_rt.video.color import BT709, LIMITED, Color
from hprnet_rt.video.conversion import to_picture
from hprnet_rt.words import counted

__all__ = [
    "ALL",
    "FOUND",
    "NETWORK",
    "WHOLE",
    "Peer",
    "PeopleOptions",
    "case_of",
    "crossover",
    "measure_people",
    "people_settings",
]

WHOLE: Final = "end to end"
FOUND: Final = "end to end, as found"
ALL: Final = "end to end, everyone"
NETWORK: Final = "network and decode"
_BEFORE: Final = ("preprocess", NETWORK)
REFINEMENT: Final = "refinement"
_AFTER: Final = ("grouping", REFINEMENT, "tracking", "drawing")
_ON_IMAGE: Final = "drawing on an image"  # no part of the frame
_EVERYONE: Final = "everyone: "
_FRAME_S: Final = 1 / 30
_QUICK: Final = 5  # repeats of stages that take microseconds; their median counts
_MOST_PLANTED: Final = 100


class Peer(Protocol):
    """Another pipeline for whole-body poses, whose time depends on the number of people.

    Attributes:
        description: the library and device on which it runs, and its weights.
        note: what else a reader of its figures must know.
    """

    description: str
    note: str

    def __call__(self, image: Any, people: int, /) -> dict[str, float]:
        """Return the seconds by stage, for a picture with this number of people."""
        ...


@dataclass(frozen=True)
class PeopleOptions:
    """What `measure_people` measures.

    Attributes:
        counts: numbers of people in the pictures.
        planted: number of people in one more scene, in which only the stages after the network run; None for
            no such scene.
        image_wh: width and height of the pictures in px.
        limits: when the measurement ends.
        peer_counts: numbers of people for which peers run; a line is fitted to a peer's times.
    """

    counts: Sequence[int] = COUNTS
    planted: int | None = _MOST_PLANTED
    image_wh: tuple[int, int] = (1280, 720)
    limits: Limits = field(default_factory=Limits)
    peer_counts: Sequence[int] = (1, 2, 4)

    def __post_init__(self) -> None:
        require_people(*self.counts, *self.peer_counts)
        if len(set(self.counts)) < 2:
            raise UsageError(f"a slope needs two different numbers of people, got {list(self.counts)}")
        if len(set(self.peer_counts)) < 2 or min(self.peer_counts) < 1:
            raise UsageError(f"a line needs two numbers of people above 0, got {list(self.peer_counts)}")


class _Scene:
    """One picture, and the state of the stages after the network."""

    def __init__(
        self, model: PoseModel, people: int, image_wh: tuple[int, int], *, look: bool = True
    ) -> None:
        self._model = model
        self._image = picture(people, image_wh)
        self._planes = _planes_of(self._image)
        letterbox = model.letterbox(self._image.shape[:2])
        self._planted = planted_peaks(
            model.model_file.spec, people, letterbox, max(people, model.model_file.k)
        )
        self._overlay = Overlay()
        self._trackers = {FOUND: Tracker(), ALL: Tracker()}
        self._frames = 0
        self._look = look
        self.found = len(model(self._image)) if look else 0
        self._where_planted = model.group(_unrefined(self._planted))
        self.everyone = len(self._where_planted)

    def __call__(self) -> dict[str, float]:
        """Run one frame, and return the seconds of every stage."""
        model, image, planes = self._model, self._image.copy(), _copied(self._planes)
        self._frames += 1
        times: dict[str, float] = {}
        if self._look:
            kept: dict[str, Any] = {}

            def prepare() -> None:
                kept["input"] = model.prepare(image)

            def infer() -> None:
                kept["peaks"] = model.infer(*kept["input"])

            times = time_steps(("preprocess", prepare), (NETWORK, infer))
            shared = sum(times.values())
            times |= self._after(kept["peaks"], image, planes, FOUND)
            times[FOUND] = shared + sum(times[name] for name in _AFTER)
        planted = self._after(self._planted, self._image.copy(), _copied(self._planes), ALL)
        times |= {f"{_EVERYONE}{name}": seconds for name, seconds in planted.items()}
        if self._look:
            times[ALL] = shared + sum(planted[name] for name in _AFTER)
        return times

    def _after(self, peaks: Peaks, image: ImageArray, planes: Planes, which: str) -> dict[str, float]:
        """Run what follows the network, and return the seconds of each stage; of all but drawing a median.

        The refinement's are those by which grouping takes longer with it.
        """
        model, tracker, laps = self._model, self._trackers[which], []
        poses = Poses.empty()
        now_s = _FRAME_S * self._frames
        for n in range(_QUICK):
            start = time.perf_counter()
            poses = model.group(_unrefined(peaks))
            grouped = refined = time.perf_counter()
            if peaks.maps is not None:
                poses = model.group(peaks)
                refined = time.perf_counter()
            poses = self._where_planted if which == ALL else poses  # noise has moved the points of `poses`
            tracked = tracker(poses, now_s + n * _FRAME_S / _QUICK)
            followed = time.perf_counter()
            alone = grouped - start
            laps.append((alone, max(0.0, refined - grouped - alone), followed - refined))
        drawing = time_steps(
            ("drawing", lambda: self._overlay.draw(planes, tracked)),
            (_ON_IMAGE, lambda: self._overlay.draw(image, tracked)),
        )
        medians = map(float, np.median(laps, axis=0))
        return dict(zip(_AFTER[:-1], medians, strict=True)) | drawing


def _unrefined(peaks: Peaks) -> Peaks:
    """Return peaks of which grouping refines no points."""
    return replace(peaks, maps=None)


def _planes_of(image: ImageArray) -> Planes:
    """Return an image as the planes of a usual video; a last odd row or column is left out."""
    height, width = (side // 2 * 2 for side in image.shape[:2])
    color = Color(LIMITED, BT709)
    picture = to_picture(image[:height, :width], color)
    flat = np.asarray(picture.to_ndarray(), np.uint8).reshape(-1)  # one plane after the other
    y, u, v = np.split(flat, (height * width, height * width * 5 // 4))
    half = (height // 2, width // 2)
    return Planes(y.reshape(height, width), u.reshape(half), v.reshape(half), color.luma)


def _copied(planes: Planes) -> Planes:
    return replace(planes, y=planes.y.copy(), u=planes.u.copy(), v=planes.v.copy())


def case_of(people: int) -> str:
    """Return the case of a picture with this number of people, in the report's series."""
    return counted(people, "person")


def people_settings(
    subject: Subject, model_options: ModelOptions, options: PeopleOptions, peers: Sequence[str]
) -> dict[str, Any]:
    """Return the settings that must be equal for figures of `measure_people` to be compared.

    Args:
        subject, model_options: the network, and how it runs.
        options: what is measured.
        peers: names of the peers.
    """
    return {
        **model_options.settings(subject.model_file),
        "counts": list(options.counts),
        "planted": options.planted,
        "picture": list(options.image_wh),
        "drawn on": "planes",
        "peers": {name: list(options.peer_counts) for name in peers},
    }


def measure_people(
    subject: Subject,
    model_options: ModelOptions,
    options: PeopleOptions,
    *,
    peers: Mapping[str, Callable[[Backend], Peer]] | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> BenchReport:
    """Measure every scene, in turns.

    Args:
        subject, model_options: the network, and how it runs.
        options: what is measured.
        peers: by name, functions that make a peer, given the network's backend.
        progress: see `take_turns`.

    Raises:
        UsageError: a setting is impossible.
        BackendError: the network or a peer cannot run.
    """
    made: dict[str, Peer] = {}
    tasks: dict[str, Callable[[], dict[str, float]]] = {}
    with model_options.open(subject.model_file) as model:
        scenes = {people: _Scene(model, people, options.image_wh) for people in options.counts}
        if options.planted is not None and options.planted not in scenes:
            scenes[options.planted] = _Scene(model, options.planted, options.image_wh, look=False)
        tasks = {case_of(people): scene for people, scene in scenes.items()}
        backend = model.backend_for(model.letterbox(options.image_wh[::-1]).input_hw)
        for name, make in (peers or {}).items():
            made[name] = _made_peer(name, make, backend, options)
        measured = take_turns(tasks, options.limits, watched=(FOUND, ALL), progress=progress)
        few = Limits(seconds=options.limits.seconds, least_rounds=3, most_rounds=7, warm_up=1)
        for name in made:
            measured |= _measure_peer(name, made[name], options, few, progress)
        description = model.description
    report = BenchReport(
        "people",
        people_settings(subject, model_options, options, list(made)),
        series_of(measured, (FOUND, ALL)),
    )
    summary = {
        "engine": description,
        "random_weights": subject.random,
        "placed": [people for people in scenes if people in options.counts],
        "found": [scenes[people].found for people in options.counts],
        "everyone": {str(people): scene.everyone for people, scene in scenes.items()},
        "k": subject.model_file.k,
        **_slopes(report, options),
        "after_network": _after_network(report, options, list(scenes)),
        "peers": {name: _peer_summary(report, options, name, peer) for name, peer in made.items()},
    }
    return BenchReport(report.kind, report.settings, report.series, summary, report.machine)


def _made_peer(name: str, make: Callable[[Backend], Peer], backend: Backend, options: PeopleOptions) -> Peer:
    """Make a peer and run it once, before minutes are spent on what it is compared with."""
    people = min(options.peer_counts)
    what = f"{name} cannot run beside {backend.name} in {backend.precision}"
    with in_a_sentence(what, "leave it out, or choose another --backend or --precision"):
        peer = make(backend)
        peer(picture(people, options.image_wh), people)
    return peer


def _measure_peer(
    name: str,
    peer: Peer,
    options: PeopleOptions,
    limits: Limits,
    progress: Callable[[int, float], None] | None,
) -> dict[str, dict[str, list[float]]]:
    pictures = {people: picture(people, options.image_wh) for people in options.peer_counts}

    def task(people: int) -> Callable[[], dict[str, float]]:
        return lambda: peer(pictures[people], people)

    tasks = {f"{name}, {case_of(people)}": task(people) for people in pictures}
    return take_turns(tasks, limits, watched=(WHOLE,), progress=progress)


def _slopes(report: BenchReport, options: PeopleOptions) -> dict[str, Any]:
    """Return the microseconds per additional person, by stage, and the ratio of most people to one."""
    counts = list(options.counts)
    stages = [*_BEFORE, *_AFTER, FOUND, *(f"{_EVERYONE}{name}" for name in _AFTER), ALL]
    slopes = {
        stage: round(1e3 * theil_sen(counts, [report.find(case_of(n), stage).p50_ms for n in counts]), 2)
        for stage in stages
    }
    base = 1 if 1 in counts else min(counts)
    ratios = {}
    for stage in (FOUND, ALL):
        many, one = (report.find(case_of(n), stage).rounds_ms for n in (max(counts), base))
        ratios[stage] = round(float(np.median(np.array(many) / np.array(one))), 4)
    return {"us_per_person": slopes, "most_against": base, "ratio": ratios}


def _after_network(
    report: BenchReport, options: PeopleOptions, counts: Sequence[int]
) -> dict[str, dict[str, float]]:
    """Return what follows the network where everyone is planted, by number of people.

    Returns:
        without the refinement of faces and hands: "ms", and "ratio" of the whole frame to that of the fewest
        people above 0, with the same network; "refinement_ms"; and "refined_ratio", of frames with it.
    """

    def p50_ms(people: int, stage: str) -> float:
        return report.find(case_of(people), f"{_EVERYONE}{stage}").p50_ms

    ms = {n: sum(p50_ms(n, stage) for stage in _AFTER if stage != REFINEMENT) for n in counts}
    refinement_ms = {n: p50_ms(n, REFINEMENT) for n in counts}
    one = min(n for n in options.counts if n > 0)
    refined_ms = report.find(case_of(one), ALL).p50_ms
    plain_ms = refined_ms - refinement_ms[one]
    after = {}
    for n in counts:
        more_ms, more_refined_ms = ms[n] - ms[one], refinement_ms[n] - refinement_ms[one]
        after[str(n)] = {
            "ms": round(ms[n], 4),
            "ratio": round(1.0 + more_ms / plain_ms, 4),
            "refinement_ms": round(refinement_ms[n], 4),
            "refined_ratio": round(1.0 + (more_ms + more_refined_ms) / refined_ms, 4),
        }
    return after


def _peer_summary(report: BenchReport, options: PeopleOptions, name: str, peer: Peer) -> dict[str, Any]:
    """Summarise a peer: description, constant time, time per person (in ms), and the crossover."""
    counts = list(options.peer_counts)
    medians = [report.find(f"{name}, {case_of(n)}", WHOLE).p50_ms for n in counts]
    slope = theil_sen(counts, medians)
    fixed = float(np.median([ms - slope * n for n, ms in zip(counts, medians, strict=True)]))
    return {
        "engine": peer.description,
        "note": peer.note,
        "fixed_ms": round(fixed, 3),
        "ms_per_person": round(slope, 3),
        "crossover_people": crossover(report, options, fixed, slope),
    }


def crossover(
    report: BenchReport, options: PeopleOptions, fixed_ms: float, ms_per_person: float
) -> int | None:
    """Return the number of people from which on HPRNet is faster than a peer; None if it is not.

    Args:
        report, options: of HPRNet's times.
        fixed_ms, ms_per_person: the line fitted to the peer's times.
    """
    counts = list(options.counts)
    ours = np.interp(range(max(counts) + 1), counts, [report.find(case_of(n), ALL).p50_ms for n in counts])
    theirs = fixed_ms + ms_per_person * np.arange(len(ours))
    slower = np.flatnonzero(ours >= theirs)
    if not len(slower):
        return 0
    return int(slower[-1]) + 1 if slower[-1] + 1 < len(ours) else None
