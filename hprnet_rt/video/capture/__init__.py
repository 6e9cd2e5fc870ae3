"""Live sources: cameras, screens, network streams, and files played by their own clock."""

from hprnet_rt.video.capture.device import CameraInfo, CameraMode, list_cameras
from hprnet_rt.video.capture.open_live import names_camera, open_live
from hprnet_rt.video.capture.source import LiveOptions, LiveSource

__all__ = [
    "CameraInfo",
    "CameraMode",
    "LiveOptions",
    "LiveSource",
    "list_cameras",
    "names_camera",
    "open_live",
]
