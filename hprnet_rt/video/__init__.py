"""Videos and images: sources of frames, and sinks for annotated frames."""

from hprnet_rt.video.file_source import FileSource, ResumePoint, chosen_frames, open_source
from hprnet_rt.video.image import ImageSink, ImageSource
from hprnet_rt.video.index import Part, PartDiffers, VideoIndex, read_index
from hprnet_rt.video.media import (
    IMAGE_SUFFIXES,
    OUTPUT_VIDEO_SUFFIXES,
    VIDEO_SUFFIXES,
    MediaInfo,
    image_suffix,
    is_address,
    is_image,
    is_sequence,
    refuse_a_stream,
    sequence_files,
    sequence_name,
)
from hprnet_rt.video.reader import VideoSource
from hprnet_rt.video.selection import BorrowedFrames, Selection
from hprnet_rt.video.sequence import DEFAULT_RATE, SequenceSource
from hprnet_rt.video.writer import VideoSink

__all__ = [
    "DEFAULT_RATE",
    "IMAGE_SUFFIXES",
    "OUTPUT_VIDEO_SUFFIXES",
    "VIDEO_SUFFIXES",
    "BorrowedFrames",
    "FileSource",
    "ImageSink",
    "ImageSource",
    "MediaInfo",
    "Part",
    "PartDiffers",
    "ResumePoint",
    "Selection",
    "SequenceSource",
    "VideoIndex",
    "VideoSink",
    "VideoSource",
    "chosen_frames",
    "image_suffix",
    "is_address",
    "is_image",
    "is_sequence",
    "open_source",
    "read_index",
    "refuse_a_stream",
    "sequence_files",
    "sequence_name",
]
