"""Expand inputs as a user names them: files, folders, patterns, lists, addresses."""

from __future__ import annotations

import glob
import itertools
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from hprnet_rt.errors import UsageError
from hprnet_rt.files import PARTIAL, reason
from hprnet_rt.video import (
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    is_address,
    is_sequence,
    sequence_files,
    sequence_name,
)
from hprnet_rt.video.remote import find_remote, is_remote, remote_name

__all__ = ["Input", "expand", "listed_inputs", "read_list"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Input:
    """One file to annotate.

    Attributes:
        source: a file, or an address as a string.
        place: where its outputs belong below the output folder, under the input's name.
    """

    source: Path | str
    place: Path


def _is_address(text: str) -> bool:
    return is_address(text) or is_remote(text)


def _at_address(text: str) -> Input:
    if is_remote(text):
        return Input(text, Path(remote_name(text)))
    name = PurePosixPath(unquote(urlsplit(text).path)).name
    return Input(text, Path(name or "video"))


def _place_of(path: Path) -> Path:
    """Return the path without a %d in its name, as outputs are named."""
    return path.with_name(sequence_name(path) + path.suffix) if is_sequence(path) else path


def listed_inputs(texts: Sequence[str]) -> Iterator[Input]:
    """Yield files and addresses that need not exist; files keep their place below their common folder."""
    parents = [Path(text).absolute().parent for text in texts if not _is_address(text)]
    root = os.path.commonpath(parents) if parents else ""
    for text in texts:
        if _is_address(text):
            yield _at_address(text)
        else:
            yield Input(Path(text), _place_of(Path(text).absolute()).relative_to(root))


def expand(texts: Iterable[str], out: Path) -> Iterator[Input]:
    """Yield all files of some inputs.

    In folders and patterns partial files are skipped, and so is the output folder: they are results. A file
    keeps its place below its folder, or below the fixed part of a pattern.

    Raises:
        UsageError: one is missing, or a folder holds no media.
    """
    for text in texts:
        yield from _expand(text, out)


def _expand(text: str, out: Path) -> Iterator[Input]:
    path = Path(text)
    if not text:
        raise UsageError("an input has an empty name; give a file, a folder or a pattern")
    if is_remote(text):
        found = find_remote(text, IMAGE_SUFFIXES | VIDEO_SUFFIXES)
        yield from (Input(url, place) for url, place in found if not place.stem.endswith(PARTIAL))
    elif is_address(text):
        yield _at_address(text)
    elif path.is_dir():
        wanted = IMAGE_SUFFIXES | VIDEO_SUFFIXES
        files = [each for each in _files_below(path, out) if each.suffix.lower() in wanted]
        files = [each for each in files if not each.stem.endswith(PARTIAL)]
        if not files:
            kinds = " ".join(sorted(wanted))
            raise UsageError(f"the folder {path} holds no video or image (looked for {kinds})")
        yield from (Input(file, file.relative_to(path)) for file in files)
    elif path.exists():
        yield Input(path, Path(path.name))
    elif is_sequence(path):
        if not sequence_files(path):
            raise UsageError(f"no file matches {path}")
        yield Input(path, Path(_place_of(path).name))
    elif glob.has_magic(text):
        matches = sorted(p for p in map(Path, glob.glob(text, recursive=True)) if p.is_file())
        matches = [match for match in matches if not match.stem.endswith(PARTIAL)]
        if not matches:
            raise UsageError(f"no file matches {text} ({PARTIAL} ones are passed over)")
        yield from (Input(match, _below_the_fixed_part(match, path)) for match in matches)
    else:
        raise UsageError(f"{path} does not exist")


def _files_below(folder: Path, out: Path) -> Iterator[Path]:
    """Yield all files of a folder and of folders linked in it, except those of the output folder."""
    passed_over = os.path.realpath(out)

    def walk(folder: Path, above: tuple[str, ...]) -> Iterator[Path]:
        here = os.path.realpath(folder)
        if here in above or (above and here == passed_over):
            return
        try:
            entries = sorted(folder.iterdir())
        except OSError as error:
            if not above:
                raise
            _log.warning("%s cannot be looked into (%s): it is passed over", folder, reason(error))
            return
        for entry in entries:
            if entry.is_dir():
                yield from walk(entry, (*above, here))
            elif entry.is_file():
                yield entry

    return walk(folder, ())


def _below_the_fixed_part(match: Path, pattern: Path) -> Path:
    fixed = itertools.takewhile(lambda part: not glob.has_magic(part), pattern.parts)
    place = match.relative_to(Path(*fixed))
    return Path(match.name) if ".." in place.parts else place


def read_list(lines: Iterable[str]) -> list[str]:
    """Files and addresses of a list, one a line; empty lines and those that begin with # are left out.

    Raises:
        UsageError: the list is no text, or cannot be read.
    """
    try:
        texts = [line.rstrip("\r\n").lstrip("\ufeff") for line in lines]
    except UnicodeDecodeError as error:
        raise UsageError(f"the list of inputs is not UTF-8 text: {error}") from error
    except OSError as error:
        raise UsageError(f"the list of inputs cannot be read: {reason(error)}") from error
    if any("\0" in text for text in texts):
        raise UsageError("the list of inputs has a NUL character; give one name a line (find -print)")
    return [text for text in texts if text.strip() and not text.startswith("#")]
