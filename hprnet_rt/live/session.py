"""A live run, shown in the window, in a browser, or nowhere."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import cv2
import numpy as np

from hprnet_rt.errors import UsageError
from hprnet_rt.files import PartialFile, output_errors
from hprnet_rt.inference.crowd import CrowdWatch
from hprnet_rt.inference.model import AUTO, PoseModel
from hprnet_rt.inference.stages import pose_stages
from hprnet_rt.jobs.outputs import Outputs
from hprnet_rt.live.readings import Readings, Shown
from hprnet_rt.live.writer import FrameReceiver, FrameWriter
from hprnet_rt.pipeline import ChannelClosed, Pipeline, Profiler, Recent, Stage
from hprnet_rt.render import Overlay, OverlayStyle, drawing_beneath, require_drawing
from hprnet_rt.tracking import LIVE_SMOOTHINGS, require_max_people, temporal_steps
from hprnet_rt.types import FramePoses, Poses
from hprnet_rt.video import MediaInfo
from hprnet_rt.video.capture.source import LiveSource

__all__ = ["Session", "SessionOptions"]

_WAIT_S: Final = 0.1


@dataclass(frozen=True)
class SessionOptions:
    """Settings of a live run.

    Attributes:
        in_flight: most frames in the pipeline at a time, the one being shown included. 1 gives the least lag,
            2 keeps the network busy while a frame is shown.
        track: people keep an id from frame to frame.
        smooth: one of `tracking.LIVE_SMOOTHINGS`; it needs the ids.
        limit: frames after which the run ends; None for no limit.
        duration_s: seconds after which the run ends; None for no limit.
        max_people: the most people of a frame, the largest; None for all.
        blur: "faces" makes those of everyone who is found unrecognisable, in all pictures that are shown and
            written; keypoints stay as they are.
        only: "skeleton" shows and writes skeletons on black.
    """

    in_flight: int = 2
    track: bool = True
    smooth: str = LIVE_SMOOTHINGS[1]
    limit: int | None = None
    duration_s: float | None = None
    max_people: int | None = None
    blur: str | None = None
    only: str | None = None

    def __post_init__(self) -> None:
        if self.in_flight < 1:
            raise UsageError(f"in_flight is at least 1, got {self.in_flight}")
        if self.smooth not in LIVE_SMOOTHINGS:
            raise UsageError(f"smooth is {' or '.join(map(repr, LIVE_SMOOTHINGS))}, got {self.smooth!r}")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"the limit is at least 1 frame, got {self.limit}")
        if self.duration_s is not None and not self.duration_s > 0:
            raise UsageError(f"the duration is more than 0 seconds, got {self.duration_s}")
        require_max_people(self.max_people)
        require_drawing(self.blur, self.only, self.max_people)

    def told(self, info: MediaInfo) -> MediaInfo:
        """Return what videos tell of their source: not its title and place where pictures hide something."""
        return replace(info, tags={}) if self.blur or self.only else info


class Session:
    """Runs a live source through a model, and holds the switches that a viewer has.

    Use it from one thread: `start`, then `take` and `shown` for each frame, then `close`. Or iterate it.
    Frames are written in a thread of the session's own. When writing falls behind, `take` gives no frame
    until there is room, and newer frames replace those that wait in the pipeline: the viewer never waits,
    and every frame that was shown is written.

    A recording that cannot be continued does not end the run: `Readings.trouble` says why it ended.

    Args:
        source: from `open_live`; closed at the end.
        model: from `load`; stays open, and is not changed.
        options: settings of the run.
        overlay: draws the skeletons.
        profiler: gets the stages' times, and the frames' ages.
        outputs: sinks for every frame, finished when the session is closed after a good end.
        streams: other receivers of every frame.
        folder: where `save` and `record` write.

    Attributes:
        stages: names of the steps of a frame's way to the viewer, after its capture. The last one, `OUTPUT`,
            is the viewer's work, from `take` to `shown`. Writing goes on beside them.
        mirror: left and right are swapped in what is shown, not in what is written.
        people, count: people and frames that were taken so far.
        watch: chooses how frames are looked at; None where that is not chosen.
    """

    OUTPUT: Final = "output"

    def __init__(
        self,
        source: LiveSource,
        model: PoseModel,
        options: SessionOptions | None = None,
        *,
        overlay: Overlay | None = None,
        profiler: Profiler | None = None,
        outputs: Outputs | None = None,
        streams: Sequence[FrameReceiver] = (),
        folder: Path = Path(),
    ) -> None:
        self.options = options or SessionOptions()
        self.source, self.model = source, model
        self.overlay = overlay or Overlay(OverlayStyle.of_model(refined=model.facts.refined))
        self.profiler = profiler or Profiler()
        self.folder = folder
        self.mirror = False
        self.people = self.count = 0
        self._grouper = copy.copy(model.group)  # with thresholds of its own: others may share the model
        self._last: Shown | None = None
        self._last_sent_s = self._last_taken_s = 0.0
        self._paused = False
        self._closed = False
        self._end_s = np.inf
        self._notify: Callable[[], None] | None = None
        self._writer = FrameWriter(
            outputs or Outputs(), streams, profiler=self.profiler, notify=self._notify_viewer
        )
        self._beneath = drawing_beneath(blur=self.options.blur, only=self.options.only)
        steps = temporal_steps(self.options.track, self.options.smooth, self.options.max_people)
        self.watch = CrowdWatch() if model.input_px == AUTO else None
        stages = [
            *pose_stages(model, over_time=steps, grouper=self._grouper, watch=self.watch, live=True),
            Stage("render", self._draw),
        ]
        self.stages = (*(stage.name for stage in stages), self.OUTPUT)
        self.pipeline = Pipeline[Shown](
            source,
            stages,
            profiler=self.profiler,
            capacity=self.options.in_flight,
            in_flight=self.options.in_flight,
            notify=self._notify_viewer,
            interrupt=source.interrupt,
        )

    def _draw(self, item: FramePoses) -> Shown:
        image = item.frame.image
        if self._beneath is not None:
            self._beneath(item.frame, item.poses)
        if not self.mirror:
            self.overlay.draw(image, item.poses)
            return Shown(item, image)
        picture = np.asarray(cv2.flip(image, 1), np.uint8)
        self.overlay.draw(picture, _mirrored(item.poses, image.shape[1]))
        self.overlay.draw(image, item.poses)
        return Shown(item, picture)

    def _notify_viewer(self) -> None:
        notify = self._notify
        if notify is not None:
            notify()

    def start(self, notify: Callable[[], None] | None = None) -> None:
        """Start the threads.

        Args:
            notify: called from other threads when `take` may have something new to say: a frame, an error or
                the end.
        """
        self._notify = notify
        if self.options.duration_s is not None:
            self._end_s = time.perf_counter() + self.options.duration_s
        self.pipeline.start()

    def take(self, timeout_s: float = 0.0) -> Shown | None:
        """Return the next frame, and queue it for writing; None when none came in time.

        None also while too many frames wait to be written.

        Raises:
            ChannelClosed: nothing more will come, and all frames are written.
            HprnetError: the source, a stage or an output failed.
            BrokenPipeError: the reader of a stream has gone.
        """
        if self._is_over():
            self.pipeline.close()
            self._end(timeout_s)
            return None
        if not self._writer.wait_for_room(timeout_s):
            return None
        try:
            packet = self.pipeline.take(timeout_s)
        except ChannelClosed:
            self._end(timeout_s)
            return None
        if packet is None:
            return None
        item = packet.payload
        self._last, self._last_sent_s, self._last_taken_s = item, packet.sent_s, time.perf_counter()
        self._writer.put(item.result)
        self.count += 1
        self.people += len(item.result.poses)
        return item

    def _is_over(self) -> bool:
        limit = self.options.limit
        return time.perf_counter() >= self._end_s or (limit is not None and self.count >= limit)

    def _end(self, timeout_s: float) -> None:
        """Wait for the writer, behind the last frame.

        Raises:
            ChannelClosed: every frame is written.
        """
        if self._writer.wait_until_written(timeout_s):
            raise ChannelClosed

    def shown(self) -> None:
        """Declare that the frame taken last is on the screen, or needs no screen: another may follow."""
        if self._last is not None:
            frame, now_s = self._last.result.frame, time.perf_counter()
            waited_s, took_s = self._last_taken_s - self._last_sent_s, now_s - self._last_taken_s
            self.profiler.record(self.OUTPUT, waited_s, took_s, frame.sequence, now_s)
            self.profiler.shown(frame.sequence, frame.captured_s, now_s)
        self.pipeline.done()

    def __iter__(self) -> Iterator[Shown]:
        """Start, and yield frames until the end."""
        self.start()
        while True:
            try:
                item = self.take(_WAIT_S)
            except ChannelClosed:
                return
            if item is not None:
                yield item
                self.shown()

    def pause(self, paused: bool) -> None:
        """Pause or resume: meanwhile a file's clock stops, and a camera's pictures are dropped."""
        self._paused = paused
        self.source.pause(paused)
        self.pipeline.pause(paused)

    @property
    def paused(self) -> bool:
        """The run is paused."""
        return self._paused

    @property
    def recording(self) -> Path | None:
        """The file that is being recorded, None when none is."""
        return self._writer.recording

    @property
    def threshold(self) -> float:
        """The least score of a person in this session, 0 to 1."""
        return self._grouper.options.person_threshold

    def nudge_threshold(self, by: float) -> float:
        """Change the least score of a person in this session, within 0 and 1, and return it.

        Where faces are blurred it is never more than the model's: who is not found is not blurred.
        """
        options = self._grouper.options
        most = self.model.facts.threshold if self.options.blur else 1.0
        threshold = round(min(most, max(0.0, options.person_threshold + by)), 4)
        self._grouper.options = replace(options, person_threshold=threshold)
        return threshold

    def save(self) -> Path:
        """Write the last picture, as it is seen, to a PNG file, and return its name.

        Raises:
            UsageError: there is no picture yet.
            OutputError: it cannot be written.
        """
        if self._last is None:
            raise UsageError("there is no picture to save yet")
        path = self._free_name(".png")
        _, data = cv2.imencode(".png", self._last.picture)
        with output_errors(path):
            path.write_bytes(data.tobytes())
        return path

    def record(self) -> Path:
        """Begin to record the video with skeletons, or end the recording, and return its file.

        The file that has ended is completed in the writer's thread: `Readings.recorded` says when it has its
        final name, `Readings.trouble` why it could not be completed.

        Raises:
            OutputError: a new file cannot be created.
            UsageError: the recording has ended before a frame came, and there is no file.
        """
        ended = self._writer.end_recording()
        if ended is not None:
            return ended
        path = self._free_name(".mp4")
        self._writer.begin_recording(path, self.options.told(self.source.info))
        return path

    def _free_name(self, suffix: str) -> Path:
        """Return a name made from the time, which no file has or is going to get."""
        stem = f"hprnet-rt-{datetime.now():%Y%m%d-%H%M%S}"
        names = (f"{stem}{suffix}", *(f"{stem}-{n}{suffix}" for n in range(2, 1000)))
        paths = (self.folder / name for name in names)
        return next(path for path in paths if not path.exists() and not PartialFile(path).partial.exists())

    def readings(self) -> Readings:
        """Return the state of the run."""
        recent = self.profiler.recent()
        age = recent.pop(Profiler.AGE, Recent(0.0, 0.0, 0.0))
        return Readings(
            fps=age.rate_hz,
            age_ms=age.service_ms,
            people=0 if self._last is None else len(self._last.result.poses),
            shown=self.count,
            dropped=self.pipeline.dropped,
            stages=recent,
            paused=self._paused,
            recording=self._writer.recording,
            recorded=self._writer.recorded,
            trouble=self.source.status or self._writer.trouble,
        )

    def wait_until_written(self) -> None:
        """Wait until every frame that was taken is written.

        Raises:
            OutputError: one cannot be written.
            BrokenPipeError: the reader of a stream has gone.
        """
        self._writer.wait_until_written()

    def stop(self) -> None:
        """End the run and its threads; `close` finishes the files. Further calls do nothing."""
        self._stop_pipeline()
        self._writer.stop()

    def _stop_pipeline(self) -> None:
        self._notify = None
        self.pipeline.close()
        self.source.close()

    def close(self, *, whole: bool = True) -> tuple[Path, ...]:
        """Stop, and finish the files; further calls do nothing.

        Args:
            whole: outputs get their final names; otherwise they stay under partial ones.

        Returns:
            the files that were written.

        Raises:
            OutputError: a file cannot be written or finished; the others are finished.
            BrokenPipeError: the reader of a stream has gone.
        """
        if self._closed:
            return ()
        self._closed = True
        self._stop_pipeline()
        return self._writer.close(whole=whole)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(whole=kind is None)


def _mirrored(poses: Poses, width: int) -> Poses:
    """Return the poses in the mirrored picture, `width` pixels wide; left stays the person's own left."""
    xy, box = poses.xy.copy(), poses.box_xyxy.copy()
    xy[..., 0] = width - xy[..., 0]
    box[:, [0, 2]] = width - box[:, [2, 0]]
    return replace(poses, xy=xy, box_xyxy=box)
