"""The annotate job: files in, annotated pictures and keypoints out, nothing lost and nothing done twice."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

from hprnet_rt.earlier import compression, is_done, note_damage, noted_damage, tidy
from hprnet_rt.errors import HprnetError, MediaError, OutputError
from hprnet_rt.estimator import PoseModel
from hprnet_rt.files import PartialFile, reason
from hprnet_rt.finding import Done, Finder, Here, Wanted, chosen_frames
from hprnet_rt.formats import KeypointsFrame, Recording, write_keypoints
from hprnet_rt.formats.journal import Journal
from hprnet_rt.formats.jsonl import read_jsonl, write_jsonl
from hprnet_rt.jobs import AnnotateOptions, Job
from hprnet_rt.marks import comment
from hprnet_rt.outputs import Outputs, header, make_folder_of, only_run
from hprnet_rt.pipeline import Pipeline, Profiler
from hprnet_rt.render import Overlay, OverlayStyle
from hprnet_rt.stages import AnyStage, FileSource, followers, following_stages, known_stages, open_source
from hprnet_rt.tracking import PoseSpool, Snapshots, both_ways
from hprnet_rt.types import Estimated, Frame, unseen_frame
from hprnet_rt.video import (
    BorrowedFrames,
    ImageSink,
    MediaInfo,
    VideoSink,
    is_image,
)
from hprnet_rt.video.media import size_bytes

__all__ = ["Report", "annotate", "shared_threads"]

_DURABLE_S: Final = 2.0
"""A crash costs the keypoints of at most so much time."""


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
        resumed: frames that an earlier run had done.
        skipped: all was done before; nothing was written.
    """

    job: Job
    frames: int
    people: int
    most_people: int
    seconds: float
    written: tuple[Path, ...]
    damage: str | None = None
    cancelled: bool = False
    resumed: int = 0
    skipped: bool = False


def shared_threads() -> int:
    """Threads for each of the two heavy stages, engine and encoder, when they run side by side."""
    return max(1, (os.cpu_count() or 1) // 2)


class _Run:
    """One file on its way: found people go to a journal, of which everything else is made."""

    def __init__(
        self,
        job: Job,
        finder: Finder,
        options: AnnotateOptions,
        info: MediaInfo,
        said: dict[str, Any],
        outputs: Outputs,
        overlay: Overlay | None,
        profiler: Profiler,
        progress: Callable[[Estimated], None] | None,
        cancelled: threading.Event,
    ) -> None:
        self.job, self.finder, self.options = job, finder, options
        self.info, self.said = info, said
        self.profiler, self.progress, self.cancelled = profiler, progress, cancelled
        self.is_image = is_image(job.source)
        self.looks_ahead = options.smooth == "zero-lag" and not self.is_image
        self.overlay = (overlay or _overlay_for(finder)) if job.picture is not None else None
        self.people = self.most_people = 0
        self.damage: str | None = None
        self.outputs = outputs
        for path in job.outputs:
            make_folder_of(path)
        self.journal = Journal(
            job.unsmoothed if self.looks_ahead else job.hub,
            said,
            again=options.overwrite,
            keep="jsonl" in job.keypoints and not self.looks_ahead,
        )
        self.outputs.sinks.append(self.journal)
        self.picture: VideoSink | ImageSink | None = None
        if not self.looks_ahead:
            self._open_picture()

    def _open_picture(self) -> None:
        job, info, options = self.job, self.info, self.options
        if job.picture is None:
            return
        if self.is_image:
            self.picture = ImageSink(job.picture)
        else:
            rate = None if info.rate is None else info.rate / options.stride
            self.picture = VideoSink(
                *(job.picture, replace(info, rate=rate), job.source, shared_threads()),
                from_zero=options.start_s > 0.0,
                comment=comment(self.said, **compression(options)),
                crf=options.crf,
                encoder=options.encoder,
            )
        self.outputs.sinks.append(self.picture)

    def look(self, source: FileSource) -> None:
        """Find everyone in the frames that no earlier run has done."""
        done = self.journal.resumed
        last: Done | None = None
        frames = None if self.picture is None else chosen_frames(source, self.options.selection)
        if done and frames is not None:

            def take_earlier(item: Estimated) -> None:
                nonlocal last
                last = Done(done, item.frame.sequence, item.frame.pts_s)
                self._count(item)

            self._draw(islice(frames, done), self.journal.earlier_frames(), done, take_earlier)
        elif done:
            last = self._count_earlier()
        if self.cancelled.is_set():
            return
        wanted = Wanted(source, self.options.selection, last, self.options.regions)
        finding = self.finder.find(wanted, frames)
        smooth = "off" if self.looks_ahead else self.options.smooth
        steps = [] if self.is_image else followers(self.options.track, smooth)
        snapshots = Snapshots(steps, _DURABLE_S, done, self.journal.state)
        overlay = None if self.looks_ahead else self.overlay
        over_time = () if self.is_image else (snapshots,)
        stages = [*finding.stages, *following_stages(over_time, overlay)]

        def take(item: Estimated) -> None:
            self.outputs.write(item)
            state = snapshots.at(self.outputs.frames)
            if state is not None:
                self.journal.checkpoint(self.outputs.frames, state)
            self._count(item)

        self._run(finding.frames, stages, take, finding.interrupt)
        self.damage = finding.damage()
        if not self.cancelled.is_set():
            if not self.outputs.frames:
                raise MediaError(f"{self.job.source} has no frame in the part that was asked for")
            names = [path.name for path in self.job.outputs]
            self.journal.checkpoint(self.outputs.frames, {}, names)  # there is nothing to do behind them

    def _count_earlier(self) -> Done:
        """Take the frames of earlier runs as they are; returns what they were."""
        number, pts_s = -1, None
        for earlier in self.journal.earlier_frames():
            number, pts_s = earlier.number, earlier.pts_s
            self.outputs.frames += 1
            pts = None if pts_s is None else round(pts_s / self.info.time_base)
            item = Estimated(unseen_frame(number, pts, self.info.time_base), earlier.poses)
            self._count(item)
            if self.progress is not None:
                self.progress(item)
        return Done(self.outputs.frames, number, pts_s)

    def smooth(self) -> None:
        """Smooth what is in the journal, knowing all of it, and draw that."""
        self.journal.close()
        with PoseSpool() as found, PoseSpool() as behind:
            for frame in self.journal.recording().frames:
                found.append((frame.pts_s or 0.0, frame.poses))
            smoothed = zip(self.journal.recording().frames, both_ways(found, behind), strict=True)
            self._write_hub(replace(frame, poses=poses) for frame, (_, poses) in smoothed)
        self._open_picture()
        if self.picture is not None:
            source = open_source(self.job.source, self.options.rate)
            try:
                frames = chosen_frames(source, self.options.selection)
                self._draw(frames, self._hub().frames, self.outputs.frames)
            finally:
                source.close()

    def _write_hub(self, frames: Iterable[KeypointsFrame]) -> None:
        target = PartialFile(self.job.hub)
        target.create()
        try:
            write_jsonl(target.partial, self.said, frames)
        except OSError as error:
            target.partial.unlink(missing_ok=True)
            if isinstance(error, HprnetError):
                raise
            raise OutputError(f"cannot write {target.path}: {reason(error)}") from error

    def _hub(self) -> Recording:
        return read_jsonl(PartialFile(self.job.hub).partial)

    def _draw(
        self,
        frames: Iterable[Frame],
        known: Iterator[KeypointsFrame],
        count: int,
        take: Callable[[Estimated], None] | None = None,
    ) -> None:
        """Write the pictures of so many frames whose people are known.

        Raises:
            MediaError: they are not there any more.
        """
        self.outputs.whole, self.outputs.frames = False, count
        drawn = 0

        def write(item: Estimated) -> None:
            nonlocal drawn
            if self.picture is not None:
                self.picture.write(item)
            drawn += 1
            if take is not None:
                take(item)

        self._run(frames, known_stages(known, self.overlay), write)
        if self.cancelled.is_set():
            return
        if drawn != count:
            raise MediaError(f"{self.job.source} is not as it was when its keypoints were found")
        self.outputs.whole = True

    def _run(
        self,
        frames: Iterable[Frame],
        stages: Sequence[AnyStage],
        take: Callable[[Estimated], None],
        interrupt: Callable[[], None] | None = None,
    ) -> None:
        with Pipeline[Estimated](
            *(BorrowedFrames(frames), stages),
            profiler=self.profiler,
            cancelled=self.cancelled,
            interrupt=interrupt,
        ) as pipeline:
            for parcel in pipeline:
                start_s = time.perf_counter()
                take(parcel.payload)
                self.profiler.record("sink", start_s - parcel.sent_s, time.perf_counter() - start_s)
                if self.progress is not None:
                    self.progress(parcel.payload)

    def _count(self, item: Estimated) -> None:
        self.people += len(item.poses)
        self.most_people = max(self.most_people, len(item.poses))

    def finish(self) -> tuple[Path, ...]:
        """Complete every output and give it its name; what could be continued goes last."""
        options = self.options
        whole = options.end_s is None and (options.limit is None or self.outputs.frames < options.limit)
        self.outputs.close(all_audio=whole)
        for name, path in self.job.keypoints.items():
            if name != "jsonl":
                write_keypoints(path, self.said, self._hub().frames, name)
        if self.picture is not None:
            self.picture.commit()
        if self.looks_ahead:
            hub = PartialFile(self.job.hub)
            if "jsonl" in self.job.keypoints:
                hub.commit(durable=True)
            else:
                hub.partial.unlink(missing_ok=True)
        self.journal.commit()
        return self.job.outputs


def _overlay_for(finder: Finder) -> Overlay:
    return Overlay(OverlayStyle.of_model(refined=finder.facts.refined))


def annotate(
    job: Job,
    model: PoseModel | Finder,
    options: AnnotateOptions,
    *,
    overlay: Overlay | None = None,
    profiler: Profiler | None = None,
    started: Callable[[MediaInfo], None] | None = None,
    progress: Callable[[Estimated], None] | None = None,
    cancelled: threading.Event | None = None,
) -> Report:
    """Annotate one file. Where an earlier run was interrupted, go on: the keypoints are those of one run.

    Args:
        job: from `plan`.
        model: the network, here or elsewhere.
        options: the ones of `plan`.
        overlay: how to draw; the default one when None.
        profiler: gets the stages' times.
        started: called once with what is known of the source; not when all was done before.
        progress: called after each frame, those of an earlier run included; with "zero-lag" also after each
            that was looked at.
        cancelled: when set, what is done is finished under its partial name.

    Raises:
        UsageError: an earlier run was another one, or a region is not in the picture.
        MediaError: the source cannot be opened.
        OutputError: an output cannot be written.
        HprnetError: a stage failed. What was done before is kept under its partial name, which the error
            names.
    """
    cancelled = cancelled or threading.Event()
    finder = Here(model) if isinstance(model, PoseModel) else model
    begin_s = time.perf_counter()
    skipped = Report(job, 0, 0, 0, 0.0, (), damage=noted_damage(job), skipped=True)
    if options.skip_existing and len(job.existing()) == len(job.outputs):
        return skipped
    source = open_source(job.source, options.rate)
    with ExitStack() as held:
        held.callback(source.close)
        for region in options.regions:
            region.corners(source.info.width, source.info.height)
        said = header(source.info, finder.facts, **_choices(options))
        if is_done(job, said, options):  # perhaps in a folder that takes no lock
            tidy(job)
            return skipped
        held.enter_context(only_run(job.hub))
        if is_done(job, said, options):  # meanwhile
            return skipped
        outputs = Outputs()
        try:
            run = _Run(
                *(job, finder, options, source.info, said),
                *(outputs, overlay, profiler or Profiler(), progress, cancelled),
            )
            if started is not None:
                started(source.info)
            run.look(source)
            if run.looks_ahead and not cancelled.is_set():
                run.smooth()
            stopped = cancelled.is_set()
            damage = run.damage
            if damage is None and size_bytes(job.source) not in (None, said["source_bytes"]):
                damage = f"{job.source} changed while it was read: annotate it again when it is complete"
            if not stopped:
                note_damage(job, damage)
            written = outputs.abandon() if stopped else run.finish()
        except BaseException as error:
            kept = outputs.abandon()
            if kept and isinstance(error, HprnetError):
                names = ", ".join(str(path) for path in kept)
                raise type(error)(
                    f"{error} (the first {outputs.frames} frames are kept in {names})"
                ) from error
            raise
    return Report(
        *(job, outputs.frames, run.people, run.most_people, time.perf_counter() - begin_s, written),
        damage=damage,
        cancelled=stopped,
        resumed=run.journal.resumed,
    )


def _choices(options: AnnotateOptions) -> dict[str, Any]:
    """Options that decide what the keypoints are."""
    return {
        "limit": options.limit,
        "start_s": options.start_s,
        "end_s": options.end_s,
        "stride": options.stride,
        "track": options.track,
        "smooth": options.smooth,
        "regions": [region.text for region in options.regions],
    }
