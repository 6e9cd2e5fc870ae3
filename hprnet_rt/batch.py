"""Many files, one after the other or several at once, and what became of each."""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hprnet_rt.annotate import Report
from hprnet_rt.errors import HprnetError, OutputError
from hprnet_rt.jobs import Job
from hprnet_rt.outputs import make_folder_of
from hprnet_rt.version import __version__
from hprnet_rt.video.output import PartialFile, reason

__all__ = ["STATUSES", "Outcome", "counts", "run_jobs", "write_report"]

_log = logging.getLogger(__name__)

STATUSES: Final = ("done", "damaged", "skipped", "failed", "stopped", "not tried")
"""A damaged file's good frames are in its outputs; a skipped one was done before."""


@dataclass(frozen=True)
class Outcome:
    """What became of one file.

    Attributes:
        status: one of `STATUSES`.
        reason: why it failed, or what is damaged.
        report: None when it failed or was not tried.
    """

    job: Job
    status: str
    reason: str = ""
    report: Report | None = None


def run_jobs(
    jobs: Sequence[Job],
    do: Callable[[Job], Report],
    *,
    cancelled: threading.Event,
    at_once: int = 1,
    ended: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Do all jobs; one that fails does not keep the others from being done.

    Args:
        jobs: in their order.
        do: does one; called from several threads when `at_once` is more than 1.
        cancelled: when set, no further job is begun.
        at_once: how many jobs are on their way at a time.
        ended: called after each job, from its thread, one at a time.

    Returns:
        an outcome for each job, in order.

    Raises:
        Exception: a single job raised what is no `HprnetError`. Among several that is a failure of its file.
    """
    lock = threading.Lock()

    def attempt(job: Job) -> Outcome:
        if cancelled.is_set():
            return Outcome(job, "not tried")
        outcome = _attempt(job, do, alone=len(jobs) == 1)
        if ended is not None:
            with lock:
                ended(outcome)
        return outcome

    if at_once == 1:  # in this thread, which signals interrupt
        return [attempt(job) for job in jobs]
    with ThreadPoolExecutor(at_once, thread_name_prefix="hprnet-job") as pool:
        return list(pool.map(attempt, jobs))


def _attempt(job: Job, do: Callable[[Job], Report], *, alone: bool) -> Outcome:
    try:
        report = do(job)
    except HprnetError as error:
        return Outcome(job, "failed", str(error))
    except Exception as error:
        if alone:
            raise
        _log.debug("%s failed", job.source, exc_info=True)
        return Outcome(job, "failed", f"{job.source} failed unexpectedly: {type(error).__name__}: {error}")
    if report.cancelled:
        return Outcome(job, "stopped", report=report)
    if report.skipped:
        return Outcome(job, "skipped", report=report)
    return Outcome(job, "damaged" if report.damage else "done", report.damage or "", report)


def counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """How many there are of each status."""
    found = Counter(outcome.status for outcome in outcomes)
    return {status: found[status] for status in STATUSES}


def write_report(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write what became of every file as JSON; a report of an earlier run is replaced.

    Raises:
        OutputError: it cannot be written.
    """
    data = {"hprnet_rt": __version__, **counts(outcomes), "files": [_as_dict(each) for each in outcomes]}
    make_folder_of(path)
    target = PartialFile(path)
    try:
        target.partial.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {reason(error)}") from error
    target.commit()


def _as_dict(outcome: Outcome) -> dict[str, Any]:
    data: dict[str, Any] = {"source": str(outcome.job.source), "status": outcome.status}
    if outcome.reason:
        data["reason"] = outcome.reason
    if outcome.status == "skipped":
        data["outputs"] = [str(path) for path in outcome.job.outputs]
    elif outcome.report is not None:
        report = outcome.report
        data |= {
            "frames": report.frames,
            "resumed": report.resumed,
            "people": report.people,
            "seconds": round(report.seconds, 3),
            "outputs": [str(path) for path in report.written],
        }
    return data
