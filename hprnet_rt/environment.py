"""What the libraries underneath may do on this machine: where they keep files, whom they may tell, how large
an image may be.

This is loaded with `hprnet_rt`, before any of them, and `settle` is called then, since they look at their
surroundings only once. It imports no library itself.
"""

from __future__ import annotations

import functools
import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path
from typing import Final

__all__ = [
    "CACHE_VARIABLE",
    "LIMIT_VARIABLE",
    "MOST_PIXELS",
    "cache_folder",
    "cache_is_temporary",
    "library_cache",
    "sends_nothing",
    "settle",
]

CACHE_VARIABLE: Final = "HPRNET_RT_CACHE"
"""The user's choice of the cache folder."""
LIMIT_VARIABLE: Final = "OPENCV_IO_MAX_IMAGE_PIXELS"
"""OpenCV's own name for the largest picture that it reads: a small file may unpack to more than the memory
holds. For frames of videos FFmpeg has a limit of its own, about the same."""
MOST_PIXELS: Final = 1 << 28
"""Unless the user has set the variable: 0.8 GB."""
_TELEMETRY: Final = "openvino_telemetry"
"""The package by which OpenVINO and NNCF tell a server that they are used."""

_ONNX_RUNTIME: Final = "ORT_DISABLE_TELEMETRY"
_PRIVATE: Final = 0o700
_LEAST_BYTES: Final = 64 << 20  # free, for a cache to be worth beginning


def settle() -> None:
    """Tell the libraries, which are not loaded yet, what they may do; what the user has set stays.

    OpenVINO and NNCF do without `_TELEMETRY` where it cannot be imported. ONNX Runtime looks at a variable:
    its wheels (1.32 for Linux) write an id of the machine to the home, for a server. Where no home can be
    written, fontconfig, Matplotlib and their kind are led to a folder of ours, instead of complaining or
    writing elsewhere.
    """
    os.environ.setdefault(LIMIT_VARIABLE, str(MOST_PIXELS))
    os.environ.setdefault(_ONNX_RUNTIME, "1")
    if _TELEMETRY not in sys.modules:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment] # Python's way to say that there is none
    if os.name == "posix" and not _can_be_made(_usual_caches()):
        folder = _private_temporary()
        if folder is not None:
            os.environ["XDG_CACHE_HOME"] = str(folder)
            os.environ.setdefault("MPLCONFIGDIR", str(folder / "matplotlib"))


def sends_nothing() -> bool:
    """Return whether the libraries' reports of their use are off.

    They are unless the user, or a library that was loaded before us, has
    switched them on.
    """
    return sys.modules.get(_TELEMETRY) is None and os.environ.get(_ONNX_RUNTIME) == "1"


def cache_folder() -> Path:
    """Our cache folder: $HPRNET_RT_CACHE, else the platform's, else, where that cannot be written, a
    temporary one of this user alone. It need not exist.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(os.path.expanduser(chosen)).absolute()  # noqa: PTH111 - without a home, "~" stays as it is
    usual = _usual_folder()
    if _can_be_made(usual):
        return usual
    temporary = _private_temporary()
    return usual if temporary is None else temporary / "hprnet-rt"


def cache_is_temporary() -> bool:
    """Return whether the cache folder is a temporary one, since no home can be written."""
    return not os.environ.get(CACHE_VARIABLE) and cache_folder().parent.name == _private_name()


@functools.cache
def library_cache(name: str) -> Path | None:
    """Return a folder that exists and has room, for what a library keeps from one run to the next.

    Args:
        name: of the folder, below our cache folder, or else below a temporary one of this user alone.

    Returns:
        None where neither can be written: then the library keeps nothing.
    """
    for parent in (cache_folder(), _private_temporary()):
        if parent is None:
            continue
        folder = parent / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK | os.X_OK) and shutil.disk_usage(folder).free >= _LEAST_BYTES:
                return folder
        except OSError:
            continue
    return None


def _usual_folder() -> Path:
    """Return the platform's cache folder for us, which cannot be made where this user has no home."""
    import platformdirs

    try:
        usual = platformdirs.user_cache_path("hprnet-rt", appauthor=False)
    except RuntimeError:  # or, in older platformdirs, a path that begins with "~"
        usual = Path()
    return usual if usual.is_absolute() else Path(os.devnull, "no home", "hprnet-rt")


def _usual_caches() -> Path:
    """Return the folder of caches of Linux's programs; relative where this user has no home."""
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))  # noqa: PTH111


def _can_be_made(folder: Path) -> bool:
    """Return whether a folder can be written, or created and then written."""
    if not folder.is_absolute():
        return False
    try:
        there = next(each for each in (folder, *folder.parents) if each.exists())
    except OSError:  # an upper folder is another user's
        return False
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _meant_for_temporary_files() -> tuple[str | None, ...]:
    return (*map(os.environ.get, ("TMPDIR", "TEMP", "TMP")), "/tmp", "/var/tmp", "/usr/tmp")  # noqa: S108


@functools.cache
def _private_temporary() -> Path | None:
    """Create a temporary folder that nobody else can write or read, since caches hold code.

    It is the same one for every process of this user. None where it cannot be made, or is another user's.
    """
    try:
        folder = Path(tempfile.gettempdir()) / _private_name()
        if folder.parent == Path.cwd() and str(folder.parent) not in _meant_for_temporary_files():
            return None  # Python has fallen back to where we happen to be
        folder.mkdir(mode=_PRIVATE, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    if not stat.S_ISDIR(found.st_mode):
        return None
    ours = os.name != "posix" or (found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) == _PRIVATE)
    return folder if ours else None


def _private_name() -> str:
    return f"hprnet-rt-{os.getuid()}" if os.name == "posix" else "hprnet-rt"
