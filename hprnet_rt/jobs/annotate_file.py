"""One file annotated: pictures and keypoints out, nothing lost and nothing done twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from hprnet_rt.errors import HprnetError
from hprnet_rt.files import exclusive
from hprnet_rt.inference.finder import Finder, LocalFinder
from hprnet_rt.inference.model import PoseModel
from hprnet_rt.jobs.file_run import FileRun
from hprnet_rt.jobs.fingerprint import make_header
from hprnet_rt.jobs.options import AnnotateOptions, keypoint_settings
from hprnet_rt.jobs.outputs import Outputs, what_is_kept
from hprnet_rt.jobs.plan import Job
from hprnet_rt.jobs.resume import is_done, noted_damage, tidy
from hprnet_rt.pipeline import Profiler
from hprnet_rt.render import Drawing, Overlay, drawing_of
from hprnet_rt.types import FramePoses
from hprnet_rt.video import (
    MediaInfo,
    open_source,
)
from hprnet_rt.video.media import size_bytes

__all__ = ["FileReport", "annotate_file"]


@dataclass(frozen=True, kw_only=True)
class FileReport:
    """The result of a job.

    Attributes:
        job: with the outputs as they were written.
        frames, people: counts; people are summed over frames.
        most_people: in one frame.
        seconds: from the first frame asked for to the last byte written.
        written: files that were written; `.partial` ones when the job was cancelled.
        damage: what could not be read of the source, None when all was well.
        cancelled: the job was stopped early.
        resumed: frames that an earlier run had done.
        closer: frames that the network has looked at closer, where that is chosen; None where it is not.
        skipped: all was done before; nothing was written.
    """

    job: Job
    frames: int = 0
    people: int = 0
    most_people: int = 0
    seconds: float = 0.0
    written: tuple[Path, ...] = ()
    damage: str | None = None
    cancelled: bool = False
    resumed: int = 0
    closer: int | None = None
    skipped: bool = False


def annotate_file(
    job: Job,
    model: PoseModel | Finder,
    options: AnnotateOptions,
    *,
    stream: TextIO | None = None,
    draw: Drawing | None = None,
    profiler: Profiler | None = None,
    started: Callable[[MediaInfo], None] | None = None,
    progress: Callable[[FramePoses], None] | None = None,
    cancelled: threading.Event | None = None,
) -> FileReport:
    """Annotate one file. Where an earlier run was interrupted, go on: the keypoints are those of one run.

    Args:
        job: from `plan`.
        model: the network, here or elsewhere.
        options: the ones of `plan`.
        stream: gets the keypoints as JSON lines besides, as they come; those of an earlier run not.
        draw: draws people; when None, an `Overlay` as `options` and the model want it.
        profiler: gets the stages' times.
        started: called once with what is known of the source; not when all was done before.
        progress: called after each frame, those of an earlier run included; with "zero-lag" also after each
            that was looked at.
        cancelled: when set, what is done is finished under its partial name.

    Raises:
        UsageError: an earlier run was another one, or a region is not in the picture.
        MediaError: the source cannot be opened.
        OutputError: an output cannot be written.
        BrokenPipeError: the reader of the stream has gone.
        HprnetError: a stage failed. What was done before is kept under its partial name, which the error
            names.
    """
    cancelled = cancelled or threading.Event()
    finder = LocalFinder(model) if isinstance(model, PoseModel) else model
    begin_s = time.perf_counter()
    skipped = FileReport(job=job, damage=noted_damage(job), skipped=True)
    if options.skip_existing and len(job.existing()) == len(job.outputs):
        return skipped
    source = open_source(job.source, options.rate, options.deinterlace)
    with ExitStack() as held:
        held.callback(source.close)
        for region in options.given_regions:
            region.corners(source.info.width, source.info.height)
        header = make_header(source.info, finder.facts, job.called, **keypoint_settings(options))
        if is_done(job, header, options):  # perhaps in a folder that takes no lock
            tidy(job)
            return skipped
        held.enter_context(exclusive(job.master))
        if is_done(job, header, options):  # meanwhile
            return skipped
        outputs = Outputs()
        try:
            run = FileRun(
                job=job,
                finder=finder,
                options=options,
                source=source,
                header=header,
                outputs=outputs,
                stream=stream,
                draw=None if job.picture is None else _drawing(options, draw, finder),
                profiler=profiler or Profiler(),
                progress=progress,
                cancelled=cancelled,
            )
            if started is not None:
                started(source.info)
            run.find_people()
            if run.looks_ahead and not cancelled.is_set():
                run.smooth()
            stopped = cancelled.is_set()
            if run.damage is None and size_bytes(job.source) not in (None, header["source_bytes"]):
                run.damage = f"{job.name} changed while it was read: annotate it again when it is complete"
            written = outputs.abandon() if stopped else run.finish()
        except BaseException as error:
            kept = outputs.abandon()
            if kept and isinstance(error, HprnetError):
                raise type(error)(f"{error} ({what_is_kept(outputs.frames, kept)})") from error
            raise
    return FileReport(
        job=job,
        frames=outputs.frames,
        people=run.people,
        most_people=run.most_people,
        seconds=time.perf_counter() - begin_s,
        written=written,
        damage=run.damage,
        cancelled=stopped,
        resumed=run.journal.resumed,
        closer=None if run.watch is None else run.watch.closer,
    )


def _drawing(options: AnnotateOptions, draw: Drawing | None, finder: Finder) -> Drawing:
    """Return a function of this file's own that draws as the options say."""
    draw = draw or Overlay(options.style(refined=finder.facts.refined))
    return drawing_of(draw, blur=options.blur, only=options.only)
