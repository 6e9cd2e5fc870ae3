"""Stored keypoints: JSON lines, which hold everything, and the forms that other programs read."""

from hprnet_rt.formats.jsonl import KeypointsSink, KeypointsStream
from hprnet_rt.formats.recording import KeypointsFrame, Recording
from hprnet_rt.formats.registry import (
    FORMATS,
    Format,
    format_of,
    read_keypoints,
    require_format,
    write_keypoints,
)

__all__ = [
    "FORMATS",
    "Format",
    "KeypointsFrame",
    "KeypointsSink",
    "KeypointsStream",
    "Recording",
    "format_of",
    "read_keypoints",
    "require_format",
    "write_keypoints",
]
