"""`annotate` as a whole against its slowest stage alone, and its memory over the length of a video.

Each round runs the whole, and then every stage alone over the same frames, so that both see the same speed of
the machine. "alone" is the mean time of a frame while nothing else runs. "cores" is the processor time of all
stages for a frame, divided by the number of cores: no pipeline on this machine can be much faster.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from hprnet_rt.bench.machine import rss_mib
from hprnet_rt.bench.measure import Limits, take_turns
from hprnet_rt.bench.report import BenchReport, series_of
from hprnet_rt.bench.subject import ModelOptions, Subject
from hprnet_rt.formats import KeypointsSink
from hprnet_rt.inference.model import PoseModel
from hprnet_rt.jobs.annotate_file import annotate_file
from hprnet_rt.jobs.file_run import shared_threads
from hprnet_rt.jobs.options import AnnotateOptions
from hprnet_rt.jobs.plan import plan
from hprnet_rt.render import Overlay
from hprnet_rt.tracking import Tracker
from hprnet_rt.types import Frame, FramePoses, Poses
from hprnet_rt.video import VideoSink, VideoSource

__all__ = ["WHOLE", "measure_pipeline", "pipeline_settings"]

WHOLE: Final = "whole"
_CORES: Final = "cores"
_BATCH: Final = 30  # frames held at once
_SAMPLED: Final = 100  # frames between two looks at the memory


class _Alone:
    """Adds up the wall time of each stage, and the processor time of all."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = {}
        self.cpu_s = 0.0

    def run(self, name: str, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """Run one stage over some frames, and return its results."""
        wall, cpu = time.perf_counter(), time.process_time()
        results = [function(item) for item in items]
        self.wall[name] = self.wall.get(name, 0.0) + time.perf_counter() - wall
        self.cpu_s += time.process_time() - cpu
        return results


def _stages_alone(video: Path, model: PoseModel, options: AnnotateOptions) -> dict[str, float]:
    """Run a video in batches, one stage at a time, and return the mean seconds per frame and stage."""
    alone, overlay, tracker, count = _Alone(), Overlay(), Tracker(), 0
    with tempfile.TemporaryDirectory(prefix="hprnet-rt-bench-") as folder:
        source = VideoSource(video)
        sinks: list[KeypointsSink | VideoSink] = [KeypointsSink(Path(folder) / "k.jsonl", {})]
        if options.video:
            sinks.append(VideoSink(Path(folder) / "v.mp4", source.info, threads=shared_threads()))
        all_frames = iter(source)

        def follow(pair: tuple[Frame, Poses]) -> Poses:
            return tracker(pair[1], pair[0].pts_s or 0.0)

        def draw(item: FramePoses) -> None:
            overlay.draw(item.frame.planes or item.frame.image, item.poses)

        def sink(item: FramePoses) -> None:
            for one in sinks:
                one.write(item)

        while True:
            frames = alone.run("capture", lambda _: next(all_frames, None), range(_BATCH))
            frames = [frame for frame in frames if frame is not None]
            if not frames:
                break
            count += len(frames)
            prepared = alone.run("preprocess", lambda each: model.prepare(each.planes or each.image), frames)
            (peaks,) = alone.run("engine", lambda batch: model.begin(batch)(), [prepared])
            poses = alone.run("grouping", model.group, peaks)
            poses = alone.run("tracking", follow, list(zip(frames, poses, strict=True)))
            items = [FramePoses(f, p) for f, p in zip(frames, poses, strict=True)]
            if options.video:
                alone.run("render", draw, items)
            alone.run("sink", sink, items)
        alone.run("sink", lambda one: one.close(), sinks)
        source.close()
    means = {name: seconds / count for name, seconds in alone.wall.items()}
    return {**means, _CORES: alone.cpu_s / count / (os.cpu_count() or 1)}


def _whole(video: Path, model: PoseModel, options: AnnotateOptions, memory: list[list[float]]) -> float:
    """Run `annotate`, and return its seconds per frame; fill `memory` with [frame, MiB] if it is empty."""
    seen, sampled = 0, not memory

    def sample(_: FramePoses) -> None:
        nonlocal seen
        seen += 1
        if sampled and seen % _SAMPLED == 0:
            memory.append([seen, round(rss_mib() or 0.0, 1)])

    with tempfile.TemporaryDirectory(prefix="hprnet-rt-bench-") as folder:
        (job,) = plan([str(video)], Path(folder) / "out", options)
        report = annotate_file(job, model, options, progress=sample)
    return report.seconds / report.frames


def pipeline_settings(
    subject: Subject, model_options: ModelOptions, video: Path, *, picture: bool
) -> dict[str, Any]:
    """Return the settings that must be equal for figures of `measure_pipeline` to be compared."""
    return {**model_options.settings(subject.model_file), "video": video.name, "picture": picture}


def measure_pipeline(
    subject: Subject,
    model_options: ModelOptions,
    video: Path,
    limits: Limits,
    *,
    picture: bool = True,
    progress: Callable[[int, float], None] | None = None,
) -> BenchReport:
    """Measure the whole and its stages alone, in turns.

    Args:
        subject, model_options: the network, and how it runs.
        video: the file that is annotated.
        limits: when the measurement ends; a round is two passes over the video.
        picture: write an annotated video, not only keypoints.
        progress: see `take_turns`.

    Raises:
        MediaError: the video cannot be read.
        BackendError: the network cannot run.
    """
    options = AnnotateOptions(video=picture)
    memory: list[list[float]] = []
    with model_options.open(subject.model_file, batch=None) as model:
        tasks: dict[str, Callable[[], dict[str, float]]] = {
            WHOLE: lambda: {"a frame": _whole(video, model, options, memory)},
            "alone": lambda: _stages_alone(video, model, options),
        }
        measured = take_turns(tasks, limits, progress=progress)
        description = model.description
    alone = {name: values for name, values in measured["alone"].items() if name != _CORES}
    whole = measured[WHOLE]["a frame"]
    slowest = max(alone, key=lambda name: statistics.median(alone[name]))
    bound = measured["alone"][_CORES]
    second_half = [mib for frame, mib in memory if frame >= memory[-1][0] / 2]
    summary = {
        "engine": description,
        "random_weights": subject.random,
        "slowest_stage": slowest,
        "slowest_against_whole": _ratio(alone[slowest], whole),
        "cores_against_whole": _ratio(bound, whole),
        "frames_a_second": round(1 / statistics.median(whole), 1),
        "rss_mib": memory,
        "rss_spread_mib": round(max(second_half) - min(second_half), 1) if second_half else None,
    }
    settings = pipeline_settings(subject, model_options, video, picture=picture)
    return BenchReport("pipeline", settings, series_of(measured), summary)


def _ratio(part: list[float], whole: list[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(part, whole, strict=True)), 3)
