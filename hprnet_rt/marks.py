"""What tells of an output which run has made it, so that nothing is done twice."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

from hprnet_rt.errors import DataError, UsageError
from hprnet_rt.formats import format_of, read_keypoints
from hprnet_rt.version import __version__
from hprnet_rt.video import is_image
from hprnet_rt.video.keypoints import header_line
from hprnet_rt.video.writer import comment_of

__all__ = ["comment", "is_of", "mark", "mark_of"]

_MAKER: Final = "hprnet-rt "
_DIGITS: Final = 16


def mark(header: dict[str, Any]) -> str:
    """A short name of a run's input and settings, which are in the header of its keypoints."""
    return hashlib.sha256(header_line(header).encode()).hexdigest()[:_DIGITS]


def comment(header: dict[str, Any], **compression: Any) -> str:
    """The mark as it is stored in a video, whose compression belongs to the settings."""
    return f"{_MAKER}{__version__} {mark({**header, **compression})}"


def is_of(path: Path, header: dict[str, Any], **compression: Any) -> bool | None:
    """Whether an output bears the mark of a run; None where its kind bears none.

    Args:
        path: keypoints or a video.
        header: of the run.
        compression: of a video, as it was given to `comment`.

    Older outputs have marks without `source_check` and the compression, which are taken too.
    """
    found = mark_of(path)
    if found is None:
        return None
    less = {name: value for name, value in header.items() if name != "source_check"}
    return found in (mark({**header, **compression}), mark(less))


def mark_of(path: Path) -> str | None:
    """The mark of an output.

    Returns:
        empty of another's file; None where its kind bears no mark: an image, a format without a header.
    """
    if is_image(path):
        return None
    try:
        form = format_of(path)
    except UsageError:
        text = comment_of(path)
        return text.split()[-1] if text.startswith(_MAKER) else ""
    if not form.header:
        return None
    try:
        recording = read_keypoints(path)
    except (DataError, UsageError):
        return ""
    return mark(recording.header) if recording.header else ""
