"""The description of a format of keypoints: its names, its functions, and the contents that it loses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hprnet_rt.formats.recording import KeypointsFrame, Recording

__all__ = ["Content", "Format"]

Content = Literal["header", "times", "person scores", "boxes", "point scores", "empty frames"]
"""The contents of a recording beside the positions of keypoints; empty frames are those without anyone."""


def _nothing_is_needed() -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Format:
    """A way to store keypoints in a file or a folder.

    A new format is a module of this package that defines one, and an entry in `registry.FORMATS`.

    Attributes:
        name: as the command line calls it.
        suffix: the end of its files' names, in lower case.
        summary: a few words for help texts.
        write: writes a recording from its header and its frames to a path. The file at the path is empty or
            to be replaced; a folder is to be created.
        read: opens a file, reads its frames as they are asked for, and raises `DataError` for damage; None in
            a format that is only written.
        loses: the contents that have no place in it.
        is_folder: a recording is a folder of files.
        other_suffixes: further ends of names by which its files are recognised, unless they are the suffix of
            a format.
        reads_any_folder: a folder is taken for this format unless its name ends with the suffix of another.
        needs_ids: every person must have a track id.
        needs_times: every frame must have a media time.
        require_packages: raises `UsageError` when a package that it needs is not installed.
    """

    name: str
    suffix: str
    summary: str
    write: Callable[[Path, dict[str, Any], Iterable[KeypointsFrame]], None]
    read: Callable[[Path], Recording] | None
    loses: frozenset[Content] = frozenset()
    is_folder: bool = False
    other_suffixes: tuple[str, ...] = ()
    reads_any_folder: bool = False
    needs_ids: bool = False
    needs_times: bool = False
    require_packages: Callable[[], None] = _nothing_is_needed

    def is_named_by(self, name: str) -> bool:
        """Return whether a file's name ends as one of this format does, in lower or upper case."""
        return name.lower().endswith((self.suffix, *self.other_suffixes))
