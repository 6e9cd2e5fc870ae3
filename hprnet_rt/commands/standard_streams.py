"""Standard input as a source, and standard output for keypoints."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hprnet_rt.errors import MediaError, OutputError, UsageError
from hprnet_rt.files import reason
from hprnet_rt.formats.jsonl import JSONL
from hprnet_rt.jobs.inputs import STANDARD_INPUT

__all__ = ["STANDARD_OUTPUT", "reads_standard_input", "require_only_keypoints", "spooled_input"]

STANDARD_OUTPUT: Final = "-"
"""The name of standard output among the outputs."""

_NAME: Final = "standard input"
_PIECE_BYTES: Final = 1 << 20


def require_only_keypoints(options: argparse.Namespace) -> None:
    """Check that what was asked for beside keypoints on standard output can be.

    Raises:
        UsageError: it cannot.
    """
    if options.no_keypoints or set(options.format or ()) - {JSONL.name}:
        raise UsageError("-o - writes keypoints as JSON lines, and nothing else; give a folder for the rest")
    if options.work is not None:
        raise UsageError("--work goes with an -o such as s3://bucket/out, not with -")


def reads_standard_input(options: argparse.Namespace) -> bool:
    """Return whether standard input is a source.

    Raises:
        UsageError: it is the list of sources as well, or a cluster should read it.
    """
    if STANDARD_INPUT not in options.inputs:
        return False
    if options.list == STANDARD_INPUT:
        raise UsageError("standard input is a source or the list of them (--from -), not both")
    if options.cluster is not None:
        raise UsageError("the machines of a cluster cannot read standard input: save it as a file first")
    return True


@contextmanager
def spooled_input() -> Iterator[Path]:
    """Copy standard input to a temporary file, to its end, and yield that; the file goes with the block.

    Videos are read from more than one place at a time, and a run that is continued reads its source again.
    SIGTERM interrupts the block as Ctrl-C does, so that the file goes then too.

    Raises:
        UsageError: nothing is piped to standard input.
        MediaError: it is empty, or cannot be read.
        OutputError: there is no room for the copy.
    """
    if sys.stdin is None:
        raise UsageError("standard input cannot be read: it is closed")
    if sys.stdin.isatty():
        raise UsageError(
            "standard input is a terminal: pipe a file to it, as in cat a.mp4 | hprnet-rt annotate -"
        )
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="hprnet-rt-") as folder:
            path = Path(folder) / _NAME
            _copy(path)
            if not path.stat().st_size:
                raise MediaError("standard input is empty (0 bytes)")
            yield path
    finally:
        signal.signal(signal.SIGTERM, before)


def _copy(path: Path) -> None:
    source = sys.stdin.buffer
    with path.open("wb") as file:
        while True:
            try:
                piece = source.read(_PIECE_BYTES)
            except OSError as error:
                raise MediaError(f"standard input cannot be read: {reason(error)}") from error
            if not piece:
                return
            try:
                file.write(piece)
                file.flush()
            except OSError as error:
                raise OutputError(
                    f"standard input cannot be copied to {path.parent}: {reason(error)}; name a folder with "
                    "more room in TMPDIR"
                ) from error
