"""What the entries of a folder are: videos and photos, what hides itself, and the rest.

Everything that looks through a folder asks here. What a user names is taken, whatever it is.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Final, Literal

from hprnet_rt.files import PARTIAL
from hprnet_rt.video.media import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from hprnet_rt.words import counted

__all__ = ["PassedOver", "entry_kind", "is_hidden"]

EntryKind = Literal["media", "hidden", "unfinished", "other"]

_OF_SYSTEMS: Final = frozenset(
    {
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "@eadir",
        "@recently-snapshot",
        "@recycle",
        "@sharebin",
        "@tmp",
        "__macosx",
        "desktop.ini",
        "ehthumbs.db",
        "lost+found",
        "lost.dir",
        "recycler",
        "system volume information",
        "thmbnl",
        "thumbs.db",
    }
)
"""Names, in lower case, of what systems and cameras keep beside files."""

_log = logging.getLogger(__name__)

_MOST_NAMED: Final = 4  # suffixes in a sentence


def is_hidden(name: str) -> bool:
    """Return whether a file or a folder, by its name alone, is one that a system keeps for itself.

    These are names that begin with a dot (`._IMG_1.jpg` of macOS, `.thumbnails`), and those of `_OF_SYSTEMS`.
    """
    return name.startswith(".") or name.lower() in _OF_SYSTEMS


def entry_kind(place: PurePath) -> EntryKind:
    """Return what a file below a folder is.

    Args:
        place: its path below the folder.

    Returns:
        "media" for a video or photo to take; "hidden" where it, or a folder above it, hides itself;
        "unfinished" for an output that is not complete; "other" for files of other kinds.
    """
    if any(map(is_hidden, place.parts)):
        return "hidden"
    if place.suffix.lower() not in IMAGE_SUFFIXES | VIDEO_SUFFIXES:
        return "other"
    return "unfinished" if place.stem.endswith(PARTIAL) else "media"


@dataclass
class PassedOver:
    """Counts what is passed over in a folder, for one line that says so.

    Attributes:
        hidden, unfinished: how many files.
        folders: hidden ones, which are not looked into.
        others: files of other kinds, by their suffix, or what else they are.
    """

    hidden: int = 0
    folders: int = 0
    unfinished: int = 0
    others: Counter[str] = field(default_factory=Counter)

    def takes(self, place: PurePath) -> bool:
        """Return whether a file below a folder is taken; count it where it is not."""
        kind = entry_kind(place)
        if kind == "hidden":
            self.hidden += 1
        elif kind == "unfinished":
            self.unfinished += 1
        elif kind == "other":
            self.others[place.suffix.lower() or "without a suffix"] += 1
        return kind == "media"

    def takes_named(self, match: PurePath, pattern: PurePath) -> bool:
        """Return whether a file that matches a pattern is taken; count it where it is not.

        The pattern names it, of whatever kind it is, hidden or not; only the folders of systems and
        unfinished outputs must be named in full. (A star does not stand for names that begin with a dot.)
        """
        hidden = {part for part in match.parts if is_hidden(part) and not part.startswith(".")}
        if not hidden <= set(pattern.parts):
            self.hidden += 1
            return False
        if match.stem.endswith(PARTIAL):
            self.unfinished += 1
            return False
        return True

    def leave(self, entry: Path) -> None:
        """Count an entry of a folder that is neither a file nor a folder: a link to nothing, or a pipe."""
        if is_hidden(entry.name):
            self.hidden += 1
        else:
            self.others["broken link" if entry.is_symlink() else "pipe or device"] += 1

    def looks_into(self, folder: str) -> bool:
        """Return whether a folder of this name is looked into; count it where it is not."""
        self.folders += is_hidden(folder)
        return not is_hidden(folder)

    def say(self, where: object) -> None:
        """Log one line on what was passed over in a place, if anything was."""
        if counts := str(self):
            _log.warning("%s: passed over %s; what is named is taken", where, counts)

    def __str__(self) -> str:
        """Return what was passed over; "" when nothing was."""
        parts = [
            counted(number, noun)
            for number, noun in (
                (self.hidden, "hidden file"),
                (self.folders, "hidden folder"),
                (self.unfinished, "unfinished output"),
            )
            if number
        ]
        if self.others:
            parts.append(f"{counted(self.others.total(), 'file')} of other kinds ({_suffixes(self.others)})")
        return _listed(parts)


def _suffixes(others: Counter[str]) -> str:
    named = [suffix if number == 1 else f"{suffix} x {number}" for suffix, number in others.most_common()]
    more = len(named) - _MOST_NAMED
    return ", ".join([*named[:_MOST_NAMED], *([f"and {more} more"] if more > 0 else [])])


def _listed(parts: Iterable[str]) -> str:
    *before, last = list(parts) or [""]
    return f"{', '.join(before)} and {last}" if before else last
