"""Sources of frames and sinks for results."""

from hprnet_rt.video.image import ImageSink, ImageSource
from hprnet_rt.video.keypoints import KeypointsSink, KeypointsStream
from hprnet_rt.video.media import IMAGE_SUFFIXES, VIDEO_SUFFIXES, MediaInfo, is_image
from hprnet_rt.video.output import PartialFile
from hprnet_rt.video.reader import VideoSource
from hprnet_rt.video.writer import VideoSink

__all__ = [
    "IMAGE_SUFFIXES",
    "VIDEO_SUFFIXES",
    "ImageSink",
    "ImageSource",
    "KeypointsSink",
    "KeypointsStream",
    "MediaInfo",
    "PartialFile",
    "VideoSink",
    "VideoSource",
    "is_image",
]
