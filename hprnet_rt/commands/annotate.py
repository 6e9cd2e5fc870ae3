"""`hprnet-rt annotate`: videos and images in, annotated ones and keypoints out."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Final

from tqdm import tqdm

from hprnet_rt.cluster import Cluster, ModelChoice, connect
from hprnet_rt.commands.console import (
    DONE,
    FAILED,
    INTERRUPTED,
    AddParser,
    cancelled_by_signals,
    complain,
    ended_by_a_kill,
    say,
    stage_table,
)
from hprnet_rt.commands.convert import formats_help
from hprnet_rt.commands.options import (
    add_drawing_option,
    add_model_options,
    add_video_options,
    load_model,
    model_choice,
)
from hprnet_rt.errors import UsageError
from hprnet_rt.files import reason
from hprnet_rt.formats import FORMATS
from hprnet_rt.inference.model import PoseModel
from hprnet_rt.inference.regions import parse_region
from hprnet_rt.jobs.annotate import AnnotateReport, annotate, shared_threads
from hprnet_rt.jobs.inputs import read_list
from hprnet_rt.jobs.many import STATUSES, Outcome, counts, plan_report, run_jobs, write_report
from hprnet_rt.jobs.options import SMOOTHINGS, AnnotateOptions
from hprnet_rt.jobs.plan import Job, plan
from hprnet_rt.pipeline import Profiler
from hprnet_rt.render import Overlay
from hprnet_rt.types import FramePoses
from hprnet_rt.video import DEFAULT_RATE, MediaInfo, is_address, is_image
from hprnet_rt.video.encoders import AUTO, DEFAULT_ENCODER, choose_encoder
from hprnet_rt.video.remote import is_remote, send, split_remote

__all__ = ["add_parser"]

_MOST_JOBS: Final = 2
"""On a cluster, for each core of this machine: what is drawn is drawn here."""


def add_parser(add: AddParser) -> None:
    """Add the command and its arguments."""
    job = add(
        description="Draw skeletons on videos and images, and write the keypoints beside them.\n"
        "The same command continues where it was interrupted, and leaves alone what is done.",
        epilog=formats_help(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    job.add_argument(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="video, image, folder, glob pattern, http(s) address, what fsspec opens (s3://bucket/clips), or "
        "numbered images as one video (frames/img_%%04d.png)",
    )
    job.add_argument(
        "--from",
        dest="list",
        metavar="FILE",
        help="a list of further inputs, one a line; - is standard input",
    )
    job.add_argument("-o", "--out", required=True, help="folder, or a file for a single input")
    job.add_argument(
        "--work",
        type=Path,
        metavar="DIR",
        help="for an -o such as s3://bucket/out: local folder in which outputs are made, and stay",
    )
    job.add_argument("--no-video", action="store_true", help="write keypoints only")
    job.add_argument("--no-keypoints", action="store_true", help="write pictures only")
    job.add_argument(
        "--format",
        action="append",
        choices=FORMATS,
        metavar="FORMAT",
        help="of the keypoints, see below; may be given several times (default jsonl)",
    )
    job.add_argument("--overwrite", action="store_true", help="replace outputs that exist")
    job.add_argument(
        "--skip-existing",
        action="store_true",
        help="leave inputs alone whose outputs exist, also with other settings",
    )
    job.add_argument(
        "--start", type=_seconds, default=0.0, metavar="TIME", help="of each video: in seconds, m:s or h:m:s"
    )
    job.add_argument("--end", type=_seconds, metavar="TIME", help="before which a video is left, likewise")
    job.add_argument(
        "--stride", type=int, default=1, metavar="N", help="every N-th frame only, in the video too"
    )
    job.add_argument(
        "--rate",
        type=_rate,
        default=DEFAULT_RATE,
        metavar="FPS",
        help="frames a second of numbered images: 24, 29.97 or 30000/1001 (default %(default)s)",
    )
    job.add_argument("--limit", type=int, metavar="N", help="at most N frames of each file")
    add_video_options(job)
    job.add_argument(
        "--regions",
        action="append",
        default=[],
        metavar="X,Y,W,H",
        help="look only at this part of the picture, as large as the network takes it: finds small people "
        "there; in pixels or percent (10%%,0,50%%,100%%); may be given several times",
    )
    add_drawing_option(job)
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
    job.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="videos at once, with one engine (default 1, or so many that all workers of a cluster are busy)",
    )
    job.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="find people on a Ray cluster: ray://HOST:PORT, HOST:PORT, auto (the one that runs here), or "
        "local (one for this run on this machine); all machines must find the inputs under the same path",
    )
    job.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="engines on the cluster (default: one a GPU, or one for each --threads of its CPUs)",
    )
    job.add_argument("--report", type=Path, metavar="FILE", help="write what became of every input, as JSON")
    job.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    job.set_defaults(run=_annotate)


def _seconds(text: str) -> float:
    """A time as seconds, m:s or h:m:s."""
    first, *others = map(float, text.split(":"))
    if any(part < 0 for part in others):
        raise ValueError
    for part in others:
        first = 60.0 * first + part
    return first


def _rate(text: str) -> Fraction:
    """A number of frames a second, perhaps a fraction."""
    try:
        return Fraction(text)
    except ZeroDivisionError:
        raise ValueError from None


class _Reporter:
    """Progress on stderr, results on stdout."""

    def __init__(self, quiet: bool, jobs: Sequence[Job], at_once: int) -> None:
        self._quiet = quiet
        self._at_once = at_once
        self._lock = threading.Lock()
        self._stills = sum(is_image(job.source) for job in jobs)
        self._bar: tqdm[None] | None = None

    def say(self, text: str) -> None:
        if not self._quiet:
            say(text)

    def started(self, info: MediaInfo, wanted: AnnotateOptions) -> None:
        """Open a bar for a video; all stills share one, and so do videos that are on their way together."""
        path = Path(info.source)
        with self._lock:
            if (is_image(path) or self._at_once > 1) and self._bar is not None:
                return
            total = self._stills if is_image(path) else _frames_of(info, wanted)
            name = "images" if is_image(path) else path.name
            self._bar = tqdm(
                total=None if self._at_once > 1 else total,
                desc="all files" if self._at_once > 1 else name,
                unit=" frames",
                file=sys.stderr,
                disable=self._quiet or None,  # None: only on a terminal
                dynamic_ncols=True,
            )

    def progress(self, _item: FramePoses) -> None:
        with self._lock:
            if self._bar is not None:
                self._bar.update()

    def close(self) -> None:
        with self._lock:
            if self._bar is not None:
                self._bar.close()
                self._bar = None

    def ended(self, outcome: Outcome) -> None:
        """Say what became of a file."""
        if outcome.status == "failed" or (self._at_once == 1 and not is_image(outcome.job.source)):
            self.close()
        if outcome.report is not None:
            self.result(outcome.report)
        if outcome.reason:
            complain(outcome.reason)

    def result(self, report: AnnotateReport) -> None:
        if report.skipped:
            self.say(f"{report.job.source}: skipped, it is done")
            return
        rate = (report.frames - report.resumed) / report.seconds if report.seconds > 0 else 0.0
        mean = report.people / report.frames if report.frames else 0.0
        what = "stopped after " if report.cancelled else ""
        before = f", {report.resumed} frames were there" if report.resumed else ""
        self.say(
            f"{report.job.source}: {what}{report.frames} frames, {report.people} people "
            f"({mean:.1f} a frame, at most {report.most_people}), {rate:.1f} FPS{before}"
        )
        for path in report.written:
            self.say(f"  {'kept' if report.cancelled else 'wrote'} {path}")


def _frames_of(info: MediaInfo, wanted: AnnotateOptions) -> int | None:
    """How many will be looked at and written, when that can be known."""
    if info.frames is None or wanted.start_s or wanted.end_s is not None:
        return None
    frames = -(-info.frames // wanted.stride)
    frames = frames if wanted.limit is None else min(frames, wanted.limit)
    return frames * (2 if wanted.smooth == "zero-lag" and wanted.video else 1)


def _listed(name: str | None) -> list[str]:
    """The inputs that a list names.

    Raises:
        UsageError: it cannot be read.
    """
    if name is None:
        return []
    if name == "-":
        if sys.stdin is None:
            raise UsageError("the list of inputs cannot be read: standard input is closed")
        return read_list(sys.stdin)
    try:
        with Path(name).open(encoding="utf-8") as file:
            return read_list(file)
    except OSError as error:
        raise UsageError(f"cannot read the list {name}: {reason(error)}") from error


def _place(out: str, work: Path | None) -> tuple[Path, str | None]:
    """Where outputs are made, and the address that those of the work folder are sent to, if any.

    Raises:
        UsageError: only one of an address and a work folder is given, or a server's address.
    """
    if is_address(out):
        raise UsageError(
            f"outputs cannot be sent to {out}: give a folder, or what fsspec writes to, such as s3://"
        )
    if not is_remote(out):
        if work is not None:
            raise UsageError(f"--work goes with an -o such as s3://bucket/out, not with {out}")
        return Path(out), None
    if work is None:
        raise UsageError(
            f"{out} cannot be written to as a run goes on: name a local folder with --work, from which "
            "outputs are sent there when they are complete"
        )
    base, name = split_remote(out)
    return work / name, base


def _annotate(options: argparse.Namespace) -> int:
    wanted = AnnotateOptions(
        video=not options.no_video,
        keypoints=not options.no_keypoints,
        overwrite=options.overwrite,
        limit=options.limit,
        track=not options.no_track,
        smooth=options.smooth,
        formats=tuple(options.format or ()),
        start_s=options.start,
        end_s=options.end,
        stride=options.stride,
        skip_existing=options.skip_existing,
        crf=options.crf,
        encoder=DEFAULT_ENCODER if options.no_video else choose_encoder(options.encoder),
        rate=options.rate,
        regions=tuple(map(parse_region, options.regions)),
        point_threshold=options.point_threshold,
    )
    if options.jobs is not None and options.jobs < 1:
        raise UsageError(f"the number of jobs is at least 1, got {options.jobs}")
    if options.workers is not None and options.cluster is None:
        raise UsageError("--workers is for a cluster: --cluster ADDRESS")
    if not options.inputs and options.list is None:
        raise UsageError("name the inputs, or a list of them: --from FILE")
    out, remote = _place(options.out, options.work)
    jobs = plan(options.inputs, out, wanted, listed=_listed(options.list))
    if options.report is not None:
        plan_report(options.report, jobs)
    stills = all(is_image(job.source) for job in jobs)  # one by one: none waits for another
    threads = shared_threads() if wanted.video else None
    batch = 1 if options.batch is None and stills else options.batch
    profiler = Profiler()
    with _network(options, threads, batch) as model, cancelled_by_signals() as cancelled:
        at_once = options.jobs or _jobs_at_once(model, len(jobs))
        reporter = _Reporter(options.quiet, jobs, at_once)
        overlay = Overlay(wanted.style(refined=model.facts.refined))
        reporter.say(_what_runs(model, options))
        if options.encoder == AUTO and wanted.video:
            reporter.say(f"videos by {wanted.encoder} (auto)")
        if remote is not None:
            reporter.say(f"outputs are sent from {options.work} to {remote}")

        def do(job: Job) -> AnnotateReport:
            report = annotate(
                job,
                model,
                wanted,
                overlay=overlay,
                profiler=profiler,
                started=lambda info: reporter.started(info, wanted),
                progress=reporter.progress,
                cancelled=cancelled,
            )
            if remote is not None and not report.cancelled:
                for path in job.outputs:
                    send(path, remote + path.relative_to(options.work).as_posix(), anew=not report.skipped)
            return report

        outcomes = run_jobs(jobs, do, cancelled=cancelled, at_once=at_once, ended=reporter.ended)
    reporter.close()
    summary = profiler.summary()
    if summary:
        reporter.say(stage_table(summary))
    if options.report is not None:
        write_report(options.report, outcomes)
    return _conclude(outcomes, reporter, stopped=cancelled.is_set())


def _network(
    options: argparse.Namespace, threads: int | None, batch: int | None
) -> AbstractContextManager[PoseModel | Cluster]:
    """The model in this process, or on the workers of a cluster."""
    if options.cluster is None:
        return load_model(options, threads=threads, batch=batch)
    choice = ModelChoice(**model_choice(options, threads=threads, batch=batch))
    return _connected(options.cluster, choice, options.workers)


@contextmanager
def _connected(address: str, choice: ModelChoice, workers: int | None) -> Iterator[Cluster]:
    """The cluster; a kill while it starts is a sentence."""
    with ExitStack() as stack:
        with ended_by_a_kill():
            cluster = stack.enter_context(connect(address, choice, workers))
        yield cluster


def _jobs_at_once(model: PoseModel | Cluster, jobs: int) -> int:
    """One in this process; on a cluster as many as workers, and one whose end or beginning they wait for."""
    if isinstance(model, PoseModel):
        return 1
    return max(1, min(jobs, model.workers + 1, _MOST_JOBS * (os.cpu_count() or 1)))


def _what_runs(model: PoseModel | Cluster, options: argparse.Namespace) -> str:
    facts = model.facts
    chosen = " (auto)" if options.backend == "auto" else ""
    where = "" if isinstance(model, PoseModel) else f", {model.workers} workers on {options.cluster}"
    return f"{facts.name} on {facts.description}{chosen}{where}"


def _conclude(outcomes: Sequence[Outcome], reporter: _Reporter, *, stopped: bool) -> int:
    """Sum up many files; returns the exit code."""
    found = counts(outcomes)
    if len(outcomes) > 1:
        each = ", ".join(f"{found[status]} {status}" for status in STATUSES if found[status])
        reporter.say(f"{len(outcomes)} files: {each}")
    if stopped:
        complain("stopped before the end; the same command continues")
        return INTERRUPTED
    failed = found["failed"] + found["damaged"]
    if failed and len(outcomes) > 1:
        complain(f"{failed} of {len(outcomes)} files failed")
    return FAILED if failed else DONE
