"""The file of drawn pictures: a video or an image that is like its source in all but what is drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from hprnet_rt.errors import UsageError
from hprnet_rt.files import make_folder_of
from hprnet_rt.jobs.outputs import Sink
from hprnet_rt.render import Drawing, conceals
from hprnet_rt.video import (
    IMAGE_SUFFIXES,
    OUTPUT_VIDEO_SUFFIXES,
    FileSource,
    ImageSink,
    ImageSource,
    Selection,
    VideoSink,
)
from hprnet_rt.video.audio import suffix_for_audio

__all__ = ["open_picture", "require_picture_name"]


def open_picture(
    path: Path,
    source: FileSource,
    selection: Selection,
    *,
    draw: Drawing | None = None,
    strip_metadata: bool = False,
    **writing: Any,
) -> Sink:
    """Create the file of the chosen frames of a source, with their times, its colours, sound and tags.

    Args:
        path: the final name, of a kind that `require_picture_name` takes.
        source: is not read.
        selection: of its frames.
        draw: what draws on the frames; of a photo in which it conceals something only the profile is kept.
        strip_metadata: leave out what is written on the source.
        writing: further arguments of `VideoSink`.

    Raises:
        OutputError: the file cannot be created.
    """
    if isinstance(source, ImageSource):
        return ImageSink(path, source.photo, strip_metadata=strip_metadata, concealed=conceals(draw))
    info = source.info
    rate = None if info.rate is None else info.rate / selection.stride
    return VideoSink(
        path,
        replace(info, rate=rate, chapters=info.chapters if selection.goes_to_the_end else ()),
        audio_from=source.path,
        from_zero=selection.start_s > 0.0,
        strip_metadata=strip_metadata,
        **writing,
    )


def require_picture_name(path: Path, source: FileSource) -> None:
    """Check that a file can hold what is drawn of a source, and make its folder.

    Raises:
        UsageError: its suffix is of another kind, it cannot hold the source's sound, or it is the source.
        OutputError: the folder cannot be made.
    """
    still = isinstance(source, ImageSource)
    allowed = IMAGE_SUFFIXES if still else OUTPUT_VIDEO_SUFFIXES
    if path.suffix.lower() not in allowed:
        kind = "an image" if still else "a video"
        raise UsageError(f"{kind} cannot be written to {path}: use {' '.join(sorted(allowed))}")
    if isinstance(source.path, Path) and path.resolve() == source.path.resolve():
        raise UsageError(f"{path} is the source itself; write to another file")
    make_folder_of(path)
    if still:
        return
    fitting = suffix_for_audio(source.path, path.suffix.lower())
    if fitting != path.suffix.lower():
        raise UsageError(
            f"{path.suffix} cannot hold the audio of {source.path} as it is; use a name that ends in "
            f"{fitting}"
        )
