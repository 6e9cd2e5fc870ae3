"""The work on one file: found people go to a journal, of which everything else is made."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Final, TextIO

from hprnet_rt.backends.registry import backend_spec
from hprnet_rt.errors import MediaError
from hprnet_rt.files import PartialFile, make_folder_of
from hprnet_rt.formats import KeypointsFrame, KeypointsStream, Recording, write_keypoints
from hprnet_rt.formats.jsonl import JSONL, read_jsonl, write_jsonl
from hprnet_rt.inference.crowd import CrowdWatch, WatchMemory
from hprnet_rt.inference.finder import Finder, PoseRequest
from hprnet_rt.inference.stages import AnyStage, following_stages, replay_stages
from hprnet_rt.jobs.fingerprint import video_comment
from hprnet_rt.jobs.journal import Journal
from hprnet_rt.jobs.options import AnnotateOptions, video_settings
from hprnet_rt.jobs.outputs import Outputs, Sink
from hprnet_rt.jobs.pictures import open_picture
from hprnet_rt.jobs.plan import Job
from hprnet_rt.jobs.resume import note_damage
from hprnet_rt.pipeline import Pipeline, Profiler
from hprnet_rt.render import Drawing
from hprnet_rt.tracking import PoseSpool, Snapshots, both_ways, temporal_steps
from hprnet_rt.types import Frame, FramePoses, unseen_frame
from hprnet_rt.video import (
    BorrowedFrames,
    FileSource,
    ImageSource,
    ResumePoint,
    VideoSink,
    chosen_frames,
    is_image,
    open_source,
)

__all__ = ["FileRun", "engine_threads", "shared_threads"]

_DURABLE_S: Final = 2.0
"""A crash costs the keypoints of at most this time."""


def shared_threads() -> int:
    """Return the threads of each, an encoder and a network that wants all its threads at the same moment."""
    return max(1, (os.cpu_count() or 1) // 2)


def engine_threads(backend: str, *, encodes: bool, elsewhere: bool = False) -> int | None:
    """Return the threads of a backend, None for all cores.

    One that works on several images at once has a thread for every core: whatever core an encoder leaves free
    is used, and no image waits for the threads of another. Others share the cores with an encoder.

    Args:
        backend: as the user has named it; "auto" chooses such a one on the CPU.
        encodes: a video is written.
        elsewhere: the network runs on the workers of a cluster, whose number follows from their threads.
    """
    if encodes and (elsewhere or not (backend == "auto" or backend_spec(backend).side_by_side)):
        return shared_threads()
    return None


class FileRun:
    """One file on its way: the steps of `annotate_file`, which calls them in the order in which they stand.

    Args:
        job: its input and outputs.
        finder: finds everyone in a frame.
        options: of the run.
        source: the opened input; not closed here.
        header: of the keypoints.
        outputs: gets the sinks.
        stream: gets the keypoints as JSON lines besides; None for none.
        draw: draws people; None where no picture is written.
        profiler: gets the stages' times.
        progress: called after each frame.
        cancelled: when set, the steps end early.

    Attributes:
        people, most_people: sums over all frames, and of one frame.
        damage: what could not be read of the source; None when all was well.
        watch: chooses how frames are looked at; None where that is not chosen.
    """

    def __init__(
        self,
        *,
        job: Job,
        finder: Finder,
        options: AnnotateOptions,
        source: FileSource,
        header: dict[str, Any],
        outputs: Outputs,
        stream: TextIO | None,
        draw: Drawing | None,
        profiler: Profiler,
        progress: Callable[[FramePoses], None] | None,
        cancelled: threading.Event,
    ) -> None:
        self.job, self.finder, self.options = job, finder, options
        self.source, self.info, self.header = source, source.info, header
        self.profiler, self.progress, self.cancelled = profiler, progress, cancelled
        self.is_image = is_image(job.source)
        self.looks_ahead = options.smooth == "zero-lag" and not self.is_image
        self.draw = draw
        self.people = self.most_people = 0
        self.damage: str | None = None
        self.watch: CrowdWatch | None = None
        self.outputs = outputs
        self.stream = None if stream is None else KeypointsStream(stream, header)
        for path in job.outputs:
            make_folder_of(path)
        self.journal = Journal(
            job.unsmoothed if self.looks_ahead else job.master,
            header,
            again=options.overwrite,
            keep=JSONL.name in job.keypoints and not self.looks_ahead,
        )
        self.outputs.add(self.journal)
        self.picture: Sink | None = None
        if not self.looks_ahead:
            self._open_picture()

    def _open_picture(self) -> None:
        job, options = self.job, self.options
        if job.picture is None:
            return
        writing: dict[str, Any] = {}
        if not isinstance(self.source, ImageSource):
            writing = {
                "threads": shared_threads(),
                "comment": video_comment(self.header, **video_settings(options)),
                "crf": options.crf,
                "encoder": options.encoder,
            }
        self.picture = open_picture(
            job.picture,
            self.source,
            options.selection,
            draw=self.draw,
            strip_metadata=options.strip_metadata,
            **writing,
        )
        self.outputs.add(self.picture)

    def find_people(self) -> None:
        """Find everyone in the frames that no earlier run has finished."""
        done = self.journal.resumed
        last: ResumePoint | None = None
        frames = None if self.picture is None else chosen_frames(self.source, self.options.selection)
        if done and frames is not None:

            def take_earlier(item: FramePoses) -> None:
                nonlocal last
                last = ResumePoint(done, item.frame.sequence, item.frame.pts_s)
                self._count(item)

            self._draw(islice(frames, done), self.journal.earlier_frames(), done, take_earlier)
        elif done:
            last = self._count_earlier()
        if self.cancelled.is_set():
            return
        request = PoseRequest(self.source, self.options.selection, last, self.options.regions)
        search = self.finder.find(request, frames)
        smooth = "off" if self.looks_ahead else self.options.smooth
        track = self.options.track and not self.is_image
        steps = temporal_steps(track, smooth, self.options.max_people)
        self.watch = search.watch
        if self.watch is not None and self.watch.states is not None:
            steps.insert(0, WatchMemory(self.watch))
        snapshots = Snapshots(steps, _DURABLE_S, done, self.journal.state)
        if done and not self.journal.state:
            self.watch = None  # all frames were done before, and how they were looked at is not known
        draw = None if self.looks_ahead else self.draw
        over_time = (snapshots,) if steps or not self.is_image else ()

        def take(item: FramePoses) -> None:
            self.outputs.write(item)
            if self.stream is not None and not self.looks_ahead:
                self.stream.write(item)
            state = snapshots.at(self.outputs.frames)
            if state is not None:
                self.journal.checkpoint(self.outputs.frames, state)
            self._count(item)

        stages = [*search.stages, *following_stages(over_time, draw)]
        self._run(search.frames, stages, take, search.interrupt)
        self.damage = search.damage()
        if not self.cancelled.is_set():
            if not self.outputs.frames:
                raise MediaError(f"{self.job.name} has no frame in the part that was asked for")
            names = [path.name for path in self.job.outputs]
            self.journal.checkpoint(self.outputs.frames, {}, names)  # there is nothing to do behind them

    def _count_earlier(self) -> ResumePoint:
        """Take the frames of earlier runs as they are, and return where they end."""
        number, pts_s = -1, None
        for earlier in self.journal.earlier_frames():
            number, pts_s = earlier.number, earlier.pts_s
            self.outputs.count_earlier()
            pts = None if pts_s is None else round(pts_s / self.info.time_base)
            item = FramePoses(unseen_frame(number, pts, self.info.time_base), earlier.poses)
            self._count(item)
            if self.progress is not None:
                self.progress(item)
        return ResumePoint(self.outputs.frames, number, pts_s)

    def smooth(self) -> None:
        """Smooth what is in the journal, knowing all of it, and draw that."""
        self.journal.close()
        with PoseSpool() as found, PoseSpool() as behind:
            for frame in self.journal.recording().frames:
                found.append((frame.pts_s or 0.0, frame.poses))
            smoothed = zip(self.journal.recording().frames, both_ways(found, behind), strict=True)
            self._write_master(replace(frame, poses=poses) for frame, (_, poses) in smoothed)
        if self.stream is not None:
            for frame in self._master().frames:
                self.stream.write_frame(frame)
        self._open_picture()
        if self.picture is not None:
            source = open_source(self.job.source, self.options.rate, self.options.deinterlace)
            try:
                frames = chosen_frames(source, self.options.selection)
                self._draw(frames, self._master().frames, self.outputs.frames)
            finally:
                source.close()

    def _write_master(self, frames: Iterable[KeypointsFrame]) -> None:
        with PartialFile(self.job.master).writing() as partial:
            write_jsonl(partial, self.header, frames)

    def _master(self) -> Recording:
        return read_jsonl(PartialFile(self.job.master).partial)

    def _draw(
        self,
        frames: Iterable[Frame],
        known: Iterator[KeypointsFrame],
        count: int,
        take: Callable[[FramePoses], None] | None = None,
    ) -> None:
        """Write the pictures of frames whose people are known.

        Raises:
            MediaError: there are not `count` frames any more.
        """
        self.outputs.begin_again(count)
        drawn = 0

        def write(item: FramePoses) -> None:
            nonlocal drawn
            if self.picture is not None:
                self.picture.write(item)
            drawn += 1
            if take is not None:
                take(item)

        self._run(frames, replay_stages(known, self.draw), write)
        if self.cancelled.is_set():
            return
        if drawn != count:
            raise MediaError(f"{self.job.name} is not as it was when its keypoints were found")
        self.outputs.have_all()

    def _run(
        self,
        frames: Iterable[Frame],
        stages: Sequence[AnyStage],
        take: Callable[[FramePoses], None],
        interrupt: Callable[[], None] | None = None,
    ) -> None:
        with Pipeline[FramePoses](
            BorrowedFrames(frames),
            stages,
            profiler=self.profiler,
            cancelled=self.cancelled,
            interrupt=interrupt,
        ) as pipeline:
            for packet in pipeline:
                start_s = time.perf_counter()
                take(packet.payload)
                self.profiler.record("sink", start_s - packet.sent_s, time.perf_counter() - start_s)
                if self.progress is not None:
                    self.progress(packet.payload)

    def _count(self, item: FramePoses) -> None:
        self.people += len(item.poses)
        self.most_people = max(self.most_people, len(item.poses))

    def finish(self) -> tuple[Path, ...]:
        """Complete every output and give it its name; what could be continued goes last."""
        options = self.options
        whole = options.end_s is None and (options.limit is None or self.outputs.frames < options.limit)
        self.outputs.close(all_audio=whole)
        if self.damage is None and isinstance(self.picture, VideoSink):
            self.damage = self.picture.lost
        note_damage(self.job, self.damage)
        for name, path in self.job.keypoints.items():
            if name != JSONL.name:
                write_keypoints(path, self.header, self._master().frames, name)
        if self.picture is not None:
            self.picture.commit()
        if self.looks_ahead:
            master = PartialFile(self.job.master)
            if JSONL.name in self.job.keypoints:
                master.commit(durable=True)
            else:
                master.partial.unlink(missing_ok=True)
        self.journal.commit()
        return self.job.outputs
