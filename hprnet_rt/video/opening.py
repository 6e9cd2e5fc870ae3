"""Opening a media file, choosing its video stream, and first signs of damage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
from av.stream import Disposition

from hprnet_rt.errors import MediaError
from hprnet_rt.files import reason
from hprnet_rt.video.lengths import ends_inside_a_part
from hprnet_rt.video.media import size_bytes
from hprnet_rt.video.remote import is_remote, open_remote

__all__ = ["file_url", "is_cut_off", "open_any", "open_input", "other_videos", "require_file", "video_stream"]

_TIMEOUT_S = 30.0
_RECONNECT = {"reconnect": "1", "reconnect_on_network_error": "1", "reconnect_delay_max": "10"}
"""FFmpeg's options for servers: a connection that breaks in the middle of a file is made again."""
_LAST_ENTRIES = 32  # of an index, which point to the end of the file


def file_url(path: Path) -> str:
    """Return a path as FFmpeg takes it, even when a colon makes it look like `protocol:address`."""
    return f"file:{path}"


def open_any(file: Any, **options: Any) -> av.container.InputContainer:
    """Call `av.open`; titles that are not UTF-8 get replacement characters, as in newer versions of PyAV."""
    if int(av.__version__.partition(".")[0]) < 19:
        options["metadata_errors"] = "replace"
    container: av.container.InputContainer = av.open(file, **options)
    return container


def require_file(path: Path) -> None:
    """Check that a path is not a pipe or a device, whose bytes can be read only once or never end.

    Raises:
        MediaError: it is one, or a folder.
    """
    if path.exists() and not path.is_file():
        raise MediaError(f"{path} is not a file but a folder, a pipe or a device: save it as a file first")


def open_input(path: Path | str) -> av.container.InputContainer:
    """Open a media file; a string is the address of a file on a server or in an object store.

    Raises:
        MediaError: the file cannot be read, is empty, or is no media file.
    """
    try:
        if is_remote(path):
            return open_any(open_remote(str(path)), mode="r")
        if isinstance(path, str):
            return open_any(path, options=_RECONNECT, timeout=_TIMEOUT_S)
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
    """Return the first video stream that is not a cover picture.

    Raises:
        MediaError: there is none, or FFmpeg knows the codec of none.
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
    """Count the video streams beside that of `video_stream`."""
    return len(_videos(container)) - 1


def _videos(container: av.container.InputContainer) -> list[av.VideoStream]:
    cover = Disposition.attached_pic
    return [stream for stream in container.streams.video if not stream.disposition & cover]


def is_cut_off(stream: av.VideoStream, path: Path | str) -> bool:
    """Return whether a file goes on behind its end, by the stream's index or by its own parts' lengths."""
    entries = stream.index_entries
    size = size_bytes(path)
    if size is None:
        return False
    if isinstance(path, Path) and ends_inside_a_part(path, size):
        return True
    last = range(max(0, len(entries) - _LAST_ENTRIES), len(entries))
    return any(entries[i].pos + entries[i].size > size for i in last)
