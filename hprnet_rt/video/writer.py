"""Writing an annotated video: the source's frames and timestamps, and its audio packets unchanged."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.frame import PictureType

from hprnet_rt.errors import MediaError, OutputError
from hprnet_rt.files import PartialFile, reason
from hprnet_rt.types import Frame, FramePoses
from hprnet_rt.video.audio import UNWRITABLE, AudioCopy
from hprnet_rt.video.conversion import planes_to_picture, to_picture
from hprnet_rt.video.encoders import DEFAULT_CRF, DEFAULT_ENCODER, require_crf, require_encoder
from hprnet_rt.video.media import LEAST_RATE, MediaInfo, is_sequence
from hprnet_rt.video.opening import file_url, open_input
from hprnet_rt.video.playing import pictures_played, require_played
from hprnet_rt.video.tags import COMMENT, TIMECODE, fits_timecode, needs_names, write_chapters

__all__ = ["VideoSink", "comment_of"]

_FALLBACK_RATE = Fraction(25)
_KEY_FRAME_S: Final = 2
_SLOW_RATE: Final = 4  # pictures a second, of which an encoder may hold as many back as come in two seconds
_STILL: Final = Fraction(3, 2)  # of the usual time; a last picture that stays longer is written by itself
_BELIEVED_STAY_S: Final = 60  # of a last picture, that only the header of the file knows
# A fragmented file can be played up to its last fragment whatever happens to the process; closing it turns it
# into an ordinary one.
# It is cut at key frames: FFmpeg hides the last picture where a fragment ends among reordered ones.
_MP4_OPTIONS: Final = {"movflags": "hybrid_fragmented+delay_moov", "flush_packets": "1"}
_LEAST_TIMESCALE: Final = 1000
_LARGEST_TIMESCALE: Final = 10_000_000
_LEAST_TRACK_SCALE: Final = 20_000  # FFmpeg doubles smaller ones until they are at least half of it
_MP4_SUFFIXES: Final = frozenset({".mp4", ".m4v", ".mov"})


def comment_of(path: Path) -> str:
    """Return the comment that a `VideoSink` has stored in a file, "" where there is none."""
    try:
        with open_input(path) as container:
            return str(container.metadata.get(COMMENT) or container.metadata.get(COMMENT.upper()) or "")
    except MediaError:
        return ""


def _fine_timescale(time_base: Fraction) -> int:
    """Return units a second in which every multiple of `time_base` is whole, if the file format allows it."""
    units = time_base.denominator
    while units < _LEAST_TIMESCALE:
        units *= 10
    return min(units, _LARGEST_TIMESCALE)


def _longest_s(time_base: Fraction) -> Fraction:
    """Return for how long a picture may stay: .mp4 has 31 bits, of units that may be half of ours."""
    return Fraction((1 << 31) - 1, max(_LEAST_TRACK_SCALE, 2 * time_base.denominator))


class VideoSink:
    """Encodes frames to a video file.

    The first frame is at the time that it has in the source, or at 0 where the source begins late or before 0
    (`TimeLine.origin_s`), and the audio with it.

    Args:
        path: the final name; .mp4, .mov, .m4v or .mkv.
        info: size, rate, time line, colours and tags of the source.
        audio_from: file or address whose audio is copied; None and numbered images have none.
        threads: number of the encoder's threads; its own choice when None.
        from_zero: move the first frame to time 0, and leave out the audio before it.
        comment: text to store in the file, behind the source's own.
        crf: constant rate factor of H.264, 0 (lossless, and large) to 51 (small).
        encoder: one of `ENCODERS` that works here, see `choose_encoder`.
        strip_metadata: leave out the source's tags and chapters, and the titles of its audio.

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
        strip_metadata: bool = False,
    ) -> None:
        require_crf(crf)
        self._encoder = require_encoder(encoder)
        self._file = PartialFile(path)
        self.path = path
        self.partial_path = self._file.partial
        self._info = info
        self._color = info.color.written
        self._audio: AudioCopy | None = None
        self._closed = False
        self._failed = False
        self._from_zero = from_zero
        self._chapters = () if strip_metadata else info.chapters
        self._origin_s: Fraction | None = None
        self._key_s: Fraction | None = None  # the last key frame that was asked for
        self._last: av.VideoFrame | None = None  # waits for the next one: it may stay for long
        self._durations: dict[int, int] = {}  # by time, of pictures that are in the encoder
        self._written = 0
        tags = {} if strip_metadata else dict(info.tags)
        options = {}
        if path.suffix.lower() in _MP4_SUFFIXES:
            # the start of a track is kept in this unit; the default, 1 ms, would round it
            options = {**_MP4_OPTIONS, "movie_timescale": str(_fine_timescale(info.time_base))}
            if needs_names(tags):
                options["movflags"] += "+use_metadata_tags"
        self._file.create()  # PyAV would never close a file that has no room for its header
        try:
            self._container = av.open(file_url(self._file.partial), "w", options=options)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise OutputError(f"cannot write {path}: {reason(error)}") from error
        self._tag(tags, comment)
        self._size = (info.width + info.width % 2, info.height + info.height % 2)
        self._stream = self._add_stream(crf, threads)
        if audio_from is not None and not is_sequence(audio_from):
            try:
                self._audio = AudioCopy(audio_from, self._container, with_titles=not strip_metadata)
            except (av.FFmpegError, MediaError, ValueError) as error:
                self._container.close()
                self.partial_path.unlink(missing_ok=True)
                raise OutputError(f"cannot copy the audio of {audio_from} to {path}: {error}") from error

    def _tag(self, tags: Mapping[str, str], comment: str) -> None:
        kept = {name: value for name, value in tags.items() if name != TIMECODE}
        if not self._from_zero and fits_timecode(tags, self._info.rate):
            kept[TIMECODE] = tags[TIMECODE]
        if comment:
            kept[COMMENT] = f"{kept[COMMENT]}\n{comment}" if kept.get(COMMENT) else comment
        self._container.metadata.update(kept)

    def _add_stream(self, crf: int, threads: int | None) -> av.VideoStream:
        info, encoder = self._info, self._encoder
        rate = max(info.rate or _FALLBACK_RATE, LEAST_RATE)  # timestamps do not depend on it
        options = {**encoder.quality(crf), **encoder.always, "threads": str(threads or 0)}
        if rate <= _SLOW_RATE:
            options.update(encoder.prompt)
        # where the rate is true; otherwise `_encode` asks for key frames in time
        options["g"] = str(max(1, round(_KEY_FRAME_S * rate)))
        stream = self._container.add_stream(encoder.name, rate=rate, options=options)
        assert isinstance(stream, av.VideoStream)
        context = stream.codec_context
        stream.width, stream.height = self._size
        stream.pix_fmt = encoder.pix_fmt
        stream.time_base = context.time_base = info.time_base
        if encoder.tag and self.path.suffix.lower() in _MP4_SUFFIXES:
            context.codec_tag = encoder.tag
        if info.pixel_aspect:
            context.sample_aspect_ratio = info.pixel_aspect
        context.color_range, context.colorspace = self._color.range, self._color.matrix
        context.color_primaries, context.color_trc = self._color.primaries, self._color.transfer
        return stream

    def write(self, item: FramePoses) -> None:
        """Encode a frame at its own time.

        Raises:
            OutputError: the file cannot be written.
        """
        source = item.frame
        picture = self._picture(source)
        first_s = (source.pts or 0) * source.time_base
        if self._origin_s is None:
            self._origin_s = first_s if self._from_zero else self._info.timeline.origin_s(first_s)
            write_chapters(self._container, self._chapters, self._origin_s)
            if self._audio is not None:
                self._audio.begin(self._origin_s, cuts=self._from_zero)
        picture.pts = (source.pts or 0) - round(self._origin_s / source.time_base)
        picture.time_base, picture.duration = source.time_base, source.duration
        last, self._last = self._last, picture
        if last is not None:
            self._encode(last)
        self._written += 1

    def _picture(self, frame: Frame) -> av.VideoFrame:
        """Return what the encoder gets: the frame's planes as they are, where it has the right ones."""
        planes = frame.planes
        if planes is not None and planes.image_hw == (self._info.height, self._info.width):
            picture = planes_to_picture(planes, self._color, self._encoder.pix_fmt)
            if picture is not None:
                return picture
        return to_picture(self._of_even_sides(frame.image), self._color, self._encoder.pix_fmt)

    def _of_even_sides(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return an image whose last line and column are repeated where 4:2:0 needs it."""
        height, width = image.shape[:2]
        if (width, height) == self._size:
            return image
        below, right = self._size[1] - height, self._size[0] - width
        return np.asarray(cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE), np.uint8)

    def _encode(self, picture: av.VideoFrame | None, *, is_key: bool = False) -> None:
        """Give a picture to the encoder, None at the end, and write what comes out.

        Raises:
            OutputError: the file cannot be written.
        """
        if picture is not None and picture.pts is not None:
            at_s = picture.pts * self._info.time_base
            if is_key or self._key_s is None or at_s - self._key_s >= _KEY_FRAME_S:
                picture.pict_type, self._key_s = PictureType.I, at_s
            if picture.duration:
                self._durations[picture.pts] = picture.duration
        try:
            for packet in self._stream.encode(picture):
                if self._audio is not None and packet.dts is not None:
                    self._audio.copy_until(float(packet.dts * packet.time_base))
                if packet.pts in self._durations:
                    packet.duration = self._durations.pop(packet.pts)
                self._container.mux(packet)
        except (av.FFmpegError, OSError) as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> OutputError:
        """Note that the file is incomplete, and return what to tell of it."""
        self._failed = True
        if self._audio is not None and isinstance(error, UNWRITABLE):
            return OutputError(
                f"cannot write {self.path}: the audio that it copies is damaged ({reason(error)})"
            )
        return OutputError(f"cannot write {self.path}: {reason(error)}")

    def close(self, *, all_audio: bool = False) -> None:
        """Complete the partial file, so that it can be played; further calls do nothing.

        Args:
            all_audio: all frames of the source were written: copy the audio to its end, not only as far as
                the pictures go.

        Raises:
            OutputError: the end cannot be written.
        """
        if self._closed:
            return
        self._closed = True
        try:
            try:
                if not self._failed:
                    end_s = self._encode_last(is_whole=all_audio)
                    if self._audio is not None:
                        self._audio.copy_until(None if all_audio else end_s)
            finally:
                self._container.close()
        except (av.FFmpegError, OSError) as error:
            if isinstance(error, OutputError):
                raise
            raise self._failure(error) from error
        finally:
            if self._audio is not None:
                self._audio.close()

    def _encode_last(self, *, is_whole: bool) -> float:
        """Encode the last picture, which stays as long as in the source, and return its end in seconds."""
        last, self._last = self._last, None
        if last is None or last.pts is None:
            self._encode(None)
            return 0.0
        base = self._info.time_base
        usual = 1 / (self._info.rate or _FALLBACK_RATE) / base
        if not last.duration:
            last.duration = round(usual)
        end_s = self._info.timeline.end_s
        if is_whole and self._written == self._info.frames and end_s is not None:
            left = round((end_s - (self._origin_s or 0)) / base) - last.pts
            if left * base <= _BELIEVED_STAY_S:
                last.duration = max(last.duration, left)
        last.duration = min(last.duration, int(_longest_s(base) / base))
        # nothing is reordered behind a key frame: it is the last in the file, and its end that of the track
        self._encode(last, is_key=last.duration > _STILL * usual)
        self._encode(None)
        return float((last.pts + last.duration) * base)

    @property
    def lost(self) -> str | None:
        """What of the source's audio could not be copied, known when it is closed; None when all was."""
        return None if self._audio is None else self._audio.lost

    def frames_kept(self) -> int:
        """Count the frames of the closed partial file that a player shows, 0 when it cannot be opened."""
        return pictures_played(self.partial_path)

    def commit(self) -> None:
        """Give the closed file its final name.

        Raises:
            OutputError: a player would not play all that was written, or the system refuses.
        """
        require_played(self.partial_path, self._written, {} if self._audio is None else self._audio.heard)
        self._file.commit(durable=True)
