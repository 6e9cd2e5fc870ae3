"""Expand inputs as a user names them: files, folders, patterns, lists, addresses."""

from __future__ import annotations

import glob
import itertools
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

from hprnet_rt.errors import UsageError
from hprnet_rt.files import reason
from hprnet_rt.video import (
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    is_address,
    is_sequence,
    refuse_a_stream,
    sequence_files,
    sequence_name,
)
from hprnet_rt.video.capture import kind_of
from hprnet_rt.video.folder import PassedOver
from hprnet_rt.video.remote import find_remote, is_remote, remote_name

__all__ = ["STANDARD_INPUT", "Input", "expand", "listed_inputs", "read_list"]

_log = logging.getLogger(__name__)

STANDARD_INPUT: Final = "-"
"""The name of standard input among the inputs."""


@dataclass(frozen=True)
class Input:
    """One file to annotate.

    Attributes:
        source: a file, or an address as a string.
        place: where its outputs belong below the output folder, under the input's name.
        name: how it is called in messages and keypoints, where that is not its source.
    """

    source: Path | str
    place: Path
    name: str | None = None


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


def expand(texts: Iterable[str], out: Path, spooled: Path | None = None) -> Iterator[Input]:
    """Yield all files of some inputs.

    In folders and patterns the output folder is passed over, and what `PassedOver` counts, which it says. A
    file keeps its place below its folder, or below the fixed part of a pattern.

    Args:
        texts: files, folders, glob patterns, addresses, and `STANDARD_INPUT`.
        out: the output folder.
        spooled: the file to which standard input has been copied.

    Raises:
        UsageError: one is missing or live, or a folder holds no media.
    """
    for text in texts:
        if text == STANDARD_INPUT and spooled is not None:
            yield Input(spooled, Path("stdin"), spooled.name)
        else:
            yield from _expand(text, out)


def _expand(text: str, out: Path) -> Iterator[Input]:
    path = Path(text)
    if not text:
        raise UsageError("an input has an empty name; give a file, a folder or a pattern")
    _refuse_what_is_live(text, path)
    passed_over = PassedOver()
    if is_remote(text):
        is_pattern = glob.has_magic(text)
        found = find_remote(
            text,
            lambda place: passed_over.takes_named(place, path) if is_pattern else passed_over.takes(place),
        )
        passed_over.say(text)
        if not found:
            raise _without_media(text)
        yield from (Input(url, place) for url, place in found)
    elif is_address(text):
        yield _at_address(text)
    elif path.is_dir():
        places = [file.relative_to(path) for file in _files_below(path, out, passed_over)]
        places = [place for place in places if passed_over.takes(place)]
        passed_over.say(path)
        if not places:
            raise _without_media(path)
        yield from (Input(path / place, place) for place in places)
    elif path.exists():
        yield Input(path, Path(path.name))
    elif is_sequence(path):
        if not sequence_files(path):
            raise UsageError(f"no file matches {path}")
        yield Input(path, Path(_place_of(path).name))
    elif glob.has_magic(text):
        matches = sorted(p for p in map(Path, glob.glob(text, recursive=True)) if p.is_file())
        matches = [match for match in matches if passed_over.takes_named(match, path)]
        passed_over.say(text)
        if not matches:
            raise UsageError(f"no file matches {text}")
        yield from (Input(match, _below_the_fixed_part(match, path)) for match in matches)
    else:
        raise UsageError(f"{path} does not exist")


def _refuse_what_is_live(text: str, path: Path) -> None:
    """Raise a UsageError for a camera, a screen or a stream, which is not a file of that name."""
    refuse_a_stream(text)
    kind = None if "://" in text or path.is_file() or path.is_dir() else kind_of(text)
    if kind is not None:
        raise UsageError(f"there is no file {text}; if you mean the {kind.name}: hprnet-rt live {text}")


def _without_media(folder: object) -> UsageError:
    kinds = " ".join(sorted(IMAGE_SUFFIXES | VIDEO_SUFFIXES))
    return UsageError(f"the folder {folder} holds no video or image (looked for {kinds})")


def _files_below(folder: Path, out: Path, passed_over: PassedOver) -> Iterator[Path]:
    """Yield all files of a folder and of folders linked in it.

    The output folder is left out, and so are hidden folders and what is no file, which are counted.
    """
    results = os.path.realpath(out)

    def walk(folder: Path, above: tuple[str, ...]) -> Iterator[Path]:
        here = os.path.realpath(folder)
        if here in above or (above and here == results):
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
                if passed_over.looks_into(entry.name):
                    yield from walk(entry, (*above, here))
            elif entry.is_file():
                yield entry
            else:
                passed_over.leave(entry)

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
