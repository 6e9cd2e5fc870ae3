"""Many jobs, one after the other or several at once, and the outcome of each."""

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

from hprnet_rt.errors import HprnetError, OutputError, UsageError
from hprnet_rt.files import PartialFile, make_folder_of, reason, require_writable
from hprnet_rt.jobs.annotate_file import FileReport
from hprnet_rt.jobs.plan import Job
from hprnet_rt.version import __version__

__all__ = ["STATUSES", "Outcome", "counts", "plan_report", "run_jobs", "write_report"]

_log = logging.getLogger(__name__)

STATUSES: Final = ("done", "damaged", "skipped", "failed", "stopped", "not tried")
"""A damaged file's good frames are in its outputs, perhaps from before; a skipped one was done before."""


_BEGINNING: Final = b'{\n "hprnet_rt": '
"""Of every report."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of one job.

    Attributes:
        status: one of `STATUSES`.
        reason: why it failed, or what is damaged.
        report: None when it failed or was not tried.
    """

    job: Job
    status: str
    reason: str = ""
    report: FileReport | None = None

    @classmethod
    def of(cls, job: Job, report: FileReport) -> Outcome:
        """Return the outcome of a job that has not failed."""
        if report.cancelled:
            return cls(job, "stopped", report=report)
        if report.damage:
            return cls(job, "damaged", report.damage, report)
        return cls(job, "skipped" if report.skipped else "done", report=report)


def run_jobs(
    jobs: Sequence[Job],
    do: Callable[[Job], FileReport],
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


def _attempt(job: Job, do: Callable[[Job], FileReport], *, alone: bool) -> Outcome:
    try:
        return Outcome.of(job, do(job))
    except HprnetError as error:
        return Outcome(job, "failed", str(error))
    except Exception as error:
        if alone:
            raise
        _log.debug("%s failed", job.source, exc_info=True)
        return Outcome(job, "failed", f"{job.name} failed unexpectedly: {type(error).__name__}: {error}")


def counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """Count the outcomes of each status."""
    found = Counter(outcome.status for outcome in outcomes)
    return {status: found[status] for status in STATUSES}


def plan_report(path: Path, jobs: Sequence[Job]) -> None:
    """Check before any work that a report can be written and replaces no other file.

    Raises:
        UsageError: its name is one of an input, an output, a folder, or a file that is no report.
        OutputError: it cannot be written.
    """
    where = path.resolve()
    for job in jobs:
        if isinstance(job.source, Path) and where == job.source.resolve():
            raise UsageError(f"the report {path} would replace an input; choose another --report")
        alike = (each for each in (*job.files, job.master) if each.name == where.name)
        if where in {each.resolve() for each in alike}:
            raise UsageError(
                f"the report {path} and an output of {job.source} have one name; choose another --report"
            )
    if path.is_dir():
        raise UsageError(f"the report {path} is a folder; give the name of a file")
    try:
        if path.exists() and path.stat().st_size and not _is_report(path):
            raise UsageError(f"{path} exists and is no report; choose another --report")
    except OSError as error:
        raise OutputError(f"cannot read {path}: {reason(error)}") from error
    require_writable(path)


def _is_report(path: Path) -> bool:
    with path.open("rb") as file:
        begin = file.read(len(_BEGINNING))
    return begin == _BEGINNING


def write_report(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write the outcome of every job as JSON; a report of an earlier run is replaced.

    Raises:
        OutputError: it cannot be written.
    """
    data = {"hprnet_rt": __version__, **counts(outcomes), "files": [_as_dict(each) for each in outcomes]}
    make_folder_of(path)
    target = PartialFile(path)
    with target.writing() as partial:
        partial.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8", newline="\n")
    target.commit()


def _as_dict(outcome: Outcome) -> dict[str, Any]:
    data: dict[str, Any] = {"source": outcome.job.name, "status": outcome.status}
    if outcome.reason:
        data["reason"] = outcome.reason
    report = outcome.report
    if report is not None and report.skipped:
        data["outputs"] = [str(path) for path in outcome.job.outputs]
    elif report is not None:
        data |= {
            "frames": report.frames,
            "resumed": report.resumed,
            "people": report.people,
            **({} if report.closer is None else {"closer": report.closer}),
            "seconds": round(report.seconds, 3),
            "outputs": [str(path) for path in report.written],
        }
    return data
