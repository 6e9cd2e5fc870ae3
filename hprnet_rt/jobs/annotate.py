"""`annotate`: the command of that name as a function."""

from __future__ import annotations

import dataclasses
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hprnet_rt.errors import UsageError
from hprnet_rt.inference.looks import AUTO
from hprnet_rt.inference.model import PoseModel, load
from hprnet_rt.jobs.annotate_file import FileReport, annotate_file
from hprnet_rt.jobs.many import Outcome, run_jobs
from hprnet_rt.jobs.options import AnnotateOptions
from hprnet_rt.jobs.plan import Job, plan
from hprnet_rt.render import Drawing
from hprnet_rt.types import FramePoses
from hprnet_rt.video import MediaInfo, is_image

__all__ = ["AnnotateReport", "Progress", "annotate"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far `annotate` is with a file.

    Attributes:
        source: the file.
        done: frames of it that are done.
        frames: how many it says that it has; None where it does not. Of a part of it, fewer will come.
        people: in the last frame.

    Examples:
        >>> def show(progress):
        ...     if progress.done == progress.frames:
        ...         print(progress.source, progress.done, "of", progress.frames)
        >>> report = hprnet_rt.annotate("video.mp4", "shown", progress=show)
        video.mp4 6 of 6
    """

    source: str
    done: int
    frames: int | None
    people: int


@dataclass(frozen=True, kw_only=True)
class AnnotateReport:
    """What `annotate` has done.

    Attributes:
        files: the outcome of every input, in order: its `status`, its `reason` where there is one, and its
            `report` with frames, people, seconds and files.
        seconds: that it took, with the loading of the model.

    Examples:
        >>> report = hprnet_rt.annotate("video.mp4", "reported")
        >>> report.frames, report.people, [path.name for path in report.written]
        (6, 18, ['video.mp4', 'video.jsonl'])
        >>> report.failed
        ()
    """

    files: tuple[Outcome, ...]
    seconds: float

    @property
    def _reports(self) -> tuple[FileReport, ...]:
        return tuple(each.report for each in self.files if each.report is not None)

    @property
    def frames(self) -> int:
        """Frames of all files, those of earlier runs included; files that were done before have none."""
        return sum(each.frames for each in self._reports)

    @property
    def people(self) -> int:
        """People, summed over these frames."""
        return sum(each.people for each in self._reports)

    @property
    def written(self) -> tuple[Path, ...]:
        """The files that were written."""
        return tuple(path for each in self._reports for path in each.written)

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """The inputs that failed, or of which a part could not be read."""
        return tuple(each for each in self.files if each.status in ("failed", "damaged"))


def annotate(
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    draw: Drawing | None = None,
    progress: Callable[[Progress], None] | None = None,
    model: PoseModel | None = None,
    **options: Any,
) -> AnnotateReport:
    """Draw people onto videos and images, and write their keypoints, as `hprnet-rt annotate` does.

    The same call continues what was interrupted, and skips files that are done.

    Args:
        inputs: files, folders, glob patterns and addresses, one or several.
        out: a folder, or a file for a single input.
        draw: draws people in the place of skeletons: a function of a `Frame` and its `Poses` that changes
            `frame.image`, or returns another picture of its size; or an `Overlay` of another style. It is
            called in a thread, once for each frame, in order. Videos that were drawn by a function are not
            known again: `overwrite=True` replaces them.
        progress: called after each frame, in this thread.
        model: from `load`; the default model, closed at the end, when None.
        options: fields of `hprnet_rt.jobs.options.AnnotateOptions`, which are the options of the command:
            video, keypoints, formats, overwrite, skip_existing, start_s, end_s, stride, limit, track, smooth,
            max_people, hide, blur, only, point_threshold, crf, encoder, strip_metadata and others.

    Returns:
        what was done. Where there are several files, some may have failed: `AnnotateReport.failed`, which is
        logged too.

    Raises:
        UsageError: an input is missing, an option is impossible, or an output exists that this call would not
            make alike.
        HprnetError: the only file failed. What was done before is kept under its partial name.

    Examples:
        >>> report = hprnet_rt.annotate("video.mp4", "annotated", formats=("csv",), hide=("face",), end_s=0.2)
        >>> report.frames
        5
        >>> def dots(frame, poses):
        ...     for x, y in poses.confident().only("body").xy.reshape(-1, 2):
        ...         if x == x:  # an absent point is NaN
        ...             frame.image[int(y) - 2 : int(y) + 2, int(x) - 2 : int(x) + 2] = (0, 255, 255)
        >>> report = hprnet_rt.annotate("video.mp4", "dots.mp4", draw=dots, overwrite=True)
    """
    begin_s = time.perf_counter()
    settings = _settings(options, draw)
    names = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    jobs = plan([os.fspath(each) for each in names], Path(out), settings)
    stills = all(is_image(job.source) for job in jobs)
    with _opened(model, alone=stills or settings.regions == AUTO) as opened:

        def do(job: Job) -> FileReport:
            teller = _Teller(job, progress)
            return annotate_file(
                job, opened, settings, draw=draw, started=teller.started, progress=teller.progress
            )

        if len(jobs) == 1:
            outcomes = [Outcome.of(jobs[0], do(jobs[0]))]
        else:
            outcomes = run_jobs(jobs, do, cancelled=threading.Event())
    report = AnnotateReport(files=tuple(outcomes), seconds=time.perf_counter() - begin_s)
    for each in report.failed:
        _log.warning("%s", each.reason)
    return report


def _settings(options: dict[str, Any], draw: Drawing | None) -> AnnotateOptions:
    """Make the options of keywords.

    Raises:
        UsageError: there is no option of a name, or a value is impossible.
    """
    known = [field.name for field in dataclasses.fields(AnnotateOptions) if field.name != "drawn_by"]
    unknown = [name for name in options if name not in known]
    if unknown:
        raise UsageError(f"annotate has no option {unknown[0]!r}; its options are {', '.join(known)}")
    several = {name: (options[name],) for name in ("formats", "hide") if isinstance(options.get(name), str)}
    return AnnotateOptions(**options | several, drawn_by=None if draw is None else uuid.uuid4().hex)


@contextmanager
def _opened(model: PoseModel | None, *, alone: bool) -> Iterator[PoseModel]:
    """Give the model, or the default one, which is closed behind."""
    if model is not None:
        yield model
        return
    with load(batch=1 if alone else None) as own:  # no image waits for others
        yield own


class _Teller:
    """Tells of the progress of a file."""

    def __init__(self, job: Job, tell: Callable[[Progress], None] | None) -> None:
        self._name, self._tell = job.name, tell
        self._done = 0
        self._frames: int | None = None

    def started(self, info: MediaInfo) -> None:
        self._frames = info.frames

    def progress(self, item: FramePoses) -> None:
        self._done += 1
        if self._tell is not None:
            self._tell(
                Progress(source=self._name, done=self._done, frames=self._frames, people=len(item.poses))
            )
