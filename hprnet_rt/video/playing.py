"""What a player shows of a finished video: what its edit lists hide does not count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import av

from hprnet_rt.errors import MediaError, OutputError
from hprnet_rt.video.audio import Heard
from hprnet_rt.video.opening import open_input

__all__ = ["pictures_played", "require_played"]


def pictures_played(path: Path) -> int:
    """Count the pictures that a player shows of a file that may be cut off, 0 when it cannot be opened."""
    try:
        with open_input(path) as container:
            return sum(1 for _ in _packets_played(container, container.streams.video))
    except (MediaError, av.FFmpegError):
        return 0


def require_played(path: Path, pictures: int, heard: Mapping[int, Heard]) -> None:
    """Check that a player plays all that was written.

    Args:
        path: the complete file.
        pictures: how many were written.
        heard: what of each audio track is to be played, by the track's number in the file.

    Raises:
        OutputError: something is missing.
    """
    found: dict[int, Heard] = {}
    shown = 0
    try:
        with open_input(path) as container:
            for index, size_bytes in _played(container):
                if index == container.streams.video[0].index:
                    shown += 1
                else:
                    found.setdefault(index, Heard()).add(size_bytes)
    except (MediaError, av.FFmpegError, IndexError) as error:
        raise OutputError(f"{path} cannot be played: {error}; write it again, to another disk") from error
    advice = "write a .mkv instead"
    if shown != pictures:
        raise OutputError(f"a player would show {shown} of the {pictures} pictures in {path}: {advice}")
    for index, track in heard.items():
        played = found.get(index, Heard())
        if played.is_less_than(track):
            raise OutputError(
                f"a player would play {played.packets} of {track.packets} pieces of sound in {path}: {advice}"
            )


def _played(container: av.container.InputContainer) -> Iterator[tuple[int, int]]:
    """Yield the stream's number and the bytes of each packet that a player plays.

    The index of a complete .mp4 or .mov has them all; other files are read.
    """
    streams: list[av.VideoStream | av.AudioStream] = [*container.streams.video, *container.streams.audio]
    if "mov" not in container.format.name.split(","):
        yield from _packets_played(container, streams)
        return
    for stream in streams:
        for entry in stream.index_entries:
            if not entry.is_discard:
                yield stream.index, entry.size


def _packets_played(
    container: av.container.InputContainer, streams: Sequence[av.VideoStream | av.AudioStream]
) -> Iterator[tuple[int, int]]:
    for packet in container.demux(*streams):
        if packet.size and not packet.is_discard and not packet.is_corrupt:
            yield packet.stream.index, packet.size
