"""The frozen values that travel through the pipeline: Frame, Planes, Peaks, Poses, Person and others."""

from hprnet_rt.types.frame import Frame, ImageArray, unseen_frame
from hprnet_rt.types.peaks import Inferred, Maps, Peaks, Prepared
from hprnet_rt.types.person import Person
from hprnet_rt.types.planes import Planes
from hprnet_rt.types.poses import FramePoses, Poses
from hprnet_rt.types.trust import (
    HAND_THRESHOLD,
    JUDGED_WHOLE,
    POINT_THRESHOLD,
    UNREFINED_HAND_THRESHOLD,
    least_scores,
    require_threshold,
    sure_scores,
)

__all__ = [
    "HAND_THRESHOLD",
    "JUDGED_WHOLE",
    "POINT_THRESHOLD",
    "UNREFINED_HAND_THRESHOLD",
    "Frame",
    "FramePoses",
    "ImageArray",
    "Inferred",
    "Maps",
    "Peaks",
    "Person",
    "Planes",
    "Poses",
    "Prepared",
    "least_scores",
    "require_threshold",
    "sure_scores",
    "unseen_frame",
]
