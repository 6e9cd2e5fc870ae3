"""The annotate job: files in, annotated pictures and keypoints out, nothing lost."""

from __future__ import annotations

import glob
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from hprnet_rt.errors import HprnetError, MediaError, OutputError, UsageError
from hprnet_rt.estimator import PoseModel
from hprnet_rt.pipeline import Pipeline, Profiler
from hprnet_rt.render import Overlay
from hprnet_rt.stages import open_source, pose_stages
from hprnet_rt.types import Estimated, Frame
from hprnet_rt.version import __version__
from hprnet_rt.video import (
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    ImageSink,
    ImageSource,
    KeypointsSink,
    MediaInfo,
    PartialFile,
    VideoSink,
    VideoSource,
    is_image,
)
from hprnet_rt.video.output import reason
from hprnet_rt.video.writer import audio_fits

__all__ = ["AnnotateOptions", "Job", "Report", "annotate", "plan", "shared_threads"]

_log = logging.getLogger(__name__)

_KEYPOINTS_SUFFIX: Final = ".jsonl"
_OUTPUT_VIDEO_SUFFIXES: Final = frozenset({".m4v", ".mkv", ".mov", ".mp4"})
_PARTIAL: Final = ".partial"

Sink = VideoSink | ImageSink | KeypointsSink


@dataclass(frozen=True)
class AnnotateOptions:
    """What to write.

    Attributes:
        video: write annotated pictures.
        keypoints: write keypoints.
        overwrite: replace outputs that exist.
        limit: frames per file, all when None.
    """

    video: bool = True
    keypoints: bool = True
    overwrite: bool = False
    limit: int | None = None

    def __post_init__(self) -> None:
        if not (self.video or self.keypoints):
            raise UsageError("with neither video nor keypoints there is nothing to write")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"the limit is at least 1 frame, got {self.limit}")


@dataclass(frozen=True)
class Job:
    """One input and where its outputs go; None is not written."""

    source: Path
    picture: Path | None
    keypoints: Path | None

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The files that will be written."""
        return tuple(path for path in (self.picture, self.keypoints) if path is not None)


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
    """

    job: Job
    frames: int
    people: int
    most_people: int
    seconds: float
    written: tuple[Path, ...]
    damage: str | None = None
    cancelled: bool = False


def shared_threads() -> int:
    """Threads for each of the two heavy stages, engine and encoder, when they run side by side."""
    return max(1, (os.cpu_count() or 1) // 2)


def plan(inputs: Sequence[str], out: Path, options: AnnotateOptions) -> list[Job]:
    """Decide every output's name before any work is done.

    A single file goes to `out` when that names a file; otherwise `out` is a folder, and what is found in an
    input folder keeps its place below it.

    Args:
        inputs: files, folders and glob patterns.
        out: a file or a folder; the folder need not exist.
        options: what will be written.

    Raises:
        UsageError: an input is missing, a folder holds no media, an output exists or is an input.
    """
    try:
        return _plan(inputs, out, options)
    except OSError as error:  # a name too long, a folder that may not be read
        if isinstance(error, HprnetError):
            raise
        raise UsageError(f"cannot look at {error.filename}: {reason(error)}") from error


def _plan(inputs: Sequence[str], out: Path, options: AnnotateOptions) -> list[Job]:
    found = [pair for text in inputs for pair in _expand(text, out)]
    found = list(dict.fromkeys(found))
    if _names_a_file(out):
        if len(found) > 1:
            raise UsageError(
                f"{len(found)} inputs cannot all be written to the one file {out}; give a folder: "
                f"-o {out.parent / out.stem}"
            )
        jobs = [_job_to_file(found[0][0], out, options)]
    else:
        if out.is_file():
            raise UsageError(f"the output {out} is a file; give a folder, or a file name that ends in .mp4")
        jobs = _jobs_to_folder(found, out, options)
    jobs = [_with_room_for_audio(job) for job in jobs]
    sources = {job.source.resolve() for job in jobs}
    for job in jobs:
        for path in job.outputs:
            for written in (path, PartialFile(path).partial):
                if written.exists() and written.resolve() in sources:
                    raise UsageError(f"{written} would be overwritten, but it is an input; choose another -o")
            if path.exists() and not options.overwrite:
                raise UsageError(f"{path} exists; add --overwrite to replace it, or choose another -o")
    return jobs


def _names_a_file(out: Path) -> bool:
    suffixes = VIDEO_SUFFIXES | IMAGE_SUFFIXES | {_KEYPOINTS_SUFFIX}
    return out.suffix.lower() in suffixes and not out.is_dir()


def _expand(text: str, out: Path) -> Iterator[tuple[Path, Path]]:
    """(file, its place below the output folder) of an input as the user typed it.

    In a folder, the output folder and partial files are passed over: they are results.
    """
    path = Path(text)
    if not text:
        raise UsageError("an input has an empty name; give a file, a folder or a pattern")
    if path.is_dir():
        wanted = IMAGE_SUFFIXES | VIDEO_SUFFIXES
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in wanted and p.is_file())
        files = [p for p in files if not p.stem.endswith(_PARTIAL) and out not in p.parents]
        if not files:
            kinds = " ".join(sorted(wanted))
            raise UsageError(f"the folder {path} holds no video or image (looked for {kinds})")
        yield from ((file, file.relative_to(path)) for file in files)
    elif path.exists():
        yield path, Path(path.name)
    elif glob.has_magic(text):
        matches = sorted(p for p in map(Path, glob.glob(text, recursive=True)) if p.is_file())
        if not matches:
            raise UsageError(f"no file matches {text}")
        yield from ((match, Path(match.name)) for match in matches)
    else:
        raise UsageError(f"{path} does not exist")


def _job_to_file(source: Path, out: Path, options: AnnotateOptions) -> Job:
    suffix = out.suffix.lower()
    keypoints = out.with_suffix(_KEYPOINTS_SUFFIX) if options.keypoints else None
    if not options.video:
        return Job(source, None, keypoints)
    allowed = IMAGE_SUFFIXES if is_image(source) else _OUTPUT_VIDEO_SUFFIXES
    if suffix not in allowed:
        kind = "an annotated image" if is_image(source) else "an annotated video"
        hint = "; for keypoints alone add --no-video" if suffix == _KEYPOINTS_SUFFIX else ""
        raise UsageError(f"{kind} cannot be written to {out}: use {' '.join(sorted(allowed))}{hint}")
    return Job(source, out, keypoints)


def _jobs_to_folder(found: list[tuple[Path, Path]], out: Path, options: AnnotateOptions) -> list[Job]:
    """Outputs are called like their inputs; inputs that share a name keep their suffix in it."""
    shared = Counter(place.with_suffix("") for _, place in found)
    jobs: list[Job] = []
    taken: set[Path] = set()
    for source, place in found:
        stem = place.name if shared[place.with_suffix("")] > 1 else place.stem
        suffix = place.suffix.lower() if is_image(source) else ".mp4"
        base = out / place.parent
        job = Job(
            source,
            base / f"{stem}{suffix}" if options.video else None,
            base / f"{stem}{_KEYPOINTS_SUFFIX}" if options.keypoints else None,
        )
        clash = taken.intersection(job.outputs)
        if clash:
            raise UsageError(f"two inputs would both be written to {clash.pop()}; annotate them apart")
        taken.update(job.outputs)
        jobs.append(job)
    return jobs


@dataclass(frozen=True)
class _Limited:
    """The first frames of a source."""

    source: ImageSource | VideoSource
    limit: int | None

    def __iter__(self) -> Iterator[Frame]:
        return islice(iter(self.source), self.limit)

    def close(self) -> None:
        self.source.close()


@dataclass
class _Outputs:
    """The open sinks of a job, finished or abandoned together."""

    sinks: list[Sink] = field(default_factory=list)
    frames: int = 0
    whole: bool = True  # no sink has failed

    def write(self, item: Estimated) -> None:
        self.whole = False
        for sink in self.sinks:
            sink.write(item)
        self.whole = True
        self.frames += 1

    def finish(self, *, all_audio: bool) -> tuple[Path, ...]:
        """Complete every file and give it its name."""
        self.whole = False
        for sink in self.sinks:
            if isinstance(sink, VideoSink):
                sink.close(all_audio=all_audio)
            else:
                sink.close()
        for sink in self.sinks:
            sink.commit()
        return tuple(sink.path for sink in self.sinks)

    def abandon(self) -> tuple[Path, ...]:
        """Close what was done under its partial name; without a frame, leave nothing."""
        kept = []
        for sink in self.sinks:
            try:
                sink.close()
            except OutputError:  # the first error is the one to report
                self.whole = False
            frames = self.frames if self.whole else min(self.frames, sink.frames_kept())
            if frames:
                kept.append((frames, sink.partial_path))
            else:
                sink.partial_path.unlink(missing_ok=True)
        self.frames = min((frames for frames, _ in kept), default=0)
        return tuple(path for _, path in kept)


def _open_sinks(
    outputs: _Outputs, job: Job, info: MediaInfo, model: PoseModel, options: AnnotateOptions
) -> None:
    try:
        for path in job.outputs:
            path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        folder = job.outputs[0].parent
        raise OutputError(f"cannot create the output folder {folder}: {reason(error)}") from error
    if job.keypoints is not None:
        outputs.sinks.append(KeypointsSink(job.keypoints, _header(info, model, options)))
    if job.picture is not None:
        if is_image(job.source):
            outputs.sinks.append(ImageSink(job.picture))
        else:
            outputs.sinks.append(VideoSink(job.picture, info, job.source, threads=shared_threads()))


def _header(info: MediaInfo, model: PoseModel, options: AnnotateOptions) -> dict[str, Any]:
    return {
        "source": str(info.path),
        "width": info.width,
        "height": info.height,
        "fps": None if info.rate is None else round(float(info.rate), 6),
        "model": model.name,
        "model_sha256": model.engine.sha256,
        "options": {
            "input_px": model.input_px,
            "threshold": model.group.options.person_threshold,
            "peak_threshold": model.group.options.peak_threshold,
            "engine": model.description,
            "limit": options.limit,
        },
        "versions": {"hprnet_rt": __version__, "numpy": np.__version__},
    }


def _with_room_for_audio(job: Job) -> Job:
    """The job, as .mkv when its container cannot hold the source's audio as it is."""
    picture = job.picture
    if picture is None or is_image(job.source):
        return job
    try:
        if audio_fits(job.source, picture.suffix.lower()):
            return job
    except MediaError:
        return job  # said when its turn comes
    other = picture.with_suffix(".mkv")
    _log.warning(
        "%s cannot hold the audio of %s as it is; writing %s", picture.suffix, job.source.name, other.name
    )
    return replace(job, picture=other)


def annotate(
    job: Job,
    model: PoseModel,
    options: AnnotateOptions,
    *,
    overlay: Overlay | None = None,
    profiler: Profiler | None = None,
    started: Callable[[MediaInfo], None] | None = None,
    progress: Callable[[Estimated], None] | None = None,
    cancelled: threading.Event | None = None,
) -> Report:
    """Annotate one file.

    Args:
        job: from `plan`.
        model: the network.
        options: the ones of `plan`.
        overlay: how to draw; the default one when None.
        profiler: gets the stages' times.
        started: called once with what is known of the source.
        progress: called after each written frame.
        cancelled: when set, what is done is finished under its partial name.

    Raises:
        MediaError: the source cannot be opened.
        OutputError: an output cannot be written.
        HprnetError: a stage failed. What was done before is kept under its partial name, which the error
            names.
    """
    profiler = profiler or Profiler()
    cancelled = cancelled or threading.Event()
    begin_s = time.perf_counter()
    people = most = 0
    source = open_source(job.source)
    outputs = _Outputs()
    try:
        _open_sinks(outputs, job, source.info, model, options)
        if started is not None:
            started(source.info)
        drawn = (overlay or Overlay()) if job.picture is not None else None
        with Pipeline[Estimated](
            _Limited(source, options.limit),
            pose_stages(model, drawn),
            profiler=profiler,
            cancelled=cancelled,
        ) as pipeline:
            for parcel in pipeline:
                start_s = time.perf_counter()
                outputs.write(parcel.payload)
                profiler.record("sink", start_s - parcel.sent_s, time.perf_counter() - start_s)
                people += len(parcel.payload.poses)
                most = max(most, len(parcel.payload.poses))
                if progress is not None:
                    progress(parcel.payload)
        stopped = cancelled.is_set()
        if stopped:
            written = outputs.abandon()
        else:
            written = outputs.finish(all_audio=options.limit is None or outputs.frames < options.limit)
    except BaseException as error:
        kept = outputs.abandon()
        if kept and isinstance(error, HprnetError):
            names = ", ".join(str(path) for path in kept)
            raise type(error)(f"{error} (the first {outputs.frames} frames are kept in {names})") from error
        raise
    finally:
        source.close()
    seconds = time.perf_counter() - begin_s
    return Report(job, outputs.frames, people, most, seconds, written, source.damage, stopped)
