"""Files as sources: opening one, and decoding its chosen frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from hprnet_rt.errors import MediaError, UsageError
from hprnet_rt.types import Frame
from hprnet_rt.video.deinterlace import AUTO
from hprnet_rt.video.image import ImageSource
from hprnet_rt.video.index import VideoIndex, read_index
from hprnet_rt.video.media import is_image, is_sequence, refuse_a_stream
from hprnet_rt.video.reader import VideoSource
from hprnet_rt.video.selection import Selection
from hprnet_rt.video.sequence import DEFAULT_RATE, SequenceSource

__all__ = ["FileSource", "ResumePoint", "chosen_frames", "open_source"]

FileSource = ImageSource | SequenceSource | VideoSource
"""The results of `open_source`."""


@dataclass(frozen=True)
class ResumePoint:
    """The place behind the chosen frames that an earlier run has finished.

    Attributes:
        frames: how many it has finished.
        number: the last one's number in the source.
        pts_s: the last one's media time in seconds, None when unknown.
    """

    frames: int
    number: int
    pts_s: float | None


def open_source(path: Path | str, rate: Fraction = DEFAULT_RATE, deinterlace: str = AUTO) -> FileSource:
    """Open a video or an image.

    Args:
        path: a file; numbered images such as `frames/img_%04d.png`, which are a video; or as a string an
            address, of a video on a server or of a file that fsspec opens.
        rate: frames a second of numbered images.
        deinterlace: which pictures of a video are deinterlaced, one of `DEINTERLACING`.

    Raises:
        UsageError: there is no such file, it is a live stream, or there is no such way to deinterlace.
        MediaError: it cannot be read.
        BackendError: a package for its kind is not installed.
    """
    if isinstance(path, str):
        refuse_a_stream(path)
        return ImageSource(path) if is_image(path) else VideoSource(path, deinterlace)
    if is_sequence(path):
        return SequenceSource(path, rate)
    if not path.exists():
        raise UsageError(f"{path} does not exist")
    if path.is_dir():
        raise UsageError(f"{path} is a folder, not a video or an image")
    return ImageSource(path) if is_image(path) else VideoSource(path, deinterlace)


def chosen_frames(
    source: FileSource, selection: Selection, done: ResumePoint | None = None
) -> Iterator[Frame]:
    """Decode the chosen frames of a source that no earlier run has finished; an image has only one.

    Decoding begins at a key frame near the first of them where that surely gives the same frames with the
    same numbers. Damage before that key frame is not noticed then.

    Args:
        source: is read, and left open.
        selection: the chosen frames of a video.
        done: the frames that an earlier run has finished.

    Raises:
        MediaError: while iterating: the last finished frame is not in the source.
    """
    if isinstance(source, ImageSource):
        return iter(source) if done is None else iter(())
    first_s = _seek(source, selection, done) if isinstance(source, VideoSource) else None
    if done is None:
        return selection.of(source, first_s=first_s)
    return selection.of(_frames_behind(source, done), first_s=first_s, taken=done.frames)


def _seek(source: VideoSource, selection: Selection, done: ResumePoint | None) -> float | None:
    """Let the source begin as late as it can, and return the time of the file's first frame in seconds."""
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
        if index is not None and part is not None and _numbers_alike(index, source.first_pts, done, until):
            source.begin_at(part)
    return first_s


def _numbers_alike(index: VideoIndex, first_pts: int, done: ResumePoint | None, until: int) -> bool:
    """Return whether an index numbers the frames as decoding did, as far as that is known."""
    if index.pts[0] != first_pts:
        return False
    return done is None or (len(index.pts) == done.number + 1 and index.pts[-1] == until)


def _frames_behind(source: FileSource, done: ResumePoint) -> Iterator[Frame]:
    """Yield the frames behind the last one that is finished.

    Raises:
        MediaError: the last finished frame is not in the source.
    """
    is_behind = False
    for frame in source:
        if is_behind:
            yield frame
        is_behind = is_behind or frame.sequence == done.number
    if not is_behind:
        raise MediaError(f"{source.info.source} is not as it was when its keypoints were found")
