"""The plan of annotate, made before any work: every input, every output's name."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from hprnet_rt.errors import HprnetError, MediaError, UsageError
from hprnet_rt.files import PARTIAL, PartialFile, reason
from hprnet_rt.formats import FORMATS
from hprnet_rt.formats.jsonl import JSONL
from hprnet_rt.jobs.fingerprint import fingerprint_of
from hprnet_rt.jobs.inputs import Input, expand, listed_inputs
from hprnet_rt.jobs.journal import journal_files
from hprnet_rt.jobs.options import AnnotateOptions
from hprnet_rt.video import IMAGE_SUFFIXES, OUTPUT_VIDEO_SUFFIXES, VIDEO_SUFFIXES, image_suffix, is_image
from hprnet_rt.video.audio import suffix_for_audio
from hprnet_rt.words import counted

__all__ = ["KEYPOINTS_SUFFIX", "Job", "plan", "refusal"]

_log = logging.getLogger(__name__)

KEYPOINTS_SUFFIX: Final = JSONL.suffix
_MASTER: Final = JSONL.name


@dataclass(frozen=True)
class Job:
    """One input and where its outputs go.

    Attributes:
        source: a file, or an address as a string.
        picture: None is not written.
        keypoints: by the names of their formats.
        base: what outputs are called without their suffixes.
        called: how the source is called in messages and keypoints, where that is not its own name.
    """

    source: Path | str
    picture: Path | None
    keypoints: Mapping[str, Path]
    base: Path = field(default_factory=Path)
    called: str | None = None

    @property
    def name(self) -> str:
        """How the source is called in messages and keypoints."""
        return self.called or str(self.source)

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The files that will be written."""
        return (*(() if self.picture is None else (self.picture,)), *self.keypoints.values())

    @property
    def master(self) -> Path:
        """The keypoints as JSON lines, from which the other formats are made; partial while the job runs."""
        return _named(self.base, KEYPOINTS_SUFFIX)

    @property
    def unsmoothed(self) -> Path:
        """The same before smoothing that needs the future."""
        return _named(self.base, f".unsmoothed{KEYPOINTS_SUFFIX}")

    @property
    def damage_note(self) -> Path:
        """The file that says which part of a damaged source the outputs lack; absent when all is well."""
        return _named(self.base, ".damage.txt")

    @property
    def files(self) -> frozenset[Path]:
        """Every file that a run may write, partial files, journals and notes included."""
        journals = (*journal_files(self.master), *journal_files(self.unsmoothed), _partial(self.master))
        return frozenset((*self.outputs, *map(_partial, self.outputs), *journals, self.damage_note))

    def existing(self) -> list[Path]:
        """Return the outputs that exist."""
        return [path for path in self.outputs if _is_there(path)]

    def is_interrupted(self) -> bool:
        """Return whether an earlier run has left something to continue."""
        return any(all(map(_is_there, journal_files(path))) for path in (self.master, self.unsmoothed))


def _is_there(path: Path) -> bool:
    """Return whether a file exists; false for a name longer than any file's."""
    try:
        return path.exists()
    except OSError:
        return False


def _named(base: Path, suffix: str) -> Path:
    return base.with_name(base.name + suffix)


def plan(
    inputs: Sequence[str],
    out: Path,
    options: AnnotateOptions,
    *,
    listed: Sequence[str] = (),
    spooled: Path | None = None,
) -> list[Job]:
    """Decide every output's name before any work is done.

    A single file goes to `out` when that names a file; otherwise `out` is a folder, and what is found in an
    input folder keeps its place below it.

    Args:
        inputs: files, folders, glob patterns and addresses.
        out: a file or a folder; the folder need not exist.
        options: what will be written.
        listed: files and addresses of a list; one that is missing fails when its turn comes.
        spooled: the file to which standard input has been copied, for the input `STANDARD_INPUT`.

    Raises:
        UsageError: an input is missing, a folder holds no media, an output is an input, or all inputs have
            one that exists and that is not theirs.
    """
    try:
        return _plan([*expand(inputs, out, spooled), *listed_inputs(listed)], out, options)
    except OSError as error:  # a name too long, a folder that may not be read
        if isinstance(error, HprnetError):
            raise
        raise UsageError(f"cannot look at {error.filename}: {reason(error)}") from error


def _plan(inputs: Sequence[Input], out: Path, options: AnnotateOptions) -> list[Job]:
    found = list(dict.fromkeys(inputs))
    if not found:
        raise UsageError("there is no input")
    if _names_a_file(out):
        if len(found) > 1:
            raise UsageError(
                f"{counted(len(found), 'input')} cannot all be written to the one file {out}; give a folder: "
                f"-o {out.parent / out.stem}"
            )
        jobs = [replace(_job_to_file(found[0].source, out, options), called=found[0].name)]
    else:
        if out.is_file():
            raise UsageError(f"the output {out} is a file; give a folder, or a file name that ends in .mp4")
        jobs = _jobs_to_folder(found, out, options)
    jobs = [_with_room_for_audio(job) for job in jobs]
    sources = {job.source.resolve() for job in jobs if isinstance(job.source, Path)}
    for job in jobs:
        _see_that_no_input_is_lost(job, sources)
    in_the_way = [_in_the_way(job, options) for job in jobs]
    if all(in_the_way):  # otherwise these fail when their turn comes
        raise UsageError(refusal(next(filter(None, in_the_way)), options))
    return jobs


def refusal(path: Path, options: AnnotateOptions) -> str:
    """Return the sentence that refuses to replace an output which this run is not known to have made."""
    skip = "" if options.skip_existing else "--skip-existing to leave such files alone, "
    return (
        f"{path} exists, and was made with other settings, of another file, or by something else; add "
        f"--overwrite (in Python overwrite=True) to replace it, {skip}or choose another -o"
    )


def _see_that_no_input_is_lost(job: Job, sources: set[Path]) -> None:
    for path in job.files:
        if _is_there(path) and path.resolve() in sources:
            raise UsageError(f"{path} would be overwritten, but it is an input; choose another -o")
    if job.base.name.endswith(PARTIAL):
        raise UsageError(
            f"{job.source} would be written to {job.outputs[0]}, and unfinished outputs are called so; give "
            f"it another name: -o {job.outputs[0].with_name('NAME' + job.outputs[0].suffix)}"
        )


def _in_the_way(job: Job, options: AnnotateOptions) -> Path | None:
    """Return an output that exists and was made by something else, as far as that is known by now."""
    existing = job.existing()
    if not existing or options.overwrite or job.is_interrupted() or any(map(fingerprint_of, existing)):
        return None
    if len(existing) == len(job.outputs) and options.skip_existing:
        return None
    return existing[0]


def _partial(path: Path) -> Path:
    return PartialFile(path).partial


def _names_a_file(out: Path) -> bool:
    if out.is_dir():
        return False
    return out.suffix.lower() in VIDEO_SUFFIXES | IMAGE_SUFFIXES or _named_format(out) is not None


def _named_format(out: Path) -> str | None:
    """Return the format of keypoints that a file's name ends with, None for other names."""
    fitting = [each for each in FORMATS.values() if out.name.lower().endswith(each.suffix)]
    longest = max(fitting, key=lambda each: len(each.suffix), default=None)
    return None if longest is None else longest.name


def _job_to_file(source: Path | str, out: Path, options: AnnotateOptions) -> Job:
    named = _named_format(out)
    base = out.with_name(out.name[: -len(FORMATS[named].suffix)]) if named else out.with_suffix("")
    formats = options.formats or (named or _MASTER,)
    if named is not None and named not in formats:
        raise UsageError(f"{out} is called like a file of {named}, but --format says {' and '.join(formats)}")
    keypoints = _keypoints(base, formats, options)
    if not options.video:
        return Job(source, None, keypoints, base)
    allowed = IMAGE_SUFFIXES if is_image(source) else OUTPUT_VIDEO_SUFFIXES
    if out.suffix.lower() not in allowed:
        kind = "an annotated image" if is_image(source) else "an annotated video"
        hint = "; for keypoints alone add --no-video" if named else ""
        raise UsageError(f"{kind} cannot be written to {out}: use {' '.join(sorted(allowed))}{hint}")
    return Job(source, out, keypoints, base)


def _keypoints(base: Path, formats: Sequence[str], options: AnnotateOptions) -> dict[str, Path]:
    names = dict.fromkeys(formats) if options.keypoints else ()
    return {name: _named(base, FORMATS[name].suffix) for name in names}


def _jobs_to_folder(found: Sequence[Input], out: Path, options: AnnotateOptions) -> list[Job]:
    """Plan outputs named after their inputs; inputs that share a name keep their suffix in it."""
    shared = Counter(each.place.with_suffix("") for each in found)
    jobs: list[Job] = []
    taken: set[Path] = set()
    for each in found:
        source, place = each.source, each.place
        stem = place.name if shared[place.with_suffix("")] > 1 else place.stem
        suffix = image_suffix(source) if is_image(source) else ".mp4"
        base = out / place.parent / stem
        picture = _named(base, suffix) if options.video else None
        job = Job(source, picture, _keypoints(base, options.formats or (_MASTER,), options), base, each.name)
        files = job.files | {job.master}
        clash = taken & files
        if clash:
            raise UsageError(
                f"two inputs would both be written to {min(clash)}; give the folder that both are in, or a "
                "list of them (--from), which keep their places, or annotate them apart"
            )
        taken |= files
        jobs.append(job)
    return jobs


def _with_room_for_audio(job: Job) -> Job:
    """Return the job, with .mkv or .mov in place of a container that cannot hold the source's audio."""
    picture = job.picture
    if picture is None or is_image(job.source):
        return job
    try:
        suffix = suffix_for_audio(job.source, picture.suffix.lower())
    except MediaError:
        return job  # said when its turn comes
    if suffix == picture.suffix.lower():
        return job
    other = picture.with_suffix(suffix)
    _log.warning(
        "%s cannot hold the audio of %s as it is; writing %s", picture.suffix, job.source, other.name
    )
    return replace(job, picture=other)
