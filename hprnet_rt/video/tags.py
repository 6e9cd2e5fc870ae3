"""What is written on a video beside its pictures: when and where it was made, its title, its chapters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import av

__all__ = [
    "COMMENT",
    "TIMECODE",
    "Chapter",
    "fits_timecode",
    "kept_chapters",
    "kept_tags",
    "needs_names",
    "write_chapters",
]

COMMENT: Final = "comment"
TIMECODE: Final = "timecode"
_CREATED: Final = "creation_time"

_OF_THE_FILE: Final = frozenset(
    {
        "compatible_brands",
        "duration",
        "encoder",
        "handler_name",
        "language",
        "major_brand",
        "minor_version",
        "rotate",
        "vendor_id",
    }
)
"""Names of tags that describe the file, which is another one then; pictures are upright already."""
_WITH_A_PLACE: Final = frozenset(
    {
        "album",
        "album_artist",
        "artist",
        "comment",
        "composer",
        "copyright",
        "creation_time",
        "date",
        "description",
        "genre",
        "grouping",
        "keywords",
        "location",
        "lyrics",
        "synopsis",
        "title",
        "track",
    }
)
"""Names of tags for which .mp4 has a place of its own."""
_CHAPTER_UNITS: Final = 1000  # a second
_WITH_LANGUAGE: Final = re.compile(r"(.+)-[a-z]{3}")
_TIMECODE: Final = re.compile(r"\d\d:\d\d:\d\d([:;.])(\d\d)")
_DROPPING: Final = ";."
"""Before the frames of a time code that leaves out numbers, to keep up with 30000/1001 frames a second."""


@dataclass(frozen=True)
class Chapter:
    """A named part of a video.

    Attributes:
        begin_s, end_s: in seconds of the file's clock.
        tags: its title, by FFmpeg's names.
    """

    begin_s: Fraction
    end_s: Fraction
    tags: Mapping[str, str]


def kept_chapters(container: av.container.InputContainer) -> tuple[Chapter, ...]:
    """Return the chapters of a file."""
    return tuple(
        Chapter(each["start"] * base, each["end"] * base, each["metadata"])
        for each in container.chapters()
        if (base := each["time_base"])
    )


def write_chapters(
    container: av.container.OutputContainer, chapters: Sequence[Chapter], origin_s: Fraction
) -> None:
    """Give a file chapters; call it before anything is written to it.

    Args:
        container: the file.
        chapters: of its source; those that end before the file begins are left out.
        origin_s: the time of the source that is 0 in the file.
    """
    kept: list[Any] = [
        {
            "id": number,
            "start": max(0, round((each.begin_s - origin_s) * _CHAPTER_UNITS)),
            "end": round((each.end_s - origin_s) * _CHAPTER_UNITS),
            "time_base": Fraction(1, _CHAPTER_UNITS),
            "metadata": dict(each.tags),
        }
        for number, each in enumerate(chapters, start=1)
        if each.end_s > origin_s
    ]
    if kept:
        container.set_chapters(kept)


def kept_tags(container: av.container.InputContainer, stream: av.VideoStream) -> dict[str, str]:
    """Return the tags of a file that stay true of a video that is made of it, by FFmpeg's names.

    Args:
        container: the file.
        stream: its pictures.
    """
    own = dict(container.metadata)
    for name in (_CREATED, TIMECODE):
        if name not in own and name in stream.metadata:
            own[name] = stream.metadata[name]
    kept = {}
    for name, value in own.items():
        usual = name.lower() if name.isupper() else name  # Matroska has them in capitals
        general = _WITH_LANGUAGE.fullmatch(usual)
        if usual.lower() in _OF_THE_FILE or (general is not None and own.get(general[1]) == value):
            continue
        kept[usual] = value
    return kept


def needs_names(tags: Mapping[str, str]) -> bool:
    """Return whether .mp4 must hold the tags by their names, as it has no place of its own for one of them.

    It is where phones write theirs (com.apple.quicktime.model); not all players look for titles there.
    """
    return not _WITH_A_PLACE.issuperset(tags)


def fits_timecode(tags: Mapping[str, str], rate: Fraction | None) -> bool:
    """Return whether there is a time code that pictures at this rate can have."""
    match = _TIMECODE.fullmatch(tags.get(TIMECODE, ""))
    if match is None or rate is None or int(match[2]) >= round(rate):
        return False
    return match[1] not in _DROPPING or round(rate) % 30 == 0
