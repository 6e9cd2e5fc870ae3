"""Sources of frames and sinks for results."""

from hprnet_rt.video.device import CameraInfo, CameraMode, list_cameras
from hprnet_rt.video.image import ImageSink, ImageSource
from hprnet_rt.video.index import Part, PartDiffers, VideoIndex, read_index
from hprnet_rt.video.keypoints import KeypointsSink, KeypointsStream
from hprnet_rt.video.live import LiveOptions, LiveSource
from hprnet_rt.video.media import (
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    MediaInfo,
    is_address,
    is_image,
    is_sequence,
    sequence_files,
    sequence_name,
)
from hprnet_rt.video.open_live import open_live
from hprnet_rt.video.reader import VideoSource
from hprnet_rt.video.selection import BorrowedFrames, Selection
from hprnet_rt.video.sequence import DEFAULT_RATE, SequenceSource
from hprnet_rt.video.writer import VideoSink

__all__ = [
    "DEFAULT_RATE",
    "IMAGE_SUFFIXES",
    "VIDEO_SUFFIXES",
    "BorrowedFrames",
    "CameraInfo",
    "CameraMode",
    "ImageSink",
    "ImageSource",
    "KeypointsSink",
    "KeypointsStream",
    "LiveOptions",
    "LiveSource",
    "MediaInfo",
    "Part",
    "PartDiffers",
    "Selection",
    "SequenceSource",
    "VideoIndex",
    "VideoSink",
    "VideoSource",
    "is_address",
    "is_image",
    "is_sequence",
    "list_cameras",
    "open_live",
    "read_index",
    "sequence_files",
    "sequence_name",
]
