"""Files that get their final name only when they are complete, and the system's errors as our own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from hprnet_rt.errors import HprnetError, OutputError

__all__ = [
    "PARTIAL",
    "PartialFile",
    "exclusive",
    "make_folder_of",
    "output_errors",
    "reason",
    "require_writable",
]

PARTIAL: Final = ".partial"
"""The end of the stem of an unfinished output's name."""

_BEGINNING_BYTES: Final = 1 << 16


def reason(error: Exception) -> str:
    """Return the system's message of an error, without file names and numbers."""
    return getattr(error, "strerror", None) or str(error)


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn an error of the system into an `OutputError` that names the file.

    Args:
        path: the file that is being written.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        yield
    except HprnetError:  # some are an OSError too
        raise
    except OSError as error:
        raise OutputError(f"cannot write {path}: {reason(error)}") from error


class PartialFile:
    """A file that is written as `clip.partial.mp4`, and renamed to `clip.mp4` by `commit`.

    Args:
        path: the final name, in a folder that exists.

    Attributes:
        path: the final name.
        partial: the name until `commit`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = path.with_name(f"{path.stem}{PARTIAL}{path.suffix}")

    def create(self) -> None:
        """Create the partial file, and check that the disk has room for its beginning.

        Raises:
            OutputError: the file cannot be written.
        """
        try:
            with output_errors(self.path), self.partial.open("wb") as file:
                file.write(bytes(_BEGINNING_BYTES))
        except OutputError:
            self.partial.unlink(missing_ok=True)
            raise

    @contextmanager
    def writing(self) -> Iterator[Path]:
        """Create the partial file and give its path to write to; delete it when the system refuses.

        Raises:
            OutputError: it cannot be written.
        """
        self.create()
        try:
            with output_errors(self.path):
                yield self.partial
        except OSError:
            self.partial.unlink(missing_ok=True)
            raise

    def commit(self, *, durable: bool = False) -> None:
        """Give the file its final name.

        Args:
            durable: bring the file to the disk first, so that it survives a loss of power.

        Raises:
            OutputError: the file cannot be renamed.
        """
        try:
            if durable:
                with self.partial.open("rb") as file:
                    os.fsync(file.fileno())
            self.partial.replace(self.path)
        except OSError as error:
            raise OutputError(f"cannot rename {self.partial} to {self.path.name}: {reason(error)}") from error


def make_folder_of(path: Path) -> None:
    """Create the folder of an output.

    Raises:
        OutputError: the folder cannot be created.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot create the output folder {path.parent}: {reason(error)}") from error


def require_writable(path: Path) -> None:
    """Create the folder of an output, and check that the file can be written, before any work.

    Raises:
        OutputError: the file cannot be written.
    """
    make_folder_of(path)
    file = PartialFile(path)
    file.create()
    file.partial.unlink()


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Keep other processes from writing the same output.

    Args:
        path: the final name of the output.

    Raises:
        OutputError: another process is writing it, or it cannot be locked.
    """
    from filelock import FileLock, Timeout  # only runs that write outputs pay for it

    make_folder_of(path)
    lock_path = PartialFile(path).partial.with_suffix(".lock")
    lock = FileLock(lock_path)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise OutputError(f"another run is writing {path}: let it end, or stop it") from error
    except OSError as error:
        raise OutputError(f"cannot write {lock_path}: {reason(error)}") from error
    try:
        yield
    finally:
        with suppress(OSError):  # Windows deletes no file that is open
            lock_path.unlink()
        lock.release()
