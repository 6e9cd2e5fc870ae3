"""What annotate will do, decided before any work: every input, every output's name."""

from __future__ import annotations

import glob
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from hprnet_rt.errors import HprnetError, MediaError, UsageError
from hprnet_rt.video import IMAGE_SUFFIXES, VIDEO_SUFFIXES, PartialFile, is_image
from hprnet_rt.video.output import reason
from hprnet_rt.video.writer import audio_fits

__all__ = [
    "KEYPOINTS_SUFFIX",
    "LIVE_SMOOTHINGS",
    "OUTPUT_VIDEO_SUFFIXES",
    "SMOOTHINGS",
    "AnnotateOptions",
    "Job",
    "plan",
]

_log = logging.getLogger(__name__)

LIVE_SMOOTHINGS: Final = ("off", "one-euro")
"""Ways to smooth points over time, knowing the past."""

SMOOTHINGS: Final = (*LIVE_SMOOTHINGS, "zero-lag")
"""Ways to smooth the points of a file, which also has a future."""

KEYPOINTS_SUFFIX: Final = ".jsonl"
OUTPUT_VIDEO_SUFFIXES: Final = frozenset({".m4v", ".mkv", ".mov", ".mp4"})
_PARTIAL: Final = ".partial"


@dataclass(frozen=True)
class AnnotateOptions:
    """What to write, and what is done to a video's people over time.

    Attributes:
        video: write annotated pictures.
        keypoints: write keypoints.
        overwrite: replace outputs that exist.
        limit: frames per file, all when None.
        track: people keep an id from frame to frame.
        smooth: against trembling points: "off"; "one-euro", which lags a little behind fast ones; or
            "zero-lag", which does not, reads the file twice and writes after the first time. The last two
            need the ids.
    """

    video: bool = True
    keypoints: bool = True
    overwrite: bool = False
    limit: int | None = None
    track: bool = True
    smooth: str = SMOOTHINGS[0]

    def __post_init__(self) -> None:
        if not (self.video or self.keypoints):
            raise UsageError("with neither video nor keypoints there is nothing to write")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"the limit is at least 1 frame, got {self.limit}")
        if self.smooth not in SMOOTHINGS:
            raise UsageError(f"smooth is {' or '.join(map(repr, SMOOTHINGS))}, got {self.smooth!r}")
        if self.smooth != SMOOTHINGS[0] and not self.track:
            raise UsageError("smoothing needs to know who is who: it does not go without tracking")


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
    suffixes = VIDEO_SUFFIXES | IMAGE_SUFFIXES | {KEYPOINTS_SUFFIX}
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
    keypoints = out.with_suffix(KEYPOINTS_SUFFIX) if options.keypoints else None
    if not options.video:
        return Job(source, None, keypoints)
    allowed = IMAGE_SUFFIXES if is_image(source) else OUTPUT_VIDEO_SUFFIXES
    if suffix not in allowed:
        kind = "an annotated image" if is_image(source) else "an annotated video"
        hint = "; for keypoints alone add --no-video" if suffix == KEYPOINTS_SUFFIX else ""
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
            base / f"{stem}{KEYPOINTS_SUFFIX}" if options.keypoints else None,
        )
        clash = taken.intersection(job.outputs)
        if clash:
            raise UsageError(f"two inputs would both be written to {clash.pop()}; annotate them apart")
        taken.update(job.outputs)
        jobs.append(job)
    return jobs


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
