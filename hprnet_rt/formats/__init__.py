"""Stored keypoints: JSON lines, which lose nothing, and formats that other programs read."""

from hprnet_rt.formats.format import Format
from hprnet_rt.formats.jsonl import KeypointsSink, KeypointsStream
from hprnet_rt.formats.recording import KeypointsFrame, Recording
from hprnet_rt.formats.registry import (
    FORMATS,
    format_of,
    formats_help,
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
    "formats_help",
    "read_keypoints",
    "require_format",
    "write_keypoints",
]
