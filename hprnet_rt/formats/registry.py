"""The formats by name, and opening and writing a file in any of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from hprnet_rt.errors import DataError, HprnetError, UsageError
from hprnet_rt.files import PartialFile, output_errors, reason
from hprnet_rt.formats.coco import COCO
from hprnet_rt.formats.csv_table import CSV
from hprnet_rt.formats.format import Format
from hprnet_rt.formats.jsonl import JSONL
from hprnet_rt.formats.npz import NPZ
from hprnet_rt.formats.openpose import OPENPOSE
from hprnet_rt.formats.parquet import COMPACT_PARQUET, PARQUET
from hprnet_rt.formats.recording import KeypointsFrame, Recording, checked, too_large_is_infinite
from hprnet_rt.formats.trc import TRC

__all__ = ["FORMATS", "format_of", "formats_help", "read_keypoints", "require_format", "write_keypoints"]

FORMATS: Final[dict[str, Format]] = {
    form.name: form
    for form in (
        JSONL,
        PARQUET,
        COMPACT_PARQUET,
        NPZ,
        CSV,
        COCO,
        OPENPOSE,
        TRC,
    )
}
"""All formats by name, in the order of help texts."""


def formats_help() -> str:
    """Return a line for each format: its name, suffix and summary."""
    forms = FORMATS.values()
    name_width = max(len(form.name) for form in forms) + 2
    suffix_width = max(len(form.suffix) for form in forms) + 2
    lines = [f"  {form.name:<{name_width}}{form.suffix:<{suffix_width}}{form.summary}" for form in forms]
    return "\n".join(["formats:", *lines])


def format_of(path: Path) -> Format:
    """Return the format of a file or folder by its name.

    The longest suffix decides. A name without one may have one of `Format.other_suffixes`, and a folder may
    belong to the format that reads any.

    Raises:
        UsageError: no format has files of such a name.
    """
    name, is_folder = path.name.lower(), path.is_dir()
    for form in sorted(FORMATS.values(), key=lambda form: -len(form.suffix)):
        if name.endswith(form.suffix) and (form.is_folder or not is_folder):
            return form
    for form in FORMATS.values():
        if form.reads_any_folder if is_folder else form.is_named_by(name):
            return form
    suffixes = " ".join(form.suffix for form in FORMATS.values())
    raise UsageError(f"{path} is not called like a file of keypoints: use one of {suffixes}")


def require_format(name: str) -> Format:
    """Return the format of this name, ready to be used.

    Raises:
        UsageError: there is no such format, or a package that it needs is not installed.
    """
    if name not in FORMATS:
        raise UsageError(f"there is no format {name!r}; the formats are {', '.join(FORMATS)}")
    FORMATS[name].require_packages()
    return FORMATS[name]


def read_keypoints(path: str | Path) -> Recording:
    """Open stored keypoints of any format; frames are read as they are asked for.

    Raises:
        UsageError: the file does not exist, its name belongs to no format or to one that is only written, or
            a package that the format needs is not installed.
        DataError: the file is not of that format, or cannot be read.

    Examples:
        >>> for frame in hprnet_rt.read_keypoints("video.jsonl").frames:
        ...     poses = frame.poses.confident()
        >>> frame.number, frame.pts_s, len(poses)
        (5, 0.2, 3)
    """
    path = Path(path)
    if not path.exists():
        raise UsageError(f"{path} does not exist")
    try:
        form = format_of(path)
        if form.read is None:
            raise UsageError(
                f"{path}: keypoints cannot be read from {form.name}; take the file that it was made of"
            )
        form.require_packages()
        with too_large_is_infinite():
            recording = form.read(path)
        return checked(recording, path)
    except OSError as error:
        if isinstance(error, HprnetError):
            raise
        raise DataError(f"cannot read {path}: {reason(error)}") from error


def write_keypoints(
    path: str | Path, header: dict[str, Any], frames: Iterable[KeypointsFrame], kind: str | None = None
) -> None:
    """Write keypoints; the file appears when it is complete, and replaces one of its name.

    Args:
        path: in a folder that exists. An unfinished file is called like `clip.partial.csv`; an older one of
            that name is deleted.
        header: of `read_keypoints`, or fields of your own; lost where the format has no place for it.
        frames: in ascending order; taken one by one.
        kind: the format's name; None takes the format of the path's name.

    Raises:
        UsageError: there is no such format, a package that it needs is not installed, or the frames lack what
            it needs.
        OutputError: the file cannot be written.
        DataError: the frames come from a damaged file.

    Examples:
        >>> recording = hprnet_rt.read_keypoints("video.jsonl")
        >>> hprnet_rt.write_keypoints("video.csv", recording.header, recording.frames)
    """
    path = Path(path)
    form = require_format(kind or format_of(path).name)
    if form.is_folder != path.is_dir() and path.exists():
        raise UsageError(f"{path} exists and is {'a file' if form.is_folder else 'a folder'}")
    target = PartialFile(path)
    _remove(target.partial)
    try:
        with output_errors(path):
            if not form.is_folder:
                target.create()
            form.write(target.partial, header, frames)
            if form.is_folder:
                _remove(path)
            target.commit(durable=not form.is_folder)
    except BaseException:
        _remove(target.partial)
        raise


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
