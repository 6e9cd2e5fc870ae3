"""The annotate job: files in, annotated pictures and keypoints out, nothing lost."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from hprnet_rt.errors import HprnetError
from hprnet_rt.estimator import PoseModel
from hprnet_rt.jobs import AnnotateOptions, Job
from hprnet_rt.outputs import Outputs, header, make_folder_of
from hprnet_rt.pipeline import Pipeline, Profiler
from hprnet_rt.render import Overlay
from hprnet_rt.stages import followers, known_stages, open_source, pose_stages
from hprnet_rt.tracking import PoseSpool, Tracker, both_ways
from hprnet_rt.types import Estimated, Frame, Poses
from hprnet_rt.video import (
    ImageSink,
    ImageSource,
    KeypointsSink,
    MediaInfo,
    VideoSink,
    VideoSource,
    is_image,
)

__all__ = ["Report", "annotate", "shared_threads"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Report:
    """What became of a job.

    Attributes:
        job: with the outputs as they were written.
        frames, people: counts; people are summed over frames.
        most_people: in one frame.
        seconds: from the first frame asked for to the last byte written.
        written: files that were written; `.partial` ones when the job was cancelled.
        damage: what could not be read of the source, None when all was well.
        cancelled: the job was stopped early.
    """

    job: Job
    frames: int
    people: int
    most_people: int
    seconds: float
    written: tuple[Path, ...]
    damage: str | None = None
    cancelled: bool = False


def shared_threads() -> int:
    """Threads for each of the two heavy stages, engine and encoder, when they run side by side."""
    return max(1, (os.cpu_count() or 1) // 2)


@dataclass(frozen=True)
class _Limited:
    """The first frames of a source."""

    source: ImageSource | VideoSource
    limit: int | None

    def __iter__(self) -> Iterator[Frame]:
        return islice(iter(self.source), self.limit)

    def close(self) -> None:
        self.source.close()


def _open_sinks(
    outputs: Outputs, job: Job, info: MediaInfo, model: PoseModel, options: AnnotateOptions
) -> None:
    for path in job.outputs:
        make_folder_of(path)
    if job.keypoints is not None:
        said = header(info, model, limit=options.limit, track=options.track, smooth=options.smooth)
        outputs.sinks.append(KeypointsSink(job.keypoints, said))
    if job.picture is not None:
        if is_image(job.source):
            outputs.sinks.append(ImageSink(job.picture))
        else:
            outputs.sinks.append(VideoSink(job.picture, info, job.source, threads=shared_threads()))


@contextmanager
def _smoothed(
    job: Job,
    model: PoseModel,
    options: AnnotateOptions,
    profiler: Profiler,
    progress: Callable[[Estimated], None] | None,
    cancelled: threading.Event,
) -> Iterator[Iterator[tuple[float, Poses]]]:
    """Read a video once; gives every frame's poses, smoothed without lag."""
    with PoseSpool() as found, PoseSpool() as behind:
        source = _Limited(open_source(job.source), options.limit)
        stages = pose_stages(model, over_time=[Tracker()], batch=model.batch)
        with Pipeline[Estimated](source, stages, profiler=profiler, cancelled=cancelled) as pipeline:
            for parcel in pipeline:
                item = parcel.payload
                found.append((item.frame.pts_s or 0.0, item.poses))
                if progress is not None:
                    progress(item)
        yield both_ways(found, behind)


def annotate(
    job: Job,
    model: PoseModel,
    options: AnnotateOptions,
    *,
    overlay: Overlay | None = None,
    profiler: Profiler | None = None,
    started: Callable[[MediaInfo], None] | None = None,
    progress: Callable[[Estimated], None] | None = None,
    cancelled: threading.Event | None = None,
) -> Report:
    """Annotate one file.

    Args:
        job: from `plan`.
        model: the network.
        options: the ones of `plan`.
        overlay: how to draw; the default one when None.
        profiler: gets the stages' times.
        started: called once with what is known of the source.
        progress: called after each written frame; with "zero-lag" also after each that was looked at.
        cancelled: when set, what is done is finished under its partial name.

    Raises:
        MediaError: the source cannot be opened.
        OutputError: an output cannot be written.
        HprnetError: a stage failed. What was done before is kept under its partial name, which the error
            names.
    """
    profiler = profiler or Profiler()
    cancelled = cancelled or threading.Event()
    begin_s = time.perf_counter()
    people = most = 0
    source = open_source(job.source)
    outputs = Outputs()
    stack = ExitStack()
    try:
        _open_sinks(outputs, job, source.info, model, options)
        if started is not None:
            started(source.info)
        drawn = (overlay or Overlay()) if job.picture is not None else None
        if options.smooth == "zero-lag" and not is_image(job.source):
            known = _smoothed(job, model, options, profiler, progress, cancelled)
            stages = known_stages(stack.enter_context(known), drawn)
        else:
            track = options.track and not is_image(job.source)
            stages = pose_stages(model, drawn, followers(track, options.smooth), batch=model.batch)
        with Pipeline[Estimated](
            _Limited(source, options.limit),
            stages,
            profiler=profiler,
            cancelled=cancelled,
        ) as pipeline:
            for parcel in pipeline:
                start_s = time.perf_counter()
                outputs.write(parcel.payload)
                profiler.record("sink", start_s - parcel.sent_s, time.perf_counter() - start_s)
                people += len(parcel.payload.poses)
                most = max(most, len(parcel.payload.poses))
                if progress is not None:
                    progress(parcel.payload)
        stopped = cancelled.is_set()
        if stopped:
            written = outputs.abandon()
        else:
            written = outputs.finish(all_audio=options.limit is None or outputs.frames < options.limit)
    except BaseException as error:
        kept = outputs.abandon()
        if kept and isinstance(error, HprnetError):
            names = ", ".join(str(path) for path in kept)
            raise type(error)(f"{error} (the first {outputs.frames} frames are kept in {names})") from error
        raise
    finally:
        source.close()
        stack.close()
    seconds = time.perf_counter() - begin_s
    return Report(job, outputs.frames, people, most, seconds, written, source.damage, stopped)
