"""Opening a media file, and what is seen of it at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
from av.stream import Disposition

from hprnet_rt.errors import MediaError
from hprnet_rt.files import reason
from hprnet_rt.video.media import size_bytes
from hprnet_rt.video.remote import is_remote, open_remote

__all__ = ["file_url", "is_cut_off", "open_any", "open_input", "other_videos", "require_file", "video_stream"]

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


def require_file(path: Path) -> None:
    """See that a path is none of a pipe or a device: their bytes can be read only once, or never end.

    Raises:
        MediaError: it is one.
    """
    if path.exists() and not path.is_file():
        raise MediaError(f"{path} is not a file but a folder, a pipe or a device: save it as a file first")


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
        require_file(path)
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
    """The first real video stream: cover pictures of audio files do not count.

    Raises:
        MediaError: there is none, or none of a codec that FFmpeg knows.
    """
    streams = _videos(container)
    for stream in streams:
        if stream.codec_context is not None:
            return stream
    if streams:
        raise MediaError(f"{path} cannot be decoded: FFmpeg does not know the codec of its pictures")
    kind = "only audio" if container.streams.audio else "no video stream"
    raise MediaError(f"{path} has no pictures to annotate: it holds {kind}")


def other_videos(container: av.container.InputContainer) -> int:
    """How many video streams there are beside that of `video_stream`."""
    return len(_videos(container)) - 1


def _videos(container: av.container.InputContainer) -> list[av.VideoStream]:
    pictures = Disposition.attached_pic
    return [stream for stream in container.streams.video if not stream.disposition & pictures]


def is_cut_off(stream: av.VideoStream, path: Path | str) -> bool:
    """Whether the stream's index, where the container has one, points beyond the end of the file."""
    entries = stream.index_entries
    size = size_bytes(path)
    if size is None:
        return False
    last = range(max(0, len(entries) - _LAST_ENTRIES), len(entries))
    return any(entries[i].pos + entries[i].size > size for i in last)
