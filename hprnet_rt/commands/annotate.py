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
from pathlib import Path
from typing import Final

from hprnet_rt.cluster import Cluster, ModelChoice, connect
from hprnet_rt.commands.annotate_arguments import add_arguments, listed_inputs, output_place, settings_of
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
from hprnet_rt.commands.options import load_model, model_choice
from hprnet_rt.commands.progress import ProgressReporter
from hprnet_rt.commands.standard_streams import (
    STANDARD_OUTPUT,
    reads_standard_input,
    require_only_keypoints,
    spooled_input,
)
from hprnet_rt.errors import UsageError
from hprnet_rt.formats import formats_help
from hprnet_rt.geometry import KEEP
from hprnet_rt.inference.model import AUTO as CHOSEN
from hprnet_rt.inference.model import PoseModel
from hprnet_rt.jobs.annotate_file import FileReport, annotate_file
from hprnet_rt.jobs.file_run import engine_threads
from hprnet_rt.jobs.many import STATUSES, Outcome, counts, plan_report, run_jobs, write_report
from hprnet_rt.jobs.options import AnnotateOptions
from hprnet_rt.jobs.plan import Job, plan
from hprnet_rt.pipeline import Profiler
from hprnet_rt.render import Overlay
from hprnet_rt.video import is_image
from hprnet_rt.video.encoders import AUTO
from hprnet_rt.video.remote import send
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
    add_arguments(job)
    job.set_defaults(run=_annotate)


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
        settings = settings_of(options)
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
    out, remote = output_place(options.out, options.work)
    jobs = plan(options.inputs, out, settings, listed=listed_inputs(options.list), spooled=spooled)
    if to_stream and len(jobs) > 1:
        raise UsageError(f"-o - takes a single input, and there are {len(jobs)}; give a folder")
    if options.report is not None:
        plan_report(options.report, jobs)
    if CHOSEN in (options.size, settings.regions):
        _require_order(options)
    stills = all(is_image(job.source) for job in jobs)  # no image waits for others
    threads = engine_threads(options.backend, encodes=settings.video, elsewhere=options.cluster is not None)
    alone = stills or settings.regions == CHOSEN  # such a frame is looked at when those before it are known
    batch = 1 if options.batch is None and alone else options.batch
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

        def do(job: Job) -> FileReport:
            report = annotate_file(
                job,
                finder,
                settings,
                stream=sys.stdout if to_stream else None,
                draw=overlay,
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


def _require_order(options: argparse.Namespace) -> None:
    """Check that one of size and regions can be chosen: frames are looked at one after the other for it.

    Raises:
        UsageError: it cannot.
    """
    if options.regions and options.size in (CHOSEN, KEEP):
        raise UsageError(f"--size {options.size} looks at the whole picture: it does not go with --regions")
    what = f"--size {CHOSEN}" if options.size == CHOSEN else f"--regions {CHOSEN}"
    for name in ("cluster", "batch"):
        if getattr(options, name) is not None:
            raise UsageError(f"with {what} a frame depends on those before it: it does not go with --{name}")


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
