"""Memory settings of the C library, for training on a CPU."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # of glibc's <malloc.h>
_NEVER = 2**31 - 1
_PAD_BYTES = 256 * 2**20


def keep_freed_memory() -> bool:
    """Let glibc keep freed memory for the next tensor instead of returning it to the system each time.

    It holds for this process until its end. The system clears fresh pages one by one: without them a forward
    pass of hprnet-mobile over 16 images took 12.6 ms an image instead of 28.6 on two cores.

    Returns:
        whether the C library is glibc and accepted the settings.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER), (_TOP_PAD, _PAD_BYTES))
    return all(mallopt(name, value) == 1 for name, value in settings)
