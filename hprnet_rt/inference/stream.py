"""`stream`: a video or a camera as an iterator of frames with everyone in them."""

from __future__ import annotations

import logging
from collections.abc import Generator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, cast

from hprnet_rt.errors import UsageError
from hprnet_rt.inference.model import PoseModel, load
from hprnet_rt.inference.stages import pose_stages
from hprnet_rt.pipeline import Pipeline
from hprnet_rt.pipeline.runner import Source
from hprnet_rt.tracking import Tracker
from hprnet_rt.types import Frame, FramePoses, Poses
from hprnet_rt.video import (
    BorrowedFrames,
    ImageSource,
    MediaInfo,
    Selection,
    SequenceSource,
    VideoSource,
    chosen_frames,
    open_source,
)

if TYPE_CHECKING:
    from hprnet_rt.video.capture import LiveSource

__all__ = ["Stream", "stream"]

_log = logging.getLogger(__name__)

_IN_FLIGHT: Final = 2
_FILES: Final = (ImageSource, SequenceSource, VideoSource)


class Stream:
    """The frames of a video or a camera, each with everyone in it, from `stream`.

    Iterate it once; leaving the loop, or the `with` block, closes it. Decoding runs ahead on threads.

    Attributes:
        source: that is read.
        selection: which of its frames.
        is_over: all of them have been given.

    Examples:
        >>> with hprnet_rt.stream("video.mp4") as video:
        ...     print(video.fps, video.size, video.frames, video.duration_s)
        ...     for frame, poses in video:
        ...         print(f"{frame.pts_s:.2f} s: {len(poses)} people")
        ...         break
        25.0 (1280, 720) 6 0.24
        0.00 s: 3 people
    """

    def __init__(
        self, source: Source, model: PoseModel | None, selection: Selection, *, live: LiveSource | None = None
    ) -> None:
        self.source = source
        self.selection = selection
        self.is_over = False
        self._frames = _frames(source, model, selection, live)  # knows nothing of self: it ends with it

    @property
    def info(self) -> MediaInfo | None:
        """What is known of the source; None of frames of one's own."""
        info = getattr(self.source, "info", None)
        return info if isinstance(info, MediaInfo) else None

    @property
    def is_of_a_file(self) -> bool:
        """Whether the source is a video or image file, whose frames can be chosen and whose sound copied."""
        return isinstance(self.source, _FILES)

    @property
    def fps(self) -> float | None:
        """Frames a second, those that are passed over left out; None for an image, and where it is unknown.

        It is an average: `Frame.pts_s` is the time of each frame.
        """
        info = self.info
        return None if info is None or info.rate is None else float(info.rate / self.selection.stride)

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the upright frames in pixels; None where it is unknown."""
        info = self.info
        return None if info is None else (info.width, info.height)

    @property
    def frames(self) -> int | None:
        """How many frames the file says that it has; None where it does not, and for a camera."""
        return None if self.info is None else self.info.frames

    @property
    def duration_s(self) -> float | None:
        """How long the whole video is, in seconds, by its own frames and rate; None where that is unknown."""
        info = self.info
        if info is None or info.rate is None or info.frames is None:
            return None
        return float(info.frames / info.rate)

    @property
    def damage(self) -> str | None:
        """What of a file could not be read, known at its end; None when all was well."""
        return getattr(self.source, "damage", None)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[Frame, Poses]:
        try:
            return next(self._frames)
        except StopIteration:
            if not self.is_over and self.damage:
                _log.warning("%s", self.damage)
            self.is_over = True
            raise

    def close(self) -> None:
        """End the threads and close the source; further calls do nothing."""
        self._frames.close()
        self.source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _frames(
    source: Source, model: PoseModel | None, selection: Selection, live: LiveSource | None
) -> Generator[tuple[Frame, Poses], None, None]:
    own = model or load()
    over_time = () if isinstance(source, ImageSource) else (Tracker(),)
    limits: dict[str, Any] = {}
    if live is not None:
        limits = {"in_flight": _IN_FLIGHT, "interrupt": live.interrupt}
    try:
        stages = pose_stages(
            own,
            over_time=over_time,
            batch=1 if live else own.batch,
            stills=isinstance(source, ImageSource),
            live=live is not None,
        )
        with Pipeline[FramePoses](_chosen(source, selection), stages, **limits) as pipeline:
            for packet in pipeline:
                yield packet.payload.frame, packet.payload.poses
    finally:
        source.close()
        if model is None:
            own.close()


def _chosen(source: Source, selection: Selection) -> Source:
    """Return the frames that are chosen of a source; a camera's are all."""
    if isinstance(source, _FILES):
        return BorrowedFrames(chosen_frames(source, selection))
    return source


def _require_source(source: object, live: bool) -> None:
    """Check that something can be given to `stream`.

    Raises:
        UsageError: it cannot.
    """
    needed = ("__iter__", "close", *(("interrupt",) if live else ()))
    if not isinstance(source, str | Path) and not all(hasattr(source, name) for name in needed):
        raise UsageError(
            f"a source is a file, with live=True also a camera's number or an address, or an object with "
            f"{', '.join(needed)}; got {source!r:.80}"
        )


def stream(
    source: str | int | Path | Source | LiveSource,
    model: PoseModel | None = None,
    *,
    live: bool = False,
    start_s: float = 0.0,
    end_s: float | None = None,
    stride: int = 1,
) -> Stream:
    """Open a video or a camera, to iterate its frames with everyone in them, in order.

    People keep their `track_id` from frame to frame, see `Tracker`; in an image file they have none.

    Args:
        source: a video or image file, or any iterable of `Frame` with a `close` method.
        model: from `load`; the default model, loaded with the first frame and closed at the end, when None.
        live: the source is a camera ("0" or 0), an address or a file played by its own clock, as `open_live`
            takes it, or a `LiveSource`. Frames for which there is no time are passed over; otherwise none is.
        start_s, end_s: the part of a file, in seconds after its first frame; all when left out.
        stride: of these, only the first and every `stride`-th after it.

    Raises:
        UsageError: there is no such file or camera, it is nothing that can be a source, or no frame can be
            chosen so.
        MediaError: it cannot be read. Damage behind the beginning of a file is logged at its end.

    Examples:
        >>> for frame, poses in hprnet_rt.stream("video.mp4", stride=5):
        ...     print(frame.sequence, [person.track_id for person in poses])
        0 [0, 1, 2]
        5 [0, 1, 2]
    """
    if live and isinstance(source, int):
        source = str(source)
    _require_source(source, live)
    selection = Selection(start_s, end_s, stride)
    named = isinstance(source, str | Path)
    if selection != Selection() and (live or not (named or isinstance(source, _FILES))):
        raise UsageError("frames can be chosen of a file, not of a live source or of your own frames")
    if not live:
        return Stream(open_source(Path(str(source))) if named else cast(Source, source), model, selection)
    from hprnet_rt.video.capture import LiveOptions, open_live  # files do without them

    camera = open_live(str(source), LiveOptions()) if named else cast("LiveSource", source)
    return Stream(camera, model, selection, live=camera)
