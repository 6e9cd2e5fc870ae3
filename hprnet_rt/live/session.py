"""A live run, whoever looks at it: the window, a browser, or nobody."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

import cv2
import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import OutputError, UsageError
from hprnet_rt.files import reason
from hprnet_rt.inference.model import PoseModel
from hprnet_rt.inference.stages import pose_stages
from hprnet_rt.jobs.outputs import Outputs
from hprnet_rt.pipeline import ChannelClosed, Pipeline, Profiler, Recent, Stage
from hprnet_rt.render import Overlay, OverlayStyle
from hprnet_rt.tracking import LIVE_SMOOTHINGS, temporal_steps
from hprnet_rt.types import FramePoses, Poses
from hprnet_rt.video import VideoSink
from hprnet_rt.video.capture.source import LiveSource

__all__ = ["Readings", "Session", "SessionOptions", "Shown"]

_WAIT_S: Final = 0.1


class _Writer(Protocol):
    def write(self, item: FramePoses) -> None: ...


@dataclass(frozen=True)
class SessionOptions:
    """How a live source is run.

    Attributes:
        in_flight: frames on their way at a time, the one being shown included. 1 is the least lag, 2 keeps
            the engine busy while a frame is shown.
        track: people keep an id from frame to frame.
        smooth: one of `jobs.LIVE_SMOOTHINGS`; it needs the ids.
        limit: frames after which the run ends.
        duration_s: time after which it ends.
    """

    in_flight: int = 2
    track: bool = True
    smooth: str = LIVE_SMOOTHINGS[1]
    limit: int | None = None
    duration_s: float | None = None

    def __post_init__(self) -> None:
        if self.in_flight < 1:
            raise UsageError(f"in_flight is at least 1, got {self.in_flight}")
        if self.smooth not in LIVE_SMOOTHINGS:
            raise UsageError(f"smooth is {' or '.join(map(repr, LIVE_SMOOTHINGS))}, got {self.smooth!r}")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"the limit is at least 1 frame, got {self.limit}")
        if self.duration_s is not None and not self.duration_s > 0:
            raise UsageError(f"the duration is more than 0 seconds, got {self.duration_s}")


@dataclass(frozen=True, eq=False)
class Shown:
    """A finished frame.

    Attributes:
        estimated: the frame with skeletons drawn on it, and everyone in it, in the camera's own pixels.
        picture: (H, W, 3) uint8 BGR, what a viewer sees: mirrored if asked for.
    """

    estimated: FramePoses
    picture: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Readings:
    """How a run is doing, over the last seconds.

    Attributes:
        fps: frames shown a second, falling to 0 when no more come.
        age_ms: mean age of a frame when it was shown.
        people: in the last frame.
        shown, dropped: frames since the start; dropped ones gave way to newer ones.
        stages: each stage's rate and mean times, in order: `Session.stages`, those that have seen a frame.
        paused: whether it is.
        recording: the file that is being recorded, None when none is.
        trouble: what is wrong with the source, "" while pictures come; or why a recording has ended.
    """

    fps: float
    age_ms: float
    people: int
    shown: int
    dropped: int
    stages: Mapping[str, Recent]
    paused: bool
    recording: Path | None
    trouble: str


class Session:
    """Runs a live source through a model, and holds the switches that a viewer has.

    Not for several threads: `start`, then `take` and `shown` for each frame, then `close`. Or iterate it.

    A recording that cannot be continued does not end the run: `Readings.trouble` says so.

    Args:
        source: from `open_live`; closed at the end.
        model: from `load`; stays open.
        options: how it is run.
        overlay: how to draw.
        profiler: gets the stages' times, and the frames' ages.
        outputs: sinks for every frame, finished when the session is closed after a good end.
        streams: other receivers of every frame.
        folder: where pictures and recordings asked for while it runs are written.

    Attributes:
        stages: names of what a frame goes through after its capture. The last one, `OUTPUT`, is what the
            viewer does with it, from `take` to `shown`: writing and showing.
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
        streams: Sequence[_Writer] = (),
        folder: Path = Path(),
    ) -> None:
        self.options = options or SessionOptions()
        self.source, self.model = source, model
        self.overlay = overlay or Overlay(OverlayStyle.of_model(refined=model.facts.refined))
        self.profiler = profiler or Profiler()
        self.mirror = False
        self.people = self.count = 0
        self._outputs = outputs or Outputs()
        self._streams = streams
        self._folder = folder
        self._recording: Outputs | None = None
        self._first_pts = 0
        self._broken = ""
        self._last: Shown | None = None
        self._last_sent_s = self._last_taken_s = 0.0
        self._paused = False
        self._closed = False
        self._end_s = np.inf
        self._notify: Callable[[], None] | None = None
        followed = temporal_steps(self.options.track, self.options.smooth)
        stages = [*pose_stages(model, over_time=followed), Stage("render", self._draw)]
        self.stages = (*(stage.name for stage in stages), self.OUTPUT)
        self.pipeline = Pipeline[Shown](
            source,
            stages,
            profiler=self.profiler,
            capacity=self.options.in_flight,
            in_flight=self.options.in_flight,
            notify=self._ready,
            interrupt=source.interrupt,
        )

    def _draw(self, item: FramePoses) -> Shown:
        image = item.frame.image
        if not self.mirror:
            self.overlay.draw(image, item.poses)
            return Shown(item, image)
        picture = np.asarray(cv2.flip(image, 1), np.uint8)
        self.overlay.draw(picture, _mirrored(item.poses, image.shape[1]))
        self.overlay.draw(image, item.poses)
        return Shown(item, picture)

    def _ready(self) -> None:
        notify = self._notify
        if notify is not None:
            notify()

    def start(self, notify: Callable[[], None] | None = None) -> None:
        """Start.

        Args:
            notify: called from another thread when there is a frame to take, and when the end has come.
        """
        self._notify = notify
        if self.options.duration_s is not None:
            self._end_s = time.perf_counter() + self.options.duration_s
        self.pipeline.start()

    def take(self, timeout_s: float = 0.0) -> Shown | None:
        """The next frame, written to all outputs; None when none came in time.

        Raises:
            ChannelClosed: nothing more will come.
            HprnetError: the source, a stage or an output failed.
        """
        options = self.options
        if time.perf_counter() >= self._end_s or (options.limit is not None and self.count >= options.limit):
            self.pipeline.close()
            raise ChannelClosed
        packet = self.pipeline.take(timeout_s)
        if packet is None:
            return None
        item = packet.payload
        self._last, self._last_sent_s, self._last_taken_s = item, packet.sent_s, time.perf_counter()
        self._write(item.estimated)
        self.count += 1
        self.people += len(item.estimated.poses)
        return item

    def _write(self, item: FramePoses) -> None:
        self._outputs.write(item)
        for stream in self._streams:
            stream.write(item)
        recording = self._recording
        if recording is None:
            return
        if not recording.frames:
            self._first_pts = item.frame.pts or 0
        frame = replace(item.frame, pts=(item.frame.pts or 0) - self._first_pts)
        try:
            recording.write(replace(item, frame=frame))
        except OutputError as error:
            self._recording, self._broken = None, f"the recording has ended: {error}"
            recording.abandon()

    def shown(self) -> None:
        """The frame taken last is on the screen, or needs no screen: another one may follow."""
        if self._last is not None:
            frame, now_s = self._last.estimated.frame, time.perf_counter()
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
        """Let time stand still, or go on: a file's clock stops, a camera's pictures are passed over."""
        self._paused = paused
        self.source.pause(paused)
        self.pipeline.pause(paused)

    @property
    def paused(self) -> bool:
        """Whether time stands still."""
        return self._paused

    @property
    def recording(self) -> Path | None:
        """The file that is being recorded, None when none is."""
        return None if self._recording is None else self._recording.paths[0]

    @property
    def threshold(self) -> float:
        """The least score of a person, 0 to 1."""
        return self.model.group.options.person_threshold

    def nudge_threshold(self, by: float) -> float:
        """Change the least score of a person, within 0 and 1, and return it."""
        group = self.model.group
        threshold = round(min(1.0, max(0.0, group.options.person_threshold + by)), 4)
        group.options = replace(group.options, person_threshold=threshold)
        return threshold

    def save(self) -> Path:
        """Write the last picture as PNG, as it is seen.

        Raises:
            UsageError: there is none yet.
            OutputError: it cannot be written.
        """
        if self._last is None:
            raise UsageError("there is no picture to save yet")
        path = self._free_name(".png")
        _, data = cv2.imencode(".png", self._last.picture)
        try:
            path.write_bytes(data.tobytes())
        except OSError as error:
            raise OutputError(f"cannot write {path}: {reason(error)}") from error
        return path

    def record(self) -> Path:
        """Begin to record the video with skeletons, or end that; either way, the file.

        Raises:
            OutputError: it cannot be written.
            UsageError: it has ended before a frame came, and there is no file.
        """
        if self._recording is not None:
            recording, self._recording = self._recording, None
            if recording.frames:
                return recording.finish()[0]
            recording.abandon()
            raise UsageError("nothing was recorded: no frame came")
        path = self._free_name(".mp4")
        self._recording, self._broken = Outputs([VideoSink(path, self.source.info)]), ""
        return path

    def _free_name(self, suffix: str) -> Path:
        """A file that does not exist, called after the time."""
        stem = f"hprnet-rt-{datetime.now():%Y%m%d-%H%M%S}"
        names = (f"{stem}{suffix}", *(f"{stem}-{n}{suffix}" for n in range(2, 1000)))
        return next(path for name in names if not (path := self._folder / name).exists())

    def readings(self) -> Readings:
        """How it is doing."""
        recent = self.profiler.recent()
        age = recent.pop(Profiler.AGE, Recent(0.0, 0.0, 0.0))
        return Readings(
            fps=age.rate_hz,
            age_ms=age.service_ms,
            people=0 if self._last is None else len(self._last.estimated.poses),
            shown=self.count,
            dropped=self.pipeline.dropped,
            stages=recent,
            paused=self._paused,
            recording=self.recording,
            trouble=self.source.status or self._broken,
        )

    def stop(self) -> None:
        """End the run and its threads; what is written is finished by `close`. Further calls do nothing."""
        self._notify = None
        self.pipeline.close()
        self.source.close()

    def close(self, *, whole: bool = True) -> tuple[Path, ...]:
        """Stop, and finish what is written; further calls do nothing.

        Args:
            whole: outputs get their final names; otherwise they stay under partial ones.

        Returns:
            the files that were written.

        Raises:
            OutputError: one cannot be finished; the others are.
        """
        if self._closed:
            return ()
        self._closed = True
        self.stop()
        written: list[Path] = []
        failed: OutputError | None = None
        for outputs in (self._recording, self._outputs):
            if outputs is not None and len(outputs):
                try:
                    written += outputs.finish() if whole and outputs.frames else outputs.abandon()
                except OutputError as error:
                    failed = failed or error
        if failed is not None:
            raise failed
        return tuple(written)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(whole=kind is None)


def _mirrored(poses: Poses, width: int) -> Poses:
    """Everyone in the mirrored picture, `width` pixels wide; left stays the person's own left."""
    xy, box = poses.xy.copy(), poses.box_xyxy.copy()
    xy[..., 0] = width - xy[..., 0]
    box[:, [0, 2]] = width - box[:, [2, 0]]
    return replace(poses, xy=xy, box_xyxy=box)
