"""The render job: stored keypoints onto the video that they are of, without a network."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from hprnet_rt.errors import HprnetError, UsageError
from hprnet_rt.formats import KeypointsFrame, Recording
from hprnet_rt.formats.recording import in_short, rate_of
from hprnet_rt.inference.stages import replay_stages
from hprnet_rt.jobs.outputs import Outputs, what_is_kept
from hprnet_rt.jobs.pictures import open_picture, require_picture_name
from hprnet_rt.pipeline import Pipeline
from hprnet_rt.render import Drawing, Overlay
from hprnet_rt.types import FramePoses
from hprnet_rt.video import (
    DEFAULT_RATE,
    BorrowedFrames,
    MediaInfo,
    Selection,
    VideoSink,
    chosen_frames,
    open_source,
)
from hprnet_rt.video.deinterlace import AUTO, DEINTERLACING
from hprnet_rt.video.encoders import DEFAULT_CRF, DEFAULT_ENCODER
from hprnet_rt.video.media import size_bytes

__all__ = ["Rendering", "has_fewer_people", "render"]

_log = logging.getLogger(__name__)

_SELECTING: Final[dict[str, Any]] = {
    "start_s": (int, float),
    "end_s": (int, float),
    "stride": int,
    "limit": int,
}
"""Options of a run that choose frames."""

_MOST: Final = 1e9


@dataclass(frozen=True)
class Rendering:
    """The result of a rendering.

    Attributes:
        path: the output; the partial one when it was stopped.
        frames: written.
        seconds: it took.
        damage: what could not be read of the video, or what of the keypoints does not belong to it; None when
            all was well.
        cancelled: it was stopped early.
    """

    path: Path
    frames: int
    seconds: float
    damage: str | None = None
    cancelled: bool = False


class _Known:
    """Frames of keypoints, of which the highest number is remembered."""

    def __init__(self, frames: Iterator[KeypointsFrame]) -> None:
        self._frames = frames
        self.highest = -1

    def __iter__(self) -> Iterator[KeypointsFrame]:
        return self

    def __next__(self) -> KeypointsFrame:
        frame = next(self._frames)
        self.highest = max(self.highest, frame.number)
        return frame


def _selection(header: dict[str, Any]) -> Selection:
    """Return which frames the keypoints are of; all when their header has no options."""
    options = header.get("options")
    chosen = options if isinstance(options, dict) else {}
    fields = {name: chosen[name] for name in _SELECTING if chosen.get(name)}
    if not all(isinstance(each, _SELECTING[name]) and abs(each) <= _MOST for name, each in fields.items()):
        raise UsageError(f"the header of the keypoints has options that make no sense: {in_short(fields)}")
    return Selection(**fields)


def has_fewer_people(header: dict[str, Any]) -> bool:
    """Return whether keypoints are of some of the people who were found."""
    options = header.get("options")
    return isinstance(options, dict) and options.get("max_people") is not None


def _warn_of_another_source(header: dict[str, Any], source: Path) -> None:
    """Log a warning when the keypoints were made of another file, which may be intended."""
    size, header_bytes = size_bytes(source), header.get("source_bytes")
    if isinstance(header_bytes, int) and size not in (None, header_bytes):
        _log.warning(
            "the keypoints were found in %s, a file of %d bytes, and %s has %d: if the people are not where "
            "they should be, they belong to another video",
            in_short(header.get("source")),
            header_bytes,
            source,
            size,
        )


def _rate(header: dict[str, Any]) -> Fraction:
    """Frames a second of numbered images, which only the keypoints know."""
    rate = rate_of(header)
    return DEFAULT_RATE if rate is None else Fraction(rate).limit_denominator(1001)


def _deinterlacing(header: dict[str, Any]) -> str:
    """Return how the pictures of the keypoints were deinterlaced."""
    options = header.get("options")
    mode = options.get("deinterlace", AUTO) if isinstance(options, dict) else AUTO
    if mode not in DEINTERLACING:
        raise UsageError(f"the header of the keypoints has options that make no sense: {in_short(mode)}")
    return str(mode)


def render(
    source: Path,
    keypoints: Recording,
    out: Path,
    *,
    draw: Drawing | None = None,
    crf: int = DEFAULT_CRF,
    encoder: str = DEFAULT_ENCODER,
    strip_metadata: bool = False,
    started: Callable[[MediaInfo], None] | None = None,
    progress: Callable[[FramePoses], None] | None = None,
    cancelled: threading.Event | None = None,
) -> Rendering:
    """Draw stored keypoints onto their video or image; frames that they do not have stay as they are.

    Where the keypoints say that they are of a part of the video, that part is written. Where they are of a
    file with another number of bytes, a warning is logged.

    Args:
        source: a video, an image, or numbered images.
        keypoints: from `read_keypoints`.
        out: the file to write; one that exists is replaced.
        draw: draws people; the default `Overlay` when None.
        crf, encoder: how a video is compressed, see `VideoSink`.
        strip_metadata: write nothing of what is written on the source onto the drawn one.
        started: called once with what is known of the source.
        progress: called after each frame.
        cancelled: when set, what is done is finished under its partial name.

    Raises:
        UsageError: the keypoints are of pictures of another size, or `out` cannot hold the video.
        MediaError: the source cannot be opened.
        DataError: the keypoints are damaged.
        OutputError: the output cannot be written.
    """
    begin_s = time.perf_counter()
    cancelled = cancelled or threading.Event()
    opened = open_source(source, _rate(keypoints.header), _deinterlacing(keypoints.header))
    outputs, last = Outputs(), -1
    try:
        info, header = opened.info, keypoints.header
        size = header.get("width", info.width), header.get("height", info.height)
        if size != (info.width, info.height):
            width, height = map(in_short, size)
            raise UsageError(
                f"the keypoints are of a picture of {width} x {height}, and {source} has "
                f"{info.width} x {info.height}: they belong to another file"
            )
        selection = _selection(header)
        _warn_of_another_source(header, source)
        require_picture_name(out, opened)
        sink = open_picture(
            out, opened, selection, draw=draw, strip_metadata=strip_metadata, crf=crf, encoder=encoder
        )
        outputs.add(sink)
        if started is not None:
            started(info)
        known = _Known(keypoints.frames)
        stages = replay_stages(known, draw or Overlay(), all_known=False)
        frames = BorrowedFrames(chosen_frames(opened, selection))
        with Pipeline[FramePoses](frames, stages, cancelled=cancelled) as pipeline:
            for packet in pipeline:
                outputs.write(packet.payload)
                last = packet.payload.frame.sequence
                if progress is not None:
                    progress(packet.payload)
        stopped = cancelled.is_set()
        if stopped:
            (path,) = outputs.abandon() or (out,)
        else:
            for _ in known:  # those that no frame has asked for
                pass
            (path,) = outputs.finish(all_audio=selection.goes_to_the_end)
    except HprnetError as error:
        kept = outputs.abandon()
        if kept:
            raise type(error)(f"{error} ({what_is_kept(outputs.frames, kept)})") from error
        raise
    except BaseException:
        outputs.abandon()
        raise
    finally:
        opened.close()
    damage = opened.damage or (sink.lost if isinstance(sink, VideoSink) else None)
    if damage is None and not stopped and known.highest > last:
        damage = (
            f"the keypoints go on to frame {known.highest}, and {source} ends with frame {last}: are they of "
            "another file?"
        )
    return Rendering(path, outputs.frames, time.perf_counter() - begin_s, damage, stopped)
