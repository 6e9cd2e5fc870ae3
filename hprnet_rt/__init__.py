"""hprnet-rt: whole-body skeletons of everyone in a video, at a cost that does not grow with people.

import hprnet_rt

model = hprnet_rt.load()
poses = model(image_bgr)
for frame, poses in hprnet_rt.stream("video.mp4"):
    ...
"""

from hprnet_rt import image_limit  # noqa: F401 - before OpenCV is loaded

# isort: split
from hprnet_rt.errors import (
    BackendError,
    DataError,
    HprnetError,
    MediaError,
    ModelError,
    OutputError,
    PipelineError,
    ShapeError,
    UsageError,
)
from hprnet_rt.estimator import PoseModel, load
from hprnet_rt.formats import KeypointsFrame, Recording, read_keypoints, write_keypoints
from hprnet_rt.render import Overlay, OverlayStyle
from hprnet_rt.stages import stream
from hprnet_rt.tracking import OneEuro, OneEuroOptions, Tracker, TrackerOptions, smooth_both_ways
from hprnet_rt.types import Frame, Person, Poses
from hprnet_rt.version import __version__

__all__ = [
    "BackendError",
    "DataError",
    "Frame",
    "HprnetError",
    "KeypointsFrame",
    "MediaError",
    "ModelError",
    "OneEuro",
    "OneEuroOptions",
    "OutputError",
    "Overlay",
    "OverlayStyle",
    "Person",
    "PipelineError",
    "PoseModel",
    "Poses",
    "Recording",
    "ShapeError",
    "Tracker",
    "TrackerOptions",
    "UsageError",
    "__version__",
    "load",
    "read_keypoints",
    "smooth_both_ways",
    "stream",
    "write_keypoints",
]
