"""`hprnet-rt convert`: stored keypoints from one format to another."""

from __future__ import annotations

import argparse
import glob
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from hprnet_rt.commands.console import DONE, FAILED, AddParser, complain, keep_inputs, say
from hprnet_rt.errors import HprnetError, UsageError
from hprnet_rt.files import PartialFile, make_folder_of
from hprnet_rt.formats import (
    FORMATS,
    KeypointsFrame,
    format_of,
    formats_help,
    read_keypoints,
    require_format,
    write_keypoints,
)
from hprnet_rt.words import counted, duration

__all__ = ["add_parser"]


def add_parser(add: AddParser) -> None:
    """Add the command and its arguments."""
    job = add(
        description="Read stored keypoints, and write them in another format.",
        epilog=formats_help(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    job.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="file or folder of keypoints, or a glob pattern"
    )
    job.add_argument("-o", "--out", type=Path, required=True, help="folder, or file for a single input")
    job.add_argument(
        "--to",
        choices=FORMATS,
        metavar="FORMAT",
        help="format of the outputs (default: by the name of -o FILE)",
    )
    job.add_argument(
        "--confident",
        action="store_true",
        help="leave out points that are not to be trusted: those that are not drawn (default: all are kept, "
        "each with its score)",
    )
    job.add_argument("--overwrite", action="store_true", help="replace outputs that exist")
    job.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    job.set_defaults(run=_convert)


def _convert(options: argparse.Namespace) -> int:
    pairs = _plan(options.inputs, options.out, options.to, options.overwrite)
    begin_s, failed = time.perf_counter(), 0
    for source, out in pairs:
        try:
            recording = read_keypoints(source)
            make_folder_of(out)
            frames = _confident(recording.frames) if options.confident else recording.frames
            write_keypoints(out, recording.header, frames, options.to)
        except HprnetError as error:
            complain(error)
            failed += 1
            continue
        if not options.quiet:
            say(f"wrote {out}")
    if not options.quiet:
        say(f"total time {duration(time.perf_counter() - begin_s)}")
    if failed and len(pairs) > 1:
        complain(f"{failed} of {counted(len(pairs), 'file')} failed")
    return FAILED if failed else DONE


def _confident(frames: Iterator[KeypointsFrame]) -> Iterator[KeypointsFrame]:
    return (replace(frame, poses=frame.poses.confident()) for frame in frames)


def _plan(inputs: Sequence[str], out: Path, to: str | None, overwrite: bool) -> list[tuple[Path, Path]]:
    """Return every input with its output.

    Raises:
        UsageError: an input is missing, an output exists or would replace an input or another output, or no
            format is given.
    """
    sources = list(dict.fromkeys(path for text in inputs for path in _expand(text)))
    for source in sources:
        format_of(source)  # a name without a format is an error before any work
    to_file = _names_a_file(out, to)
    if to_file and len(sources) > 1:
        raise UsageError(
            f"{counted(len(sources), 'input')} cannot all be written to {out}; give a folder and --to FORMAT"
        )
    if not to_file and to is None:
        raise UsageError(f"say which format goes to the folder {out}: --to {' or '.join(FORMATS)}")
    require_format(to or format_of(out).name)
    pairs = [(source, out if to_file else out / _name(source, str(to))) for source in sources]
    taken: dict[Path, Path] = {}
    for source, path in pairs:
        keep_inputs(path, sources)
        for file in (path, PartialFile(path).partial):
            if file in taken:
                raise UsageError(
                    f"{taken[file]} and {source} would both be written to {file}; convert them apart"
                )
            taken[file] = source
        if path.exists() and not overwrite:
            raise UsageError(f"{path} exists; add --overwrite to replace it, or choose another -o")
    return pairs


def _expand(text: str) -> Iterator[Path]:
    path = Path(text)
    if text and path.exists():
        yield path
        return
    matches = sorted(glob.glob(text, recursive=True)) if glob.has_magic(text) else []
    if not matches:
        raise UsageError(f"{text or 'an input with an empty name'} does not exist")
    yield from map(Path, matches)


def _names_a_file(out: Path, to: str | None) -> bool:
    """Return whether the output is a single recording, which may be a folder: its name is one of a format."""
    forms = [FORMATS[to]] if to else FORMATS.values()
    return any(form.is_named_by(out.name) for form in forms)


def _name(source: Path, to: str) -> str:
    """Return an input's name with the suffix of another format."""
    name = source.name
    suffix = format_of(source).suffix
    stem = name[: -len(suffix)] if name.lower().endswith(suffix) else source.stem
    return f"{stem}{FORMATS[to].suffix}"
