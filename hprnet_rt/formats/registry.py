"""The formats by name, and opening and writing a file in any of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hprnet_rt.errors import DataError, HprnetError, OutputError, UsageError
from hprnet_rt.files import PartialFile, reason
from hprnet_rt.formats.coco import read_coco, write_coco
from hprnet_rt.formats.csv_table import read_csv, write_csv
from hprnet_rt.formats.jsonl import read_jsonl, write_jsonl
from hprnet_rt.formats.npz import read_npz, write_npz
from hprnet_rt.formats.openpose import read_openpose, write_openpose
from hprnet_rt.formats.parquet import read_parquet, require_pyarrow, write_compact_parquet, write_parquet
from hprnet_rt.formats.recording import KeypointsFrame, Recording, checked, too_large_is_infinite
from hprnet_rt.formats.trc import write_trc

__all__ = ["FORMATS", "Format", "format_of", "read_keypoints", "require_format", "write_keypoints"]


@dataclass(frozen=True)
class Format:
    """One way to store keypoints.

    Attributes:
        name: as the command line calls it.
        suffix: that files of it end with.
        read: opens one; None where that cannot be done.
        write: writes one from the header and all frames.
        says: in a few words, for help texts.
        folder: it is a folder of files.
        header: it keeps the header.
    """

    name: str
    suffix: str
    read: Callable[[Path], Recording] | None
    write: Callable[[Path, dict[str, Any], Iterable[KeypointsFrame]], None]
    says: str
    folder: bool = False
    header: bool = True


FORMATS: Final[dict[str, Format]] = {
    each.name: each
    for each in (
        Format("jsonl", ".jsonl", read_jsonl, write_jsonl, "a line a frame; holds everything"),
        Format(
            "parquet", ".parquet", read_parquet, write_parquet, "a row a person and frame, a column a number"
        ),
        Format(
            "parquet-compact",
            ".compact.parquet",
            read_parquet,
            write_compact_parquet,
            "all points of a person in one column",
        ),
        Format("npz", ".npz", read_npz, write_npz, "NumPy arrays"),
        Format(
            "csv",
            ".csv",
            read_csv,
            write_csv,
            "the rows and columns of parquet, without the header",
            header=False,
        ),
        Format(
            "coco",
            ".coco.json",
            read_coco,
            write_coco,
            "results of COCO-WholeBody, without header and times",
            header=False,
        ),
        Format(
            "openpose",
            ".openpose",
            read_openpose,
            write_openpose,
            "a folder with a JSON file a frame, without header, times and boxes",
            folder=True,
            header=False,
        ),
        Format(
            "trc",
            ".trc",
            None,
            write_trc,
            "a folder with a file a person for OpenSim, pixels as mm, without scores; is not read",
            folder=True,
            header=False,
        ),
    )
}

_BY_SUFFIX: Final = sorted(FORMATS.values(), key=lambda each: -len(each.suffix))


def format_of(path: Path) -> Format:
    """The format that a name says by its suffix, where .json is COCO's, and other folders are OpenPose's.

    Raises:
        UsageError: it says none.
    """
    name, is_folder = path.name.lower(), path.is_dir()
    for each in _BY_SUFFIX:
        if name.endswith(each.suffix) and (each.folder or not is_folder):
            return each
    if is_folder:
        return FORMATS["openpose"]
    if name.endswith(".json"):
        return FORMATS["coco"]
    suffixes = " ".join(each.suffix for each in FORMATS.values())
    raise UsageError(f"{path} is not called like a file of keypoints: use one of {suffixes}")


def require_format(name: str) -> Format:
    """The format of this name, ready to be used.

    Raises:
        UsageError: there is none, or what it needs is not installed.
    """
    if name not in FORMATS:
        raise UsageError(f"there is no format {name!r}; the formats are {', '.join(FORMATS)}")
    if name.startswith("parquet"):
        require_pyarrow()
    return FORMATS[name]


def read_keypoints(path: str | Path) -> Recording:
    """Open stored keypoints of any format; frames are read as they are asked for.

    Raises:
        UsageError: there is no such file, or its name says no format, or one that is only written.
        DataError: it is not of that format, or cannot be read.
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
        path: its folder exists. Until the file is complete it is called like `clip.partial.csv`; one that is
            called so is deleted.
        header: of `read_keypoints`, or fields of your own; lost where the format has no place for it.
        frames: in ascending order; taken one by one.
        kind: the format's name; what the path's name says when None.

    Raises:
        UsageError: there is no such format, or a package for it is missing.
        OutputError: the system refuses.
        DataError: the frames come from a damaged file.
    """
    path = Path(path)
    form = require_format(kind or format_of(path).name)
    if form.folder != path.is_dir() and path.exists():
        raise UsageError(f"{path} exists and is {'a file' if form.folder else 'a folder'}")
    target = PartialFile(path)
    _remove(target.partial)
    try:
        if not form.folder:
            target.create()
        form.write(target.partial, header, frames)
        if form.folder:
            _remove(path)
        target.commit(durable=not form.folder)
    except OSError as error:
        _remove(target.partial)
        if isinstance(error, HprnetError):
            raise
        raise OutputError(f"cannot write {path}: {reason(error)}") from error
    except BaseException:
        _remove(target.partial)
        raise


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
