"""The kinds of live sources, and opening one by what a user names."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hprnet_rt.errors import UsageError
from hprnet_rt.files import reason
from hprnet_rt.video.capture.camera import CAMERA
from hprnet_rt.video.capture.network import NETWORK
from hprnet_rt.video.capture.playback import Playback
from hprnet_rt.video.capture.screen import SCREEN
from hprnet_rt.video.capture.source import LiveKind, LiveOptions, LiveSource
from hprnet_rt.video.media import is_image

__all__ = ["LIVE_KINDS", "kind_of", "live_help", "open_live"]

LIVE_KINDS: Final[tuple[LiveKind, ...]] = (
    CAMERA,
    NETWORK,
    SCREEN,
)
"""Asked in this order whether a text names a source of theirs; any other text names a file."""


def live_help() -> str:
    """Return what may be named, for help texts and messages."""
    *others, last = (kind.summary for kind in LIVE_KINDS)
    return f"{', '.join(['a video file', *others])} or {last}"


def kind_of(text: str) -> LiveKind | None:
    """Return the kind of live source that a text names, None for a file."""
    return next((kind for kind in LIVE_KINDS if kind.matches(text)), None)


def open_live(source: str, options: LiveOptions) -> LiveSource:
    """Open a live source.

    Args:
        source: what one of `LIVE_KINDS` matches, such as "0" for a camera; otherwise a video file.
        options: how.

    Raises:
        UsageError: there is no such file or monitor, it is a folder or an image, or what is no file is to be
            played again and again.
        BackendError: a package that it needs is not installed.
        MediaError: it cannot be opened.
    """
    kind = kind_of(source)
    if kind is None:
        return Playback(_video_file(source), options)
    if options.loop:
        raise UsageError(f"only a file can be played again and again, and {source} is none: leave --loop out")
    return kind.open(source, options)


def _video_file(source: str) -> Path:
    """Return the path of a video file.

    Raises:
        UsageError: there is no such file, or it is a folder or an image.
    """
    path = Path(source)
    try:
        if not source or not path.exists():
            raise UsageError(f"{source or 'an empty name'} does not exist: name {live_help()}")
        if path.is_dir():
            raise UsageError(f"{path} is a folder: name {live_help()}")
    except OSError as error:  # a name too long, a folder that may not be read
        raise UsageError(f"cannot read {source}: {reason(error)}") from error
    if is_image(path):
        raise UsageError(f"{path} is a still image, which does not move: use hprnet-rt annotate")
    return path
