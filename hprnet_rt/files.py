"""Files that appear under their final name only when they are complete, and the system's errors as ours."""

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
"""The end of an unfinished output's stem."""

_BEGINNING: Final = 1 << 16  # bytes


def reason(error: Exception) -> str:
    """Return the system's words for an error, without file names and numbers."""
    return getattr(error, "strerror", None) or str(error)


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn errors of the system into an `OutputError` that names the file.

    Args:
        path: the file that is being written.

    Raises:
        OutputError: the system refused.
    """
    try:
        yield
    except HprnetError:  # some are an OSError too
        raise
    except OSError as error:
        raise OutputError(f"cannot write {path}: {reason(error)}") from error


class PartialFile:
    """`clip.mp4` is written as `clip.partial.mp4` and renamed by `commit`.

    Args:
        path: the final name; its folder exists.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = path.with_name(f"{path.stem}{PARTIAL}{path.suffix}")

    def create(self) -> None:
        """Make the partial file, and see that there is room for its beginning.

        Raises:
            OutputError: the system refuses.
        """
        try:
            with self.partial.open("wb") as file:
                file.write(bytes(_BEGINNING))
        except OSError as error:
            self.partial.unlink(missing_ok=True)
            raise OutputError(f"cannot write {self.path}: {reason(error)}") from error

    def commit(self, *, durable: bool = False) -> None:
        """Give the file its final name.

        Args:
            durable: see first that it survives a loss of power.

        Raises:
            OutputError: the system refuses.
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
        OutputError: the system refuses.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot create the output folder {path.parent}: {reason(error)}") from error


def require_writable(path: Path) -> None:
    """Check that a file can be written, before the work that leads to it; its folder is created.

    Raises:
        OutputError: it cannot.
    """
    make_folder_of(path)
    file = PartialFile(path)
    file.create()
    file.partial.unlink()


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Keep other processes from writing the same output.

    Args:
        path: its final name.

    Raises:
        OutputError: another process is writing it, or the system refuses the lock.
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
