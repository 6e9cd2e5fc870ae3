"""What is known of an input before its first frame."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

__all__ = ["IMAGE_SUFFIXES", "VIDEO_SUFFIXES", "MediaInfo", "is_address", "is_image", "size_bytes"]

IMAGE_SUFFIXES: Final = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
VIDEO_SUFFIXES: Final = frozenset(
    {
        *(".3gp", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"),
        *(".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"),
    }
)
"""Suffixes looked for in folders; a file named by the user is tried whatever its suffix."""


_ADDRESS: Final = re.compile(r"(https?|ftps?)://", re.IGNORECASE)


def is_address(text: str) -> bool:
    """Whether this names a file on a server."""
    return _ADDRESS.match(text) is not None


def is_image(source: Path | str) -> bool:
    """Whether the name is one of a still image; addresses are taken for videos."""
    return isinstance(source, Path) and source.suffix.lower() in IMAGE_SUFFIXES


def size_bytes(source: Path | str) -> int | None:
    """Of a file; None where there is none, or it is on a server."""
    try:
        return source.stat().st_size if isinstance(source, Path) else None
    except OSError:
        return None


@dataclass(frozen=True)
class MediaInfo:
    """An opened source.

    Attributes:
        source: the file, or the live source as the user named it.
        width, height: of the upright frames, in pixels.
        rate: average frames a second, None for stills and unknown.
        time_base: seconds per timestamp unit.
        frames: number of frames by the file's own index, None when it has none.
        pixel_aspect: width of a pixel over its height.
        color: (range, matrix, primaries, transfer) as FFmpeg's numbers, to label an output alike.
    """

    source: str
    width: int
    height: int
    rate: Fraction | None = None
    time_base: Fraction = Fraction(1, 1000)
    frames: int | None = None
    pixel_aspect: Fraction | None = None
    color: tuple[int, int, int, int] = (0, 2, 2, 2)
