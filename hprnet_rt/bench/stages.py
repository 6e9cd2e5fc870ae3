"""The time of every stage of `annotate` by itself, one frame after the other."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from hprnet_rt.bench.measure import Limits, take_turns
from hprnet_rt.bench.report import BenchReport, series_of
from hprnet_rt.bench.subject import ModelOptions, Subject
from hprnet_rt.formats import KeypointsSink
from hprnet_rt.inference.model import PoseModel
from hprnet_rt.render import Overlay
from hprnet_rt.tracking import Tracker
from hprnet_rt.types import Frame, FramePoses
from hprnet_rt.video import VideoSink, VideoSource

__all__ = ["measure_stages", "stages_settings"]

_FRAMES_A_ROUND: Final = 10


class _Stages:
    """Runs the frames of a video through every stage; at its end the video starts again."""

    def __init__(self, model: PoseModel, video: Path, folder: Path) -> None:
        self._model, self._video, self._folder = model, video, folder
        self._overlay = Overlay()
        self._files = 0
        self._source: VideoSource | None = None
        self._open()

    def _open(self) -> None:
        self.close()
        self._files += 1
        self._source = VideoSource(self._video)
        self._frames: Iterator[Frame] = iter(self._source)
        self._tracker = Tracker()
        self._keypoints = KeypointsSink(self._folder / f"{self._files}.jsonl", {})
        self._video_sink = VideoSink(self._folder / f"{self._files}.mp4", self._source.info)

    def close(self) -> None:
        """Close all files; further calls do nothing."""
        if self._source is not None:
            self._source.close()
            self._keypoints.close()
            self._video_sink.close()
            self._source = None

    def __call__(self) -> dict[str, float]:
        """Run some frames, and return the mean seconds of each stage.

        The attempt to read a frame after the video's last one is not counted.
        """
        total: dict[str, float] = {}
        for _ in range(_FRAMES_A_ROUND):
            start = time.perf_counter()
            frame = next(self._frames, None)
            if frame is None:
                self._open()
                start = time.perf_counter()
                frame = next(self._frames)
            for name, seconds in self._one(frame, start):
                total[name] = total.get(name, 0.0) + seconds / _FRAMES_A_ROUND
        return total

    def _one(self, frame: Frame, start: float) -> Iterator[tuple[str, float]]:
        def lap(name: str) -> tuple[str, float]:
            nonlocal start
            now = time.perf_counter()
            seconds, start = now - start, now
            return name, seconds

        model = self._model
        yield lap("capture")
        prepared = model.prepare(frame.image)
        yield lap("preprocess")
        peaks = model.infer(*prepared)
        yield lap("engine")
        poses = model.group(peaks)
        yield lap("grouping")
        poses = self._tracker(poses, frame.pts_s or 0.0)
        yield lap("tracking")
        self._overlay.draw(frame.image, poses)
        yield lap("render")
        item = FramePoses(frame, poses)
        self._keypoints.write(item)
        yield lap("sink: keypoints")
        self._video_sink.write(item)
        yield lap("sink: video")


def stages_settings(subject: Subject, model_options: ModelOptions, video: Path) -> dict[str, Any]:
    """Return the settings that must be equal for figures of `measure_stages` to be compared."""
    return {**model_options.settings(subject.model_file), "video": video.name}


def measure_stages(
    subject: Subject,
    model_options: ModelOptions,
    video: Path,
    limits: Limits,
    *,
    progress: Callable[[int, float], None] | None = None,
) -> BenchReport:
    """Measure every stage; a round is ten frames.

    Args:
        subject, model_options: the network, and how it runs.
        video: whose frames are used.
        limits: when the measurement ends.
        progress: see `take_turns`.

    Raises:
        MediaError: the video cannot be read.
        BackendError: the network cannot run.
    """
    with (
        model_options.open(subject.model_file) as model,
        tempfile.TemporaryDirectory(prefix="hprnet-rt-bench-") as folder,
    ):
        stages = _Stages(model, video, Path(folder))
        try:
            measured = take_turns({video.name: stages}, limits, progress=progress)
        finally:
            stages.close()
        summary: dict[str, Any] = {"engine": model.description, "random_weights": subject.random}
    settings = stages_settings(subject, model_options, video)
    return BenchReport("stages", settings, series_of(measured), summary)
