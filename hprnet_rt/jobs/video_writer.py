"""`VideoWriter`: frames of one's own making, as a video like the one that they came from."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from hprnet_rt.errors import OutputError, ShapeError, UsageError
from hprnet_rt.files import make_folder_of
from hprnet_rt.inference.stream import Stream
from hprnet_rt.jobs.outputs import Outputs, Sink
from hprnet_rt.jobs.pictures import open_picture, require_picture_name
from hprnet_rt.types import Frame, FramePoses, ImageArray, Poses
from hprnet_rt.video import OUTPUT_VIDEO_SUFFIXES, FileSource, MediaInfo, VideoSink
from hprnet_rt.video.encoders import DEFAULT_CRF, DEFAULT_ENCODER

__all__ = ["VideoWriter"]

_log = logging.getLogger(__name__)


class VideoWriter:
    """Writes frames of a stream to a video that is like its source, as `hprnet-rt annotate` does.

    Each frame keeps its own time, the sound is copied without being encoded anew, and colours, tags and
    chapters are kept. The file is called like `out.partial.mp4` until it is complete: it gets its name at the
    end of the `with` block, or by `close`. After an error it keeps the partial name. A file of that name is
    replaced then.

    Args:
        path: the file; .mp4, .mov, .m4v or .mkv, or of an image where the source is one.
        like: the stream whose frames will be written.
        crf: compression, from 0 (largest file) to 51 (smallest).
        encoder: of the video, see `hprnet-rt annotate --help`.
        strip_metadata: leave out where and when it was taken, its title, and the like.

    Attributes:
        path: the final name.
        damage: what of the sound could not be copied, known when it is closed; None when all was well.

    Raises:
        UsageError: the file cannot hold such a video, or is the source; `like` is no stream, or nothing is
            known of its frames' size.
        OutputError: the file cannot be created.

    Examples:
        >>> with (
        ...     hprnet_rt.stream("video.mp4") as video,
        ...     hprnet_rt.VideoWriter("boxes.mp4", like=video) as out,
        ... ):
        ...     for frame, poses in video:
        ...         for x1, y1, x2, y2 in poses.box_xyxy.astype(int):
        ...             frame.image[y1:y2, x1 : x1 + 3] = 255
        ...         out.write(frame)
        >>> hprnet_rt.stream("boxes.mp4").frames
        6
    """

    def __init__(
        self,
        path: str | Path,
        *,
        like: Stream,
        crf: int = DEFAULT_CRF,
        encoder: str = DEFAULT_ENCODER,
        strip_metadata: bool = False,
    ) -> None:
        self.path = Path(path)
        self.damage: str | None = None
        if not isinstance(like, Stream):
            raise UsageError(f"a video is like a stream, from hprnet_rt.stream, got {like!r:.80}")
        self._stream = like
        info = like.info
        if info is None:
            raise UsageError(
                "a video is like a file or a camera; nothing is known of the source of these frames"
            )
        self._shape = (info.height, info.width, 3)
        self._sink = self._open(info, crf=crf, encoder=encoder, strip_metadata=strip_metadata)
        self._outputs = Outputs([self._sink])
        self._closed = False

    def _open(self, info: MediaInfo, *, strip_metadata: bool, crf: int, encoder: str) -> Sink:
        path, stream = self.path, self._stream
        if stream.is_of_a_file:
            source = cast(FileSource, stream.source)
            require_picture_name(path, source)
            return open_picture(
                path, source, stream.selection, strip_metadata=strip_metadata, crf=crf, encoder=encoder
            )
        if path.suffix.lower() not in OUTPUT_VIDEO_SUFFIXES:
            raise UsageError(f"a video cannot be written to {path}: use {' '.join(OUTPUT_VIDEO_SUFFIXES)}")
        make_folder_of(path)
        return VideoSink(path, replace(info, tags={}), from_zero=True, crf=crf, encoder=encoder)

    def write(self, frame: Frame, image: ImageArray | None = None) -> None:
        """Write a frame at its own time.

        Args:
            frame: of the stream, in its order.
            image: written in place of `frame.image`; (H, W, 3) uint8 BGR, of the same size.

        Raises:
            ShapeError: the picture has another size or type than the source's.
            OutputError: the file cannot be written.
        """
        if self._closed:
            raise OutputError(f"{self.path} is closed: no frame can be added to it")
        if image is not None or frame.planes is None or frame.image_hw != self._shape[:2]:
            picture = frame.image if image is None else image
            if picture.shape != self._shape or picture.dtype != "uint8":
                got = f"{picture.shape} {picture.dtype}"
                raise ShapeError(f"a frame of this video is {self._shape} uint8, got {got}")
            frame = replace(frame, image=picture)
        self._outputs.write(FramePoses(frame, Poses.empty()))

    def close(self) -> Path:
        """Complete the file, give it its name, and return that; further calls do nothing.

        The sound goes to its end where the stream was read to the end; otherwise as far as the frames do.

        Raises:
            OutputError: the file cannot be completed, or no frame was written: then there is none.
        """
        if self._closed:
            return self.path
        self._closed = True
        if not self._outputs.frames:
            self._outputs.abandon()
            raise OutputError(f"no frame was written to {self.path}: there is no such file")
        try:
            self._outputs.finish(all_audio=self._stream.is_over and self._stream.selection.goes_to_the_end)
        except BaseException:
            self._outputs.abandon()
            raise
        if isinstance(self._sink, VideoSink) and self._sink.lost:
            self.damage = self._sink.lost
            _log.warning("%s", self.damage)
        return self.path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        elif not self._closed:
            self._closed = True
            self._outputs.abandon()
