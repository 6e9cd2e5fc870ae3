"""Opening a media file, and what is seen of it at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
from av.stream import Disposition

from hprnet_rt.errors import MediaError
from hprnet_rt.video.media import size_bytes
from hprnet_rt.video.output import reason
from hprnet_rt.video.remote import is_remote, open_remote

__all__ = ["file_url", "is_cut_off", "open_any", "open_input", "video_stream"]

_TIMEOUT_S = 30.0
_PATIENT = {"reconnect": "1", "reconnect_on_network_error": "1", "reconnect_delay_max": "10"}
"""For servers: a connection that breaks in the middle of a file is made again."""
_LAST_ENTRIES = 32  # of an index; its end lies at the end of the file


def file_url(path: Path) -> str:
    """The path as FFmpeg takes it, even when a colon makes it look like `protocol:address`."""
    return f"file:{path}"


def open_any(file: Any, **options: Any) -> av.container.InputContainer:
    """`av.open`, where titles that are not UTF-8 are read with replacements, as newer versions always do."""
    if int(av.__version__.partition(".")[0]) < 19:
        options["metadata_errors"] = "replace"
    container: av.container.InputContainer = av.open(file, **options)
    return container


def open_input(path: Path | str) -> av.container.InputContainer:
    """Open a media file; a string is an address, of a server or an object store.

    Raises:
        MediaError: it cannot be read, is empty, or is no media file.
    """
    try:
        if is_remote(path):
            return open_any(open_remote(str(path)), mode="r")
        if isinstance(path, str):
            return open_any(path, options=_PATIENT, timeout=_TIMEOUT_S)
        if path.stat().st_size == 0:
            raise MediaError(f"{path} is empty (0 bytes)")
        return open_any(file_url(path))
    except MediaError:
        raise
    except (av.FFmpegError, OSError) as error:
        if isinstance(error, av.error.InvalidDataError):
            why = "it is not a video, or its index is missing because it was cut off"
        else:
            why = reason(error)
        raise MediaError(f"cannot open {path}: {why}") from error


def video_stream(container: av.container.InputContainer, path: Path | str) -> av.VideoStream:
    """The first real video stream: cover pictures of audio files do not count."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    kind = "only audio" if container.streams.audio else "no video stream"
    raise MediaError(f"{path} has no pictures to annotate: it holds {kind}")


def is_cut_off(stream: av.VideoStream, path: Path | str) -> bool:
    """Whether the stream's index, where the container has one, points beyond the end of the file."""
    entries = stream.index_entries
    size = size_bytes(path)
    if size is None:
        return False
    last = range(max(0, len(entries) - _LAST_ENTRIES), len(entries))
    return any(entries[i].pos + entries[i].size > size for i in last)
