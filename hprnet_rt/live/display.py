"""Open the display. It is checked before Qt starts, because Qt ends the process when it cannot start."""

from __future__ import annotations

import importlib
import logging
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2

from hprnet_rt.errors import BackendError, UsageError

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication

__all__ = ["loses_references", "open_display"]

_log = logging.getLogger(__name__)

_INSTEAD: Final = "add --no-window, or --serve PORT to watch from a browser"
_PACKAGES: Final = (
    "libegl1 libgl1 libxkbcommon0 libxkbcommon-x11-0 libdbus-1-3 libfontconfig1 libglib2.0-0 libxcb-cursor0 "
    "libxcb-icccm4 libxcb-keysyms1 libxcb-shape0"
)
_LIBRARY: Final = re.compile(r"(lib[^\s:()'\"/]+\.so[.\d]*): cannot open shared object file")
_UNREACHABLE: Final = re.compile(r"could not connect to display|[Ff]ailed to create wl_display")
_TRY: Final = (
    "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
    "from PySide6.QtGui import QGuiApplication\n"
    "QGuiApplication([])"
)
_TRY_S: Final = 30.0
_CALLS: Final = 100  # enough to tell a reference lost per call from chance


def open_display() -> QApplication:
    """Return the application that windows belong to; further calls return the same one.

    Call it early to learn that there is no display before a model is loaded.

    Raises:
        UsageError: there is no display, or it does not answer.
        BackendError: PySide6, pyqtgraph, or a system library that they need, is missing, or this PySide6 is
            not for this Python.
    """
    _forget_plugins_of_opencv()
    needs_display = _needs_display()
    if needs_display and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise UsageError(f"there is no display; {_INSTEAD}")
    try:
        from PySide6.QtWidgets import QApplication

        importlib.import_module("pyqtgraph")  # after PySide6: it takes the Qt that is there
    except ImportError as error:
        raise _missing(str(error)) from error
    running = QApplication.instance()
    if isinstance(running, QApplication):
        return running
    if loses_references():
        raise BackendError(
            "this PySide6 was made for Python 3.12 and later, and would end this one after some minutes: "
            "pip install 'PySide6-Essentials<6.12'"
        )
    if needs_display:
        _try_in_a_child()
    return QApplication(["hprnet-rt"])


def loses_references() -> bool:
    """Return whether this PySide6 drops a reference to None in each call, which crashes Python 3.11 in time.

    PySide6 6.12.0 claims to support Python 3.10, but takes None, True and False for immortal, which they are
    only since 3.12.
    """
    from PySide6.QtCore import QObject

    if sys.version_info >= (3, 12):
        return False
    called = QObject()
    before = sys.getrefcount(None)
    for _ in range(_CALLS):
        called.setObjectName("")
    return before - sys.getrefcount(None) > _CALLS // 2


def _needs_display() -> bool:
    """Return whether Qt will use X or Wayland: on Linux, unless QT_QPA_PLATFORM names another platform."""
    if platform.system() != "Linux":
        return False
    platforms = os.environ.get("QT_QPA_PLATFORM", "")
    return not platforms or any(name.startswith(("xcb", "wayland")) for name in platforms.split(";"))


def _forget_plugins_of_opencv() -> None:
    """Unset the variables by which opencv-python (not the headless one) makes Qt load OpenCV's plugins."""
    folder = Path(cv2.__file__).resolve().parent
    for name in ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR"):
        value = os.environ.get(name)
        if value and Path(value).resolve().is_relative_to(folder):
            del os.environ[name]
            _log.debug("%s pointed to OpenCV's own Qt: removed", name)


def _try_in_a_child() -> None:
    """Start Qt in a child process, which may crash: a display that answers may still refuse us.

    Raises:
        UsageError: the display does not answer or refuses.
        BackendError: a system library is missing.
    """
    command = [sys.executable, "-c", _TRY]
    environment = {**os.environ, "QT_DEBUG_PLUGINS": "1"}
    try:
        child = subprocess.run(  # noqa: S603 our own interpreter and text
            command, env=environment, capture_output=True, text=True, errors="replace", timeout=_TRY_S
        )
    except (subprocess.TimeoutExpired, OSError) as error:
        raise UsageError(f"the display does not answer ({error}); {_INSTEAD}") from error
    if child.returncode == 0:
        return
    _log.debug("Qt cannot start: %s", child.stderr)
    if not _UNREACHABLE.search(child.stderr) and _LIBRARY.search(child.stderr):
        raise _missing(child.stderr)
    address = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    raise UsageError(f"the display {address} cannot be reached; {_INSTEAD}")


def _missing(message: str) -> BackendError:
    """Return the error that says what to install, from the message of an ImportError or of the loader."""
    library = _LIBRARY.search(message)
    if library:
        return BackendError(
            f"the window needs the system library {library[1]}; on Debian and Ubuntu: apt install {_PACKAGES}"
        )
    return BackendError(f"the window needs PySide6 and pyqtgraph ({message}): pip install 'hprnet-rt[live]'")
