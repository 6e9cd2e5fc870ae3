"""Files as sources: opening one, and decoding the frames of it that are chosen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from hprnet_rt.errors import MediaError, UsageError
from hprnet_rt.types import Frame
from hprnet_rt.video.image import ImageSource
from hprnet_rt.video.index import VideoIndex, read_index
from hprnet_rt.video.media import is_image, is_sequence
from hprnet_rt.video.reader import VideoSource
from hprnet_rt.video.selection import Selection
from hprnet_rt.video.sequence import DEFAULT_RATE, SequenceSource

__all__ = ["FileSource", "ResumePoint", "chosen_frames", "open_source"]

FileSource = ImageSource | SequenceSource | VideoSource
"""What `open_source` opens."""


@dataclass(frozen=True)
class ResumePoint:
    """What an earlier run has done of the chosen frames.

    Attributes:
        frames: how many.
        number, pts_s: of the last one.
    """

    frames: int
    number: int
    pts_s: float | None


def open_source(path: Path | str, rate: Fraction = DEFAULT_RATE) -> FileSource:
    """Open a video or an image; a string is an address, of a video on a server or a file that fsspec opens.

    Args:
        path: a name such as `frames/img_%04d.png` is that of numbered images, which are a video.
        rate: their frames a second; others say it themselves.

    Raises:
        UsageError: there is no such file.
        MediaError: it cannot be read.
    """
    if isinstance(path, str):
        return ImageSource(path) if is_image(path) else VideoSource(path)
    if is_sequence(path):
        return SequenceSource(path, rate)
    if not path.exists():
        raise UsageError(f"{path} does not exist")
    if path.is_dir():
        raise UsageError(f"{path} is a folder, not a video or an image")
    return ImageSource(path) if is_image(path) else VideoSource(path)


def chosen_frames(
    source: FileSource, selection: Selection, done: ResumePoint | None = None
) -> Iterator[Frame]:
    """The chosen frames of a source, decoded, behind those that have been done; of an image its only one.

    Where it is sure to give the same frames with the same numbers, decoding begins at a key frame near the
    first one. Then damage before it is not seen.

    Raises:
        MediaError: while iterating: the last frame that was done is not there.
    """
    if isinstance(source, ImageSource):
        return iter(source) if done is None else iter(())
    first_s = _enter(source, selection, done) if isinstance(source, VideoSource) else None
    if done is None:
        return selection.of(source, first_s=first_s)
    return selection.of(_behind(source, done), first_s=first_s, taken=done.frames)


def _enter(source: VideoSource, selection: Selection, done: ResumePoint | None) -> float | None:
    """Let the source begin as late as it can; returns when the first frame of the file is shown."""
    if source.first_pts is None:
        return None
    base = source.info.time_base
    first_s = float(source.first_pts * base)
    until = int((first_s + selection.start_s) / base)
    if done is not None and done.pts_s is not None:
        until = max(until, round(done.pts_s / base))
    if until > source.first_pts:
        index = read_index(source.path, until)
        part = index.from_time(until) if index is not None else None
        if index is not None and part is not None and _is_the_same(index, source.first_pts, done, until):
            source.begin_at(part)
    return first_s


def _is_the_same(index: VideoIndex, first_pts: int, done: ResumePoint | None, until: int) -> bool:
    """Whether an index numbers the frames as decoding them has done, as far as that is known."""
    if index.pts[0] != first_pts:
        return False
    return done is None or (len(index.pts) == done.number + 1 and index.pts[-1] == until)


def _behind(source: FileSource, done: ResumePoint) -> Iterator[Frame]:
    """The frames behind the last one that was done.

    Raises:
        MediaError: that one is not there.
    """
    is_there = False
    for frame in source:
        if is_there:
            yield frame
        is_there = is_there or frame.sequence == done.number
    if not is_there:
        raise MediaError(f"{source.info.source} is not as it was when its keypoints were found")
