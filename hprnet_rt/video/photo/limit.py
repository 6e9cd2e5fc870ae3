"""The largest picture that is read: a small file may unpack to more than the memory holds."""

from __future__ import annotations

import os

from hprnet_rt.environment import LIMIT_VARIABLE, MOST_PIXELS
from hprnet_rt.errors import MediaError

__all__ = ["require_pixels", "too_many_pixels"]


def too_many_pixels(name: str) -> MediaError:
    """Return the error that refuses a picture, by the name of its file."""
    return MediaError(
        f"{name} has more pixels than are read (usually {MOST_PIXELS // 1_000_000} million): scale it down, "
        f"or set {LIMIT_VARIABLE} to more"
    )


def require_pixels(name: str, width: int, height: int) -> None:
    """Check the size of a picture before it is decoded.

    Raises:
        MediaError: it is too large.
    """
    if width * height > int(os.environ[LIMIT_VARIABLE]):  # which is set as this package is loaded
        raise too_many_pixels(name)
