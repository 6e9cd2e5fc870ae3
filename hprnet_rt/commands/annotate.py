"""`hprnet-rt annotate`: videos and images in, annotated ones and keypoints out."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from hprnet_rt.annotate import Report, annotate, shared_threads
from hprnet_rt.commands.choice import add_model_options, load_model
from hprnet_rt.commands.console import (
    DONE,
    FAILED,
    INTERRUPTED,
    Commands,
    cancelled_by_signals,
    complain,
    stage_table,
)
from hprnet_rt.errors import HprnetError, OutputError
from hprnet_rt.estimator import PoseModel
from hprnet_rt.jobs import SMOOTHINGS, AnnotateOptions, Job, plan
from hprnet_rt.pipeline import Profiler
from hprnet_rt.types import Estimated
from hprnet_rt.video import MediaInfo, is_image

__all__ = ["add_parser"]


def add_parser(commands: Commands) -> None:
    """Add the command and its arguments."""
    job = commands.add_parser(
        "annotate",
        help="videos and images in, annotated ones and keypoints out",
        description="Draw skeletons on videos and images, and write the keypoints beside them as JSON lines.",
    )
    job.add_argument("inputs", nargs="+", metavar="INPUT", help="video, image, folder or glob pattern")
    job.add_argument("-o", "--out", type=Path, required=True, help="folder, or a file for a single input")
    job.add_argument("--no-video", action="store_true", help="write keypoints only")
    job.add_argument("--no-keypoints", action="store_true", help="write pictures only")
    job.add_argument("--overwrite", action="store_true", help="replace outputs that exist")
    job.add_argument("--limit", type=int, metavar="N", help="at most N frames of each file")
    job.add_argument("--no-track", action="store_true", help="give people no ids that last over frames")
    job.add_argument(
        "--smooth",
        choices=SMOOTHINGS,
        default=SMOOTHINGS[0],
        help="against trembling points in videos: one-euro lags a little behind fast ones, zero-lag does not "
        "but reads a video twice (default %(default)s)",
    )
    add_model_options(job)
    job.add_argument(
        "--batch",
        type=int,
        metavar="N",
        help="frames that go through the network together (default: the backend's best, which is 1 on a CPU)",
    )
    job.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    job.set_defaults(run=_annotate)


class _Reporter:
    """Progress on stderr, results on stdout."""

    def __init__(self, quiet: bool, jobs: Sequence[Job]) -> None:
        self._quiet = quiet
        self._stills = sum(is_image(job.source) for job in jobs)
        self._bar: tqdm[None] | None = None

    def say(self, text: str) -> None:
        if not self._quiet:
            print(text, flush=True)

    def started(self, info: MediaInfo, wanted: AnnotateOptions) -> None:
        """Open a bar for a video; all stills share one."""
        path = Path(info.source)
        if is_image(path) and self._bar is not None:
            return
        total = self._stills if is_image(path) else info.frames
        if total is not None and not is_image(path):
            total = total if wanted.limit is None else min(total, wanted.limit)
            total *= 2 if wanted.smooth == "zero-lag" else 1  # looked at, then written
        name = "images" if is_image(path) else path.name
        self._bar = tqdm(
            total=total,
            desc=name,
            unit=" frames",
            file=sys.stderr,
            disable=self._quiet or None,  # None: only on a terminal
            dynamic_ncols=True,
        )

    def progress(self, _item: Estimated) -> None:
        if self._bar is not None:
            self._bar.update()

    def finished(self, job: Job) -> None:
        if self._bar is not None and not is_image(job.source):
            self.close()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def result(self, report: Report) -> None:
        rate = report.frames / report.seconds if report.seconds > 0 else 0.0
        mean = report.people / report.frames if report.frames else 0.0
        what = "stopped after " if report.cancelled else ""
        self.say(
            f"{report.job.source}: {what}{report.frames} frames, {report.people} people "
            f"({mean:.1f} a frame, at most {report.most_people}), {rate:.1f} FPS"
        )
        for path in report.written:
            self.say(f"  {'kept' if report.cancelled else 'wrote'} {path}")


def _annotate(options: argparse.Namespace) -> int:
    wanted = AnnotateOptions(
        video=not options.no_video,
        keypoints=not options.no_keypoints,
        overwrite=options.overwrite,
        limit=options.limit,
        track=not options.no_track,
        smooth=options.smooth,
    )
    jobs = plan(options.inputs, options.out, wanted)
    reporter = _Reporter(options.quiet, jobs)
    stills = all(is_image(job.source) for job in jobs)  # one by one: none waits for another
    model = load_model(
        options,
        threads=shared_threads() if wanted.video else None,
        batch=1 if options.batch is None and stills else options.batch,
    )
    chosen = " (auto)" if options.backend == "auto" else ""
    reporter.say(f"{model.name} on {model.description}{chosen}")
    with model, cancelled_by_signals() as cancelled:
        return _run_jobs(jobs, model, wanted, reporter, cancelled)


def _run_jobs(
    jobs: Sequence[Job],
    model: PoseModel,
    wanted: AnnotateOptions,
    reporter: _Reporter,
    cancelled: threading.Event,
) -> int:
    """All jobs in order; one that fails does not keep the others from being done."""
    profiler = Profiler()
    failed = tried = 0
    for job in jobs:
        tried += 1
        try:
            report = annotate(
                job,
                model,
                wanted,
                profiler=profiler,
                started=lambda info: reporter.started(info, wanted),
                progress=reporter.progress,
                cancelled=cancelled,
            )
        except HprnetError as error:
            reporter.close()
            complain(error)
            failed += 1
            if isinstance(error, OutputError):
                break
            continue
        reporter.finished(job)
        reporter.result(report)
        if report.damage:
            complain(report.damage)
            failed += 1
        if cancelled.is_set():
            break
    reporter.close()
    summary = profiler.summary()
    if summary:
        reporter.say(stage_table(summary))
    if cancelled.is_set():
        complain("stopped before the end")
        return INTERRUPTED
    if failed and len(jobs) > 1:
        untried = f", {len(jobs) - tried} were not tried" if tried < len(jobs) else ""
        complain(f"{failed} of {len(jobs)} files failed{untried}")
    return FAILED if failed else DONE
