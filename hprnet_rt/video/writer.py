"""Writing an annotated video: the source's frames and timestamps, and its audio packets unchanged."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np

from hprnet_rt.errors import MediaError, OutputError
from hprnet_rt.files import PartialFile, reason
from hprnet_rt.types import FramePoses
from hprnet_rt.video.audio import AudioCopy
from hprnet_rt.video.encoders import DEFAULT_CRF, DEFAULT_ENCODER, require_crf, require_encoder
from hprnet_rt.video.media import LEAST_RATE, MediaInfo, is_sequence
from hprnet_rt.video.opening import file_url, open_input

__all__ = ["VideoSink", "comment_of"]

_FALLBACK_RATE = Fraction(25)
_KEY_FRAME_S = 2
_LIMITED_RANGE = 1
# A fragmented file can be played up to its last fragment whatever happens to the process; closing it turns it
# into an ordinary one.
_MP4_OPTIONS: Final = {"movflags": "hybrid_fragmented+delay_moov", "flush_packets": "1"}
_LEAST_TIMESCALE: Final = 1000
_LARGEST_TIMESCALE: Final = 10_000_000
_MP4_SUFFIXES: Final = frozenset({".mp4", ".m4v", ".mov"})


def comment_of(path: Path) -> str:
    """Return the comment that a `VideoSink` has stored in a file, "" where there is none."""
    try:
        with open_input(path) as container:
            return str(container.metadata.get("comment") or container.metadata.get("COMMENT") or "")
    except MediaError:
        return ""


def _fine_timescale(time_base: Fraction) -> int:
    """Return units a second in which every multiple of `time_base` is whole, if the file format allows it."""
    units = time_base.denominator
    while units < _LEAST_TIMESCALE:
        units *= 10
    return min(units, _LARGEST_TIMESCALE)


class VideoSink:
    """Encodes frames to a video file.

    Args:
        path: the final name; .mp4, .mov, .m4v or .mkv.
        info: size, rate, time base and labels of the source.
        audio_from: file or address whose audio is copied; None and numbered images have none.
        threads: number of the encoder's threads; its own choice when None.
        from_zero: move the first frame to time 0, and the audio with it; otherwise keep the source's times.
        comment: text to store in the file.
        crf: constant rate factor of H.264, 0 (lossless, and large) to 51 (small).
        encoder: one of `ENCODERS` that works here, see `choose_encoder`.

    Raises:
        UsageError: there is no such rate factor or encoder.
        OutputError: the file cannot be created.
    """

    def __init__(
        self,
        path: Path,
        info: MediaInfo,
        *,
        audio_from: Path | str | None = None,
        threads: int | None = None,
        from_zero: bool = False,
        comment: str = "",
        crf: int = DEFAULT_CRF,
        encoder: str = DEFAULT_ENCODER,
    ) -> None:
        require_crf(crf)
        self._encoder = require_encoder(encoder)
        self._file = PartialFile(path)
        self.path = path
        self.partial_path = self._file.partial
        self._info = info
        self._audio: AudioCopy | None = None
        self._closed = False
        self._failed = False
        self._end_s = 0.0
        self._origin_pts: int | None = None if from_zero else 0
        options = {}
        if path.suffix.lower() in _MP4_SUFFIXES:
            # the start of a track is kept in this unit; the default, 1 ms, would round it
            options = {**_MP4_OPTIONS, "movie_timescale": str(_fine_timescale(info.time_base))}
        self._file.create()  # PyAV would never close a file that has no room for its header
        try:
            self._container = av.open(file_url(self._file.partial), "w", options=options)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise OutputError(f"cannot write {path}: {reason(error)}") from error
        if comment:
            self._container.metadata["comment"] = comment
        self._size = (info.width + info.width % 2, info.height + info.height % 2)
        self._stream = self._add_stream(crf, threads)
        if audio_from is not None and not is_sequence(audio_from):
            try:
                self._audio = AudioCopy(audio_from, self._container)
            except (av.FFmpegError, MediaError, ValueError) as error:
                self._container.close()
                self.partial_path.unlink(missing_ok=True)
                raise OutputError(f"cannot copy the audio of {audio_from} to {path}: {error}") from error

    def _add_stream(self, crf: int, threads: int | None) -> av.VideoStream:
        info = self._info
        rate = max(info.rate or _FALLBACK_RATE, LEAST_RATE)  # timestamps do not depend on it
        options = {**self._encoder.quality(crf), "threads": str(threads or 0)}
        # fragments are cut at key frames: a process that is killed loses at most one of them
        options["g"] = str(max(1, round(_KEY_FRAME_S * rate)))
        stream = self._container.add_stream(self._encoder.name, rate=rate, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = self._size
        stream.pix_fmt = self._encoder.pix_fmt
        stream.time_base = stream.codec_context.time_base = info.time_base
        if self._encoder.tag and self.path.suffix.lower() in _MP4_SUFFIXES:
            stream.codec_context.codec_tag = self._encoder.tag
        if info.pixel_aspect:
            stream.codec_context.sample_aspect_ratio = info.pixel_aspect
        _, matrix, primaries, transfer = info.color
        stream.codec_context.color_range = _LIMITED_RANGE
        stream.codec_context.colorspace = matrix
        stream.codec_context.color_primaries = primaries
        stream.codec_context.color_trc = transfer
        return stream

    def write(self, item: FramePoses) -> None:
        """Encode a frame at its own time.

        Raises:
            OutputError: the file cannot be written.
        """
        source = item.frame
        image = source.image
        height, width = image.shape[:2]
        if (width, height) != self._size:  # 4:2:0 needs even sides
            image = np.asarray(
                cv2.copyMakeBorder(
                    image,
                    top=0,
                    bottom=self._size[1] - height,
                    left=0,
                    right=self._size[0] - width,
                    borderType=cv2.BORDER_REPLICATE,
                ),
                np.uint8,
            )
        # the picture shares the image's memory: nobody writes into a frame that has reached the sink
        picture = av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(image), format="bgr24")
        picture = picture.reformat(
            format=self._encoder.pix_fmt, dst_colorspace=self._info.color[1], dst_color_range=_LIMITED_RANGE
        )
        if self._origin_pts is None:
            self._origin_pts = source.pts or 0
            if self._audio is not None:
                self._audio.start_s = source.pts_s or 0.0
        pts = (source.pts or 0) - self._origin_pts
        picture.pts, picture.time_base = pts, source.time_base
        try:
            for packet in self._stream.encode(picture):
                if self._audio is not None and packet.dts is not None:
                    self._audio.copy_until(float(packet.dts * packet.time_base))
                self._container.mux(packet)
        except (av.FFmpegError, OSError) as error:
            self._failed = True
            raise OutputError(f"cannot write {self.path}: {reason(error)}") from error
        self._end_s = float(pts * source.time_base + 1 / (self._info.rate or _FALLBACK_RATE))

    def close(self, *, all_audio: bool = False) -> None:
        """Complete the partial file, so that it can be played; further calls do nothing.

        Args:
            all_audio: copy the audio to its end, not only as far as the pictures go.

        Raises:
            OutputError: the end cannot be written.
        """
        if self._closed:
            return
        self._closed = True
        try:
            try:
                if not self._failed:
                    self._container.mux(self._stream.encode(None))
                    if self._audio is not None:
                        self._audio.copy_until(None if all_audio else self._end_s)
            finally:
                self._container.close()
        except (av.FFmpegError, OSError) as error:
            self._failed = True
            raise OutputError(f"cannot write {self.path}: {reason(error)}") from error
        finally:
            if self._audio is not None:
                self._audio.close()

    def frames_kept(self) -> int:
        """Count the frames that the closed partial file really holds, 0 when it cannot be opened."""
        try:
            with open_input(self.partial_path) as container:
                return sum(packet.size > 0 and not packet.is_corrupt for packet in container.demux(video=0))
        except (MediaError, av.FFmpegError):
            return 0

    def commit(self) -> None:
        """Give the closed file its final name."""
        self._file.commit(durable=True)
