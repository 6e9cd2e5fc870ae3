"""Names of inputs and their kinds, and the description of an opened one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Final

from hprnet_rt.video.color import Color
from hprnet_rt.video.remote import is_remote, remote_bytes, remote_name
from hprnet_rt.video.timeline import TimeLine

__all__ = [
    "IMAGE_SUFFIXES",
    "LEAST_RATE",
    "OUTPUT_VIDEO_SUFFIXES",
    "VIDEO_SUFFIXES",
    "MediaInfo",
    "is_address",
    "is_image",
    "is_sequence",
    "sequence_files",
    "sequence_name",
    "size_bytes",
]

IMAGE_SUFFIXES: Final = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
VIDEO_SUFFIXES: Final = frozenset(
    {
        ".3gp",
        ".avi",
        ".flv",
        ".gif",
        ".m2ts",
        ".m4v",
        ".mkv",
        ".mov",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".mts",
        ".ogv",
        ".ts",
        ".webm",
        ".wmv",
    }
)
"""Suffixes of the videos in a folder; a file that the user names is opened whatever its suffix."""

OUTPUT_VIDEO_SUFFIXES: Final = frozenset({".m4v", ".mkv", ".mov", ".mp4"})
"""Suffixes of videos that are written."""

LEAST_RATE: Final = Fraction(1, 1000)
"""The lowest rate, in frames a second, that every container and encoder takes."""

_ADDRESS: Final = re.compile(r"(https?|ftps?)://", re.IGNORECASE)
_NUMBER: Final = re.compile(r"%(?:0(\d+))?d")
"""The place of the number in the name of a sequence: %d, or %04d for four digits and more."""


def is_address(text: str) -> bool:
    """Return whether a text names a file on a server."""
    return _ADDRESS.match(text) is not None


def is_image(source: Path | str) -> bool:
    """Return whether a name is one of a still image; addresses on servers are taken for videos."""
    if isinstance(source, str):
        return is_remote(source) and Path(remote_name(source)).suffix.lower() in IMAGE_SUFFIXES
    return source.suffix.lower() in IMAGE_SUFFIXES and not is_sequence(source)


def is_sequence(source: Path | str) -> bool:
    """Return whether a name means numbered images, as `frames/img_%04d.png` does; not if that is a file."""
    return (
        isinstance(source, Path)
        and len(_NUMBER.findall(source.name)) == 1
        and source.suffix.lower() in IMAGE_SUFFIXES
        and not source.exists()
    )


def sequence_files(pattern: Path) -> list[tuple[int, Path]]:
    """Return the numbers and files of a sequence, in ascending order."""
    before, digits, after = _NUMBER.split(pattern.name)
    least = int(digits or 1)
    number = rf"(\d{{{least}}}|[1-9]\d{{{least},}})"
    name = re.compile(re.escape(before) + number + re.escape(after))
    files = pattern.parent.iterdir() if pattern.parent.is_dir() else ()
    matches = ((name.fullmatch(file.name), file) for file in files)
    return sorted((int(match[1]), file) for match, file in matches if match is not None)


def sequence_name(pattern: Path) -> str:
    """Return a name for a sequence: its pattern without the number, or the name of its folder."""
    return _NUMBER.sub("", pattern.stem).strip(" ._-") or pattern.absolute().parent.name or "sequence"


def size_bytes(source: Path | str) -> int | None:
    """Return the size of a file or of all files of a sequence, None where it is unknown or on a server."""
    if isinstance(source, str):
        return remote_bytes(source) if is_remote(source) else None
    try:
        if is_sequence(source):
            return sum(file.stat().st_size for _, file in sequence_files(source)) or None
        return source.stat().st_size
    except OSError:
        return None


@dataclass(frozen=True)
class MediaInfo:
    """An opened source.

    Attributes:
        source: the file, or the live source as the user named it.
        width, height: size of the upright frames in pixels.
        rate: average frames a second, None for images and where it is unknown.
        time_base: seconds per timestamp unit.
        frames: number of frames in the file's own index, None without one.
        pixel_aspect: width of a pixel over its height, None for square pixels.
        color: what the pictures' numbers mean in the source.
        timeline: when the source begins and ends.
        tags: what is written on it, such as its title, place and time of creation, by FFmpeg's names.
    """

    source: str
    width: int
    height: int
    rate: Fraction | None = None
    time_base: Fraction = Fraction(1, 1000)
    frames: int | None = None
    pixel_aspect: Fraction | None = None
    color: Color = field(default_factory=Color)
    timeline: TimeLine = field(default_factory=TimeLine)
    tags: Mapping[str, str] = field(default_factory=dict)
