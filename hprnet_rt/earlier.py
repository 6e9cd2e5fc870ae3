"""What earlier runs have left of a job: outputs that are done, and the damage that they know of."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from hprnet_rt.errors import OutputError, UsageError
from hprnet_rt.files import reason
from hprnet_rt.formats.journal import journal_files, named_outputs
from hprnet_rt.jobs import AnnotateOptions, Job, refusal
from hprnet_rt.marks import is_of
from hprnet_rt.outputs import only_run

__all__ = ["compression", "is_done", "note_damage", "noted_damage", "tidy"]


def is_done(job: Job, said: dict[str, Any], options: AnnotateOptions) -> bool:
    """Whether an earlier run with the same settings has written all outputs.

    Those are its own that bear its mark, that it was giving their names when it ended, or, where all are
    there, that can bear no mark and lie beside one that does.

    Raises:
        UsageError: one exists that no such run is known to have written.
    """
    existing = job.existing()
    if options.overwrite or not existing:
        return False
    named = {name for path in (job.hub, job.unsmoothed) for name in named_outputs(path, said)}
    own = {path: path.name in named or _is_own(job, path, said, options) for path in existing}
    done = len(existing) == len(job.outputs) and not job.is_interrupted()
    if done and any(own.values()):
        own = {path: each is not False for path, each in own.items()}
    for path, each in own.items():
        if not each:
            raise UsageError(refusal(path, options))
    return done


def _is_own(job: Job, path: Path, said: dict[str, Any], options: AnnotateOptions) -> bool | None:
    return is_of(path, said, **(compression(options) if path == job.picture else {}))


def tidy(job: Job) -> None:
    """Delete what a run left that was killed after its outputs were complete, if none is at it."""
    with suppress(OSError), only_run(job.hub):
        for path in (*journal_files(job.hub), *journal_files(job.unsmoothed)):
            path.unlink(missing_ok=True)


def note_damage(job: Job, damage: str | None) -> None:
    """Leave beside the outputs what they lack, for runs that find them done.

    Raises:
        OutputError: the system refuses.
    """
    try:
        if damage is None:
            job.damage_note.unlink(missing_ok=True)
        else:
            job.damage_note.write_text(damage + "\n", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise OutputError(f"cannot write {job.damage_note}: {reason(error)}") from error


def noted_damage(job: Job) -> str | None:
    """What an earlier run has noted; None when all was well."""
    try:
        return job.damage_note.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None


def compression(options: AnnotateOptions) -> dict[str, Any]:
    """Options that decide what a video is, beside its keypoints."""
    return {"crf": options.crf, "encoder": options.encoder}
