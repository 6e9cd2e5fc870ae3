"""Files that appear under their final name only when they are complete."""

from __future__ import annotations

import os
from pathlib import Path

from hprnet_rt.errors import OutputError

__all__ = ["PartialFile", "reason"]

_BEGINNING = 1 << 16  # bytes


def reason(error: Exception) -> str:
    """The system's words for an error, without file names and numbers."""
    return getattr(error, "strerror", None) or str(error)


class PartialFile:
    """`clip.mp4` is written as `clip.partial.mp4` and renamed by `commit`.

    Args:
        path: the final name; its folder exists.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = path.with_name(f"{path.stem}.partial{path.suffix}")

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
