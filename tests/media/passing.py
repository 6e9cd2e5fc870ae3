"""The way of a video from its reader to its writer, without a network, and what a player shows of a file."""

from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np

from hprnet_rt.types import FramePoses, Poses
from hprnet_rt.video import VideoSink, VideoSource


def pass_through(source, out, *, deinterlace="auto", crf=0, **settings):
    """Write what is read, as annotate does where nobody is; return the source's frames without images."""
    video = VideoSource(source, deinterlace)
    sink = VideoSink(out, video.info, audio_from=source, threads=1, crf=crf, **settings)
    try:
        times = []
        for frame in video:
            sink.write(FramePoses(frame, Poses.empty()))
            times.append(frame.pts * frame.time_base)
        assert video.damage is None
        sink.close(all_audio=True)
        sink.commit()
    finally:
        sink.close()
        video.close()
    return times


@dataclass(frozen=True)
class Played:
    """What a player shows of a file.

    Attributes:
        times: of the pictures, in seconds.
        end_s: of the last picture.
        sounds: packets of sound, without those that an edit list hides, as (bytes, seconds).
        frames: the decoded pictures.
        tags, stream_tags: of the file and of the pictures' stream.
    """

    times: list[Fraction]
    end_s: Fraction
    sounds: list[tuple[bytes, Fraction]]
    frames: list[av.VideoFrame]
    tags: dict[str, str]
    stream_tags: dict[str, str]


def play(path):
    """Decode a file; pictures and sound that its edit lists hide are left out, as players do."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        frames = list(file.decode(stream))
        tags, stream_tags = dict(file.metadata), dict(stream.metadata)
    sounds = []
    with av.open(str(path)) as file:
        for packet in file.demux(*file.streams.audio) if file.streams.audio else ():
            if packet.size and not packet.is_discard:
                sounds.append((bytes(packet), packet.pts * packet.time_base))
    last = frames[-1]
    times = [frame.pts * frame.time_base for frame in frames]
    return Played(times, times[-1] + last.duration * last.time_base, sounds, frames, tags, stream_tags)


def planes(frame):
    """The Y, Cb and Cr of a decoded 8-bit picture, as whole numbers (H, W) each."""
    return [
        np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width].astype(int)
        for plane in frame.planes
    ]


def labels(frame):
    """Range, matrix, primaries and transfer of a decoded picture."""
    numbers = frame.color_range, frame.colorspace, frame.color_primaries, frame.color_trc
    return tuple(map(int, numbers))
