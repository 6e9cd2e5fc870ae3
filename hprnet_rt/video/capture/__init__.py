"""Live sources: cameras, screens, network streams, and files played by their own clock."""

from hprnet_rt.video.capture.device import CameraInfo, CameraMode, list_cameras
from hprnet_rt.video.capture.registry import kind_of, live_help, open_live
from hprnet_rt.video.capture.source import LiveKind, LiveOptions, LiveSource

__all__ = [
    "CameraInfo",
    "CameraMode",
    "LiveKind",
    "LiveOptions",
    "LiveSource",
    "kind_of",
    "list_cameras",
    "live_help",
    "open_live",
]
