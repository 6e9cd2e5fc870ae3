"""Names of inputs and their kinds, and the description of an opened one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Final

from hprnet_rt.errors import MediaError, UsageError
from hprnet_rt.video.color import Color
from hprnet_rt.video.photo import HEIF_SUFFIXES, JPEG_SUFFIXES, suffix_of_content
from hprnet_rt.video.remote import is_remote, remote_bytes, remote_name
from hprnet_rt.video.tags import Chapter
from hprnet_rt.video.timeline import TimeLine

__all__ = [
    "IMAGE_SUFFIXES",
    "LEAST_RATE",
    "OUTPUT_VIDEO_SUFFIXES",
    "VIDEO_SUFFIXES",
    "MediaInfo",
    "image_suffix",
    "is_address",
    "is_image",
    "is_sequence",
    "refuse_a_stream",
    "refuse_an_unread_image",
    "sequence_files",
    "sequence_name",
    "size_bytes",
]

IMAGE_SUFFIXES: Final = frozenset(
    {".bmp", ".dib", ".jp2", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp", *HEIF_SUFFIXES, *JPEG_SUFFIXES}
)
VIDEO_SUFFIXES: Final = frozenset(
    {
        ".3g2",
        ".3gp",
        ".asf",
        ".avi",
        ".dv",
        ".f4v",
        ".flv",
        ".gif",
        ".m2t",
        ".m2ts",
        ".m4v",
        ".mjpeg",
        ".mjpg",
        ".mkv",
        ".mov",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".mts",
        ".mxf",
        ".ogv",
        ".ts",
        ".vob",
        ".webm",
        ".wmv",
    }
)
"""Suffixes of the videos in a folder; a file that the user names is opened whatever its suffix."""

_PHOTOS_IN_A_ROW: Final = frozenset({".mjpeg", ".mjpg"})
"""Suffixes of videos that begin as photos do."""

_UNREAD_IMAGE_SUFFIXES: Final = frozenset(
    [
        ".3fr",
        ".arw",
        ".cr2",
        ".cr3",
        ".dng",
        ".erf",
        ".nef",
        ".nrw",
        ".orf",
        ".pef",
        ".raf",
        ".raw",
        ".rw2",
        ".sr2",
        ".srw",
        ".x3f",
        ".dds",
        ".exr",
        ".hdr",
        ".ico",
        ".jxl",
        ".psd",
        ".qoi",
        ".svg",
        ".tga",
    ]
)
"""Suffixes of cameras' raw photos, and of other images that are not read."""

OUTPUT_VIDEO_SUFFIXES: Final = frozenset({".m4v", ".mkv", ".mov", ".mp4"})
"""Suffixes of videos that are written."""

LEAST_RATE: Final = Fraction(1, 1000)
"""The lowest rate, in frames a second, that every container and encoder takes."""

_BEGIN_BYTES: Final = 64
_ADDRESS: Final = re.compile(r"(https?|ftps?)://", re.IGNORECASE)
_STREAMS: Final = frozenset(
    {"mms", "mmsh", "rist", "rtmp", "rtmps", "rtmpt", "rtp", "rtsp", "rtsps", "srt", "srtp", "tcp", "udp"}
)
"""Addresses of live streams, by their beginnings; what fsspec opens has others."""
_NUMBER: Final = re.compile(r"%(?:0(\d+))?d")
"""The place of the number in the name of a sequence: %d, or %04d for four digits and more."""


def is_address(text: str) -> bool:
    """Return whether a text names a file on a server."""
    return _ADDRESS.match(text) is not None


def refuse_a_stream(text: str) -> None:
    """Check that an address is one of a file, which ends, and not of a live stream.

    Raises:
        UsageError: it is one of a stream.
    """
    if text.partition("://")[0].lower() in _STREAMS and "://" in text:
        raise UsageError(f"{text} is a live stream, which need not end: use hprnet-rt live {text} -o FILE")


def is_image(source: Path | str) -> bool:
    """Return whether a name is one of a still image; addresses on servers are taken for videos.

    A file whose name is not an image's is told by its first bytes, whatever it is called.
    """
    if isinstance(source, str):
        return is_remote(source) and Path(remote_name(source)).suffix.lower() in IMAGE_SUFFIXES
    suffix = source.suffix.lower()
    if suffix in IMAGE_SUFFIXES | _UNREAD_IMAGE_SUFFIXES:
        return not is_sequence(source)
    return suffix not in _PHOTOS_IN_A_ROW and _content_suffix(source) is not None


def refuse_an_unread_image(source: Path | str) -> None:
    """Check that an image is of a kind that is read.

    Raises:
        MediaError: it is a camera's raw photo, or of another kind that is not read.
    """
    name = remote_name(source) if isinstance(source, str) else source.name
    if Path(name).suffix.lower() in _UNREAD_IMAGE_SUFFIXES:
        raise MediaError(
            f"{source} is an image of a kind that is not read: save it as JPEG, PNG or TIFF first"
        )


def image_suffix(source: Path | str) -> str:
    """Return the suffix of an image's kind: that of its name, or of its content where its name has none."""
    name = remote_name(source) if isinstance(source, str) else source.name
    suffix = Path(name).suffix.lower()
    if suffix in IMAGE_SUFFIXES or isinstance(source, str):
        return suffix
    return _content_suffix(source) or suffix


def _content_suffix(path: Path) -> str | None:
    """Return the suffix of a photo by its first bytes, None for other files and what is no file."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return suffix_of_content(file.read(_BEGIN_BYTES))
    except OSError:
        return None


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
        chapters: its named parts.
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
    chapters: tuple[Chapter, ...] = ()
