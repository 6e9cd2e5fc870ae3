"""From what a user names to the live source that it means."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from hprnet_rt.errors import UsageError
from hprnet_rt.files import reason
from hprnet_rt.video.capture.source import LiveOptions, LiveSource
from hprnet_rt.video.media import is_image

__all__ = ["names_camera", "open_live"]

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # one letter alone is a drive of Windows
_DEVICES: Final = ("/dev/video", "/dev/v4l/")


def names_camera(source: str) -> bool:
    """Whether `open_live` takes this for a camera."""
    return source.isdecimal() or source.startswith(_DEVICES)


def open_live(source: str, options: LiveOptions) -> LiveSource:
    """Open a live source.

    Args:
        source: "0" or /dev/video0, a camera; an address with ://, a network stream; "screen" or "screen:2",
            a monitor; otherwise a video file.
        options: how.

    Raises:
        UsageError: there is no such file or monitor, or it is a folder or an image.
        BackendError: a package that it needs is not installed.
        MediaError: it cannot be opened.
    """
    if names_camera(source):
        from hprnet_rt.video.capture.camera import CameraSource

        return CameraSource(source, options)
    if _URL.match(source):
        from hprnet_rt.video.capture.network import StreamSource

        return StreamSource(source, options)
    if source == "screen" or source.startswith("screen:"):
        from hprnet_rt.video.capture.screen import ScreenSource

        return ScreenSource(source, options)
    from hprnet_rt.video.capture.playback import Playback

    return Playback(_file(source), options)


def _file(source: str) -> Path:
    """The video file that is meant.

    Raises:
        UsageError: it is none.
    """
    path = Path(source)
    hint = "name a video file, a camera such as 0, an address such as rtsp://..., or screen"
    try:
        if not source or not path.exists():
            raise UsageError(f"{source or 'an empty name'} does not exist: {hint}")
        if path.is_dir():
            raise UsageError(f"{path} is a folder: {hint}")
    except OSError as error:  # a name too long, a folder that may not be read
        raise UsageError(f"cannot read {source}: {reason(error)}") from error
    if is_image(path):
        raise UsageError(f"{path} is a still image, which does not move: use hprnet-rt annotate")
    return path
