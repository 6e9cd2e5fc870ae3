"""`hprnet-rt annotate`: videos and images in, annotated ones and keypoints out."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Final

from hprnet_rt.cluster import Cluster, ModelChoice, connect
from hprnet_rt.commands.console import (
    DONE,
    FAILED,
    INTERRUPTED,
    AddParser,
    cancelled_by_signals,
    complain,
    ended_by_a_kill,
    stage_table,
)
from hprnet_rt.commands.options import (
    add_drawing_option,
    add_model_options,
    add_video_options,
    load_model,
    model_choice,
)
from hprnet_rt.commands.progress import ProgressReporter
from hprnet_rt.commands.standard_streams import (
    STANDARD_OUTPUT,
    reads_standard_input,
    require_only_keypoints,
    spooled_input,
)
from hprnet_rt.errors import UsageError
from hprnet_rt.files import reason
from hprnet_rt.formats import FORMATS, formats_help
from hprnet_rt.inference.model import PoseModel
from hprnet_rt.inference.regions import parse_region
from hprnet_rt.jobs.annotate import AnnotateReport, annotate, shared_threads
from hprnet_rt.jobs.inputs import STANDARD_INPUT, read_list
from hprnet_rt.jobs.many import STATUSES, Outcome, counts, plan_report, run_jobs, write_report
from hprnet_rt.jobs.options import SMOOTHINGS, AnnotateOptions
from hprnet_rt.jobs.plan import Job, plan
from hprnet_rt.pipeline import Profiler
from hprnet_rt.render import Overlay
from hprnet_rt.video import DEFAULT_RATE, is_address, is_image
from hprnet_rt.video.deinterlace import DEINTERLACING
from hprnet_rt.video.encoders import AUTO, DEFAULT_ENCODER, choose_encoder
from hprnet_rt.video.remote import is_remote, send, split_remote
from hprnet_rt.words import counted, duration, shown_backend

__all__ = ["add_parser"]

_MOST_JOBS: Final = 2
"""Videos at once for each core of this machine, on a cluster: they are drawn here."""


def add_parser(add: AddParser) -> None:
    """Add the command and its arguments."""
    job = add(
        description="Draw skeletons on videos and images, and write the keypoints beside them.\n"
        "The same command continues an interrupted run, and skips the files that are done.",
        epilog=formats_help(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    job.add_argument(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="video, image, folder, glob pattern, http(s) address, address that fsspec opens "
        "(s3://bucket/clips), numbered images as one video (frames/img_%%04d.png), or - for standard input",
    )
    job.add_argument(
        "--from",
        dest="list",
        metavar="FILE",
        help="a list of further inputs, one per line; - is standard input",
    )
    job.add_argument(
        "-o",
        "--out",
        help="folder, or a file for a single input; - writes its keypoints to standard output",
    )
    job.add_argument(
        "--work",
        type=Path,
        metavar="DIR",
        help="for an -o such as s3://bucket/out: local folder where outputs are written, and stay",
    )
    job.add_argument("--no-video", action="store_true", help="write keypoints only")
    job.add_argument("--no-keypoints", action="store_true", help="write videos and images only")
    job.add_argument(
        "--format",
        action="append",
        choices=FORMATS,
        metavar="FORMAT",
        help="format of the keypoints, see below; may be given several times (default jsonl)",
    )
    job.add_argument("--overwrite", action="store_true", help="replace outputs that exist")
    job.add_argument(
        "--skip-existing",
        action="store_true",
        help="skip inputs whose outputs exist, even if those were made with other settings",
    )
    job.add_argument(
        "--start",
        type=_seconds,
        default=0.0,
        metavar="TIME",
        help="begin each video at this time: seconds, m:s or h:m:s",
    )
    job.add_argument("--end", type=_seconds, metavar="TIME", help="end each video before this time")
    job.add_argument(
        "--stride",
        type=int,
        default=1,
        metavar="N",
        help="only every N-th frame, also in the output video",
    )
    job.add_argument(
        "--rate",
        type=_rate,
        default=DEFAULT_RATE,
        metavar="FPS",
        help="frames per second of numbered images: 24, 29.97 or 30000/1001 (default %(default)s)",
    )
    job.add_argument("--limit", type=int, metavar="N", help="at most N frames of each file")
    add_video_options(job)
    job.add_argument(
        "--deinterlace",
        choices=DEINTERLACING,
        default=DEINTERLACING[0],
        help="make whole pictures of fields, as many as before: auto does it for pictures that are marked as "
        "interlaced (default %(default)s)",
    )
    job.add_argument(
        "--regions",
        action="append",
        default=[],
        metavar="X,Y,W,H",
        help="search only this part of the picture, enlarged to the network's input: finds small people "
        "there; in pixels or percent (10%%,0,50%%,100%%); may be given several times",
    )
    add_drawing_option(job)
    job.add_argument("--no-track", action="store_true", help="give people no ids")
    job.add_argument(
        "--smooth",
        choices=SMOOTHINGS,
        default=SMOOTHINGS[0],
        help="steady the points in videos: one-euro lags a little behind fast ones, zero-lag does not but "
        "reads a video twice (default %(default)s)",
    )
    add_model_options(job)
    job.add_argument(
        "--batch",
        type=int,
        metavar="N",
        help="frames per run of the network (default: the backend's best, which is 1 on a CPU)",
    )
    job.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="videos at once, which share one network (default 1; on a cluster enough for all workers)",
    )
    job.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="find people on a Ray cluster: ray://HOST:PORT, HOST:PORT, auto (the one that runs here), or "
        "local (a new one on this machine); all machines must find the inputs under the same path",
    )
    job.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="workers on the cluster (default: one per GPU, or one for every --threads of its CPUs)",
    )
    job.add_argument("--report", type=Path, metavar="FILE", help="write the outcome of every input, as JSON")
    job.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    job.set_defaults(run=_annotate)


def _seconds(text: str) -> float:
    """Read a time given as seconds, m:s or h:m:s.

    Raises:
        ValueError: it is not such a time.
    """
    first, *others = map(float, text.split(":"))
    if any(part < 0 for part in others):
        raise ValueError
    for part in others:
        first = 60.0 * first + part
    return first


def _rate(text: str) -> Fraction:
    """Read a number of frames per second, perhaps a fraction.

    Raises:
        ValueError: it is not a number.
    """
    try:
        return Fraction(text)
    except ZeroDivisionError:
        raise ValueError from None


def _listed(name: str | None) -> list[str]:
    """Return the inputs that a list names.

    Args:
        name: of the file, `STANDARD_INPUT`, None for no list.

    Raises:
        UsageError: the list cannot be read.
    """
    if name is None:
        return []
    if name == STANDARD_INPUT:
        if sys.stdin is None:
            raise UsageError("the list of inputs cannot be read: standard input is closed")
        return read_list(sys.stdin)
    try:
        with Path(name).open(encoding="utf-8") as file:
            return read_list(file)
    except OSError as error:
        raise UsageError(f"cannot read the list {name}: {reason(error)}") from error


def _output_place(out: str, work: Path | None) -> tuple[Path, str | None]:
    """Return the local place of the outputs, and the address to send them to, None to keep them local.

    Raises:
        UsageError: only one of a remote place and a work folder is given, or a server's address.
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


def _settings(options: argparse.Namespace) -> AnnotateOptions:
    return AnnotateOptions(
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
        deinterlace=options.deinterlace,
        strip_metadata=options.strip_metadata,
        point_threshold=options.point_threshold,
    )


def _annotate(options: argparse.Namespace) -> int:
    begin_s = time.perf_counter()
    if options.out is None:
        raise UsageError("say where the outputs go: -o FOLDER, or -o FILE for a single input")
    with ExitStack() as held:
        to_stream = options.out == STANDARD_OUTPUT
        if to_stream:
            require_only_keypoints(options)
            folder = held.enter_context(tempfile.TemporaryDirectory(prefix="hprnet-rt-"))
            options.out, options.no_video = folder, True
        settings = _settings(options)
        spooled = held.enter_context(spooled_input()) if reads_standard_input(options) else None
        return _run(options, settings, spooled, begin_s, to_stream=to_stream)


def _run(
    options: argparse.Namespace,
    settings: AnnotateOptions,
    spooled: Path | None,
    begin_s: float,
    *,
    to_stream: bool,
) -> int:
    """Annotate what the options name, and return the exit code."""
    if options.jobs is not None and options.jobs < 1:
        raise UsageError(f"the number of jobs is at least 1, got {options.jobs}")
    if options.workers is not None and options.cluster is None:
        raise UsageError("--workers is for a cluster: --cluster ADDRESS")
    if not options.inputs and options.list is None:
        raise UsageError("name the inputs, or a list of them: --from FILE")
    out, remote = _output_place(options.out, options.work)
    jobs = plan(options.inputs, out, settings, listed=_listed(options.list), spooled=spooled)
    if to_stream and len(jobs) > 1:
        raise UsageError(f"-o - takes a single input, and there are {len(jobs)}; give a folder")
    if options.report is not None:
        plan_report(options.report, jobs)
    stills = all(is_image(job.source) for job in jobs)  # no image waits for others
    threads = shared_threads() if settings.video else None
    batch = 1 if options.batch is None and stills else options.batch
    profiler = Profiler()
    with _open_finder(options, threads, batch) as finder, cancelled_by_signals() as cancelled:
        at_once = options.jobs or _jobs_at_once(finder, len(jobs))
        reporter = ProgressReporter(settings, jobs, at_once=at_once, quiet=options.quiet, to_stderr=to_stream)
        overlay = Overlay(settings.style(refined=finder.facts.refined))
        reporter.say(_describe(finder, options))
        if options.encoder == AUTO and settings.video:
            reporter.say(f"videos by {settings.encoder} (auto)")
        if remote is not None:
            reporter.say(f"outputs are sent from {options.work} to {remote}")

        def do(job: Job) -> AnnotateReport:
            report = annotate(
                job,
                finder,
                settings,
                stream=sys.stdout if to_stream else None,
                overlay=overlay,
                profiler=profiler,
                started=reporter.started,
                progress=reporter.progress,
                cancelled=cancelled,
            )
            if remote is not None and not report.cancelled:
                for path in job.outputs:
                    send(path, remote + path.relative_to(options.work).as_posix(), anew=not report.skipped)
            return replace(report, written=()) if to_stream else report

        outcomes = run_jobs(jobs, do, cancelled=cancelled, at_once=at_once, ended=reporter.ended)
    reporter.close()
    summary = profiler.summary()
    if summary:
        reporter.say(stage_table(summary))
    if options.report is not None:
        write_report(options.report, outcomes)
    return _conclude(outcomes, reporter, begin_s, stopped=cancelled.is_set(), continues=not to_stream)


def _open_finder(
    options: argparse.Namespace, threads: int | None, batch: int | None
) -> AbstractContextManager[PoseModel | Cluster]:
    """Open the model in this process, or on the workers of a cluster."""
    if options.cluster is None:
        return load_model(options, threads=threads, batch=batch)
    choice = ModelChoice(**model_choice(options, threads=threads, batch=batch))
    return _connected(options.cluster, choice, options.workers)


@contextmanager
def _connected(address: str, choice: ModelChoice, workers: int | None) -> Iterator[Cluster]:
    """Connect to a cluster; SIGTERM meanwhile prints a sentence and ends the process."""
    with ExitStack() as stack:
        with ended_by_a_kill():
            cluster = stack.enter_context(connect(address, choice, workers))
        yield cluster


def _jobs_at_once(finder: PoseModel | Cluster, jobs: int) -> int:
    """Return the number of jobs to run at once.

    On a cluster it is one more than there are workers, so that none is idle while a job begins or ends.
    """
    if isinstance(finder, PoseModel):
        return 1
    return max(1, min(jobs, finder.workers + 1, _MOST_JOBS * (os.cpu_count() or 1)))


def _describe(finder: PoseModel | Cluster, options: argparse.Namespace) -> str:
    """Return the line that names the network, its backend and the cluster."""
    facts = finder.facts
    chosen = " (auto)" if options.backend == "auto" else ""
    where = (
        "" if isinstance(finder, PoseModel) else f", {counted(finder.workers, 'worker')} on {options.cluster}"
    )
    return f"{facts.name} on {shown_backend(facts.description)}{chosen}{where}"


def _conclude(
    outcomes: Sequence[Outcome], reporter: ProgressReporter, begin_s: float, *, stopped: bool, continues: bool
) -> int:
    """Print the sums over all files, and return the exit code."""
    found = counts(outcomes)
    if len(outcomes) > 1:
        sums = ", ".join(f"{found[status]} {status}" for status in STATUSES if found[status])
        reporter.say(f"{len(outcomes)} files: {sums}")
    reporter.say(f"total time {duration(time.perf_counter() - begin_s)}")
    if stopped:
        complain("stopped before the end" + ("; the same command continues" if continues else ""))
        return INTERRUPTED
    failed = found["failed"] + found["damaged"]
    if failed and len(outcomes) > 1:
        complain(f"{failed} of {len(outcomes)} files failed")
    return FAILED if failed else DONE
