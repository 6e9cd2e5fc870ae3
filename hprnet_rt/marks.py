"""What tells of an output which run has made it, so that nothing is done twice."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

from hprnet_rt.errors import DataError, UsageError
from hprnet_rt.formats import format_of, read_keypoints
from hprnet_rt.version import __version__
from hprnet_rt.video.keypoints import header_line
from hprnet_rt.video.writer import comment_of

__all__ = ["comment", "mark", "mark_of"]

_MAKER: Final = "hprnet-rt "
_DIGITS: Final = 16


def mark(header: dict[str, Any]) -> str:
    """A short name of a run's input and settings, which are in the header of its keypoints."""
    return hashlib.sha256(header_line(header).encode()).hexdigest()[:_DIGITS]


def comment(header: dict[str, Any]) -> str:
    """The mark as it is stored in a video."""
    return f"{_MAKER}{__version__} {mark(header)}"


def mark_of(path: Path) -> str | None:
    """The mark of an output; None where it has none: an image, a format without a header, another's file."""
    try:
        form = format_of(path)
    except UsageError:
        text = comment_of(path)
        return text.split()[-1] if text.startswith(_MAKER) else None
    if not form.header:
        return None
    try:
        recording = read_keypoints(path)
    except (DataError, UsageError):
        return None
    return mark(recording.header) if recording.header else None
