"""The largest picture that is read: a small file may unpack to more than the memory holds.

OpenCV takes its limit from the environment when it is loaded: this is imported before it. For frames of
videos FFmpeg has a limit of its own, about the same.
"""

from __future__ import annotations

import os

__all__ = ["LIMIT_VARIABLE", "MOST_PIXELS"]

LIMIT_VARIABLE = "OPENCV_IO_MAX_IMAGE_PIXELS"
MOST_PIXELS = 1 << 28
"""Unless the user has set the variable: 0.8 GB."""

os.environ.setdefault(LIMIT_VARIABLE, str(MOST_PIXELS))
