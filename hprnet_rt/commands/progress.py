"""The progress of `hprnet-rt annotate` on stderr, and its results on stdout."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from hprnet_rt.commands.console import complain, say
from hprnet_rt.jobs.annotate_file import FileReport
from hprnet_rt.jobs.many import Outcome
from hprnet_rt.jobs.options import AnnotateOptions
from hprnet_rt.jobs.plan import Job
from hprnet_rt.types import FramePoses
from hprnet_rt.video import MediaInfo, is_image
from hprnet_rt.words import counted

__all__ = ["ProgressReporter"]


class ProgressReporter:
    """Shows a progress bar, and prints the result of every job; any thread may call it.

    Args:
        options: of the jobs.
        jobs: all of them.
        at_once: number of jobs that run at the same time.
        quiet: print errors only.
        to_stderr: print results to stderr too, because stdout is for keypoints.
    """

    def __init__(
        self,
        options: AnnotateOptions,
        jobs: Sequence[Job],
        *,
        at_once: int,
        quiet: bool,
        to_stderr: bool = False,
    ) -> None:
        self._options = options
        self._quiet = quiet
        self._to_stderr = to_stderr
        self._at_once = at_once
        self._lock = threading.Lock()
        self._stills = sum(is_image(job.source) for job in jobs)
        self._bar: tqdm[None] | None = None

    def say(self, text: str) -> None:
        """Print a line, unless told to be quiet."""
        if not self._quiet:
            say(text, to_stderr=self._to_stderr)

    def started(self, info: MediaInfo) -> None:
        """Open a bar for a video; all stills share one, and so do videos that run at the same time."""
        path = Path(info.source)
        with self._lock:
            if (is_image(path) or self._at_once > 1) and self._bar is not None:
                return
            total = self._stills if is_image(path) else _frames_of(info, self._options)
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
        """Count a frame."""
        with self._lock:
            if self._bar is not None:
                self._bar.update()

    def close(self) -> None:
        """Remove the bar; further calls do nothing."""
        with self._lock:
            if self._bar is not None:
                self._bar.close()
                self._bar = None

    def ended(self, outcome: Outcome) -> None:
        """Print the result of a job, or the reason why it failed."""
        if outcome.status == "failed" or (self._at_once == 1 and not is_image(outcome.job.source)):
            self.close()
        if outcome.report is not None:
            self._say_result(outcome.report)
        if outcome.reason:
            complain(outcome.reason)

    def _say_result(self, report: FileReport) -> None:
        if report.skipped:
            self.say(f"{report.job.name}: skipped, it is done")
            return
        rate = (report.frames - report.resumed) / report.seconds if report.seconds > 0 else 0.0
        mean = report.people / report.frames if report.frames else 0.0
        stopped = "stopped after " if report.cancelled else ""
        were = "was" if report.resumed == 1 else "were"
        before = f", {counted(report.resumed, 'frame')} {were} there" if report.resumed else ""
        closer = "" if report.closer is None else f" ({report.closer} looked at closer)"
        frames, people = counted(report.frames, "frame"), counted(report.people, "person")
        self.say(
            f"{report.job.name}: {stopped}{frames}{closer}, {people} "
            f"({mean:.1f} a frame, at most {report.most_people}), {rate:.1f} FPS{before}"
        )
        for path in report.written:
            self.say(f"  {'kept' if report.cancelled else 'wrote'} {path}")


def _frames_of(info: MediaInfo, options: AnnotateOptions) -> int | None:
    """Count the frames that will be searched and written, None when that cannot be known."""
    if info.frames is None or options.start_s or options.end_s is not None:
        return None
    frames = -(-info.frames // options.stride)
    frames = frames if options.limit is None else min(frames, options.limit)
    return frames * (2 if options.smooth == "zero-lag" and options.video else 1)
