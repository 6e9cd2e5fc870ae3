"""Standard input as a source: a copy of it, because videos are read from more than one place at a time."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hprnet_rt.errors import MediaError, OutputError, UsageError
from hprnet_rt.files import reason

__all__ = ["spooled_input"]

_NAME: Final = "standard input"
_PIECE_BYTES: Final = 1 << 20


@contextmanager
def spooled_input() -> Iterator[Path]:
    """Copy standard input to a temporary file, to its end, and yield that; the file goes with the block.

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
