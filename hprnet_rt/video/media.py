"""What is known of an input before its first frame."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

__all__ = ["IMAGE_SUFFIXES", "VIDEO_SUFFIXES", "MediaInfo", "is_image"]

IMAGE_SUFFIXES: Final = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
VIDEO_SUFFIXES: Final = frozenset(
    {
        *(".3gp", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"),
        *(".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"),
    }
)
"""Suffixes looked for in folders; a file named by the user is tried whatever its suffix."""


def is_image(path: Path) -> bool:
    """Whether the name is one of a still image."""
    return path.suffix.lower() in IMAGE_SUFFIXES


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
