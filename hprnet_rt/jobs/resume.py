"""What earlier runs have left of a job: outputs that are done, and the damage that they have noted."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from hprnet_rt.errors import UsageError
from hprnet_rt.files import exclusive, output_errors
from hprnet_rt.jobs.fingerprint import has_fingerprint
from hprnet_rt.jobs.journal import journal_files, named_outputs
from hprnet_rt.jobs.options import AnnotateOptions, video_settings
from hprnet_rt.jobs.plan import Job, refusal

__all__ = ["is_done", "note_damage", "noted_damage", "tidy"]


def is_done(job: Job, header: dict[str, Any], options: AnnotateOptions) -> bool:
    """Look whether an earlier run with the same settings has written all outputs.

    An output belongs to such a run when it bears its fingerprint; when the run was giving it its name as it
    ended; or, where all outputs are there, when it can bear no fingerprint and lies beside one that does.

    Raises:
        UsageError: an output exists that no such run is known to have written.
    """
    existing = job.existing()
    if options.overwrite or not existing:
        return False
    named = {name for path in (job.master, job.unsmoothed) for name in named_outputs(path, header)}
    own = {path: path.name in named or _is_own(job, path, header, options) for path in existing}
    done = len(existing) == len(job.outputs) and not job.is_interrupted()
    if done and any(own.values()):
        own = {path: each is not False for path, each in own.items()}
    for path, each in own.items():
        if not each:
            raise UsageError(refusal(path, options))
    return done


def _is_own(job: Job, path: Path, header: dict[str, Any], options: AnnotateOptions) -> bool | None:
    settings = video_settings(options) if path == job.picture else {}
    return has_fingerprint(path, header, **settings)


def tidy(job: Job) -> None:
    """Delete the journals of a run that was killed after its outputs were complete, if none is writing."""
    with suppress(OSError), exclusive(job.master):
        for path in (*journal_files(job.master), *journal_files(job.unsmoothed)):
            path.unlink(missing_ok=True)


def note_damage(job: Job, damage: str | None) -> None:
    """Note beside the outputs what they lack, for runs that find them done.

    Raises:
        OutputError: the system refuses.
    """
    with output_errors(job.damage_note):
        if damage is None:
            job.damage_note.unlink(missing_ok=True)
        else:
            job.damage_note.write_text(damage + "\n", encoding="utf-8", errors="backslashreplace")


def noted_damage(job: Job) -> str | None:
    """Read what an earlier run has noted; None when all was well."""
    try:
        return job.damage_note.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None
