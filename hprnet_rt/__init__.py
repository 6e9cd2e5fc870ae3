"""hprnet-rt: whole-body skeletons of everyone in a video, at a cost that does not grow with people.

import hprnet_rt

model = hprnet_rt.load()
poses = model(image_bgr)
for frame, poses in hprnet_rt.stream("video.mp4"):
    ...
"""

from hprnet_rt.environment import settle as _settle

_settle()  # before a library is loaded

TYPE_CHECKING = False  # what follows is loaded when it is used: the command can soon be stopped
if TYPE_CHECKING:
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
    from hprnet_rt.formats import KeypointsFrame, Recording, read_keypoints, write_keypoints
    from hprnet_rt.inference.model import PoseModel, load
    from hprnet_rt.inference.stages import stream
    from hprnet_rt.render import Overlay, OverlayStyle
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

_PLACES = {
    "errors": (
        "BackendError",
        "DataError",
        "HprnetError",
        "MediaError",
        "ModelError",
        "OutputError",
        "PipelineError",
        "ShapeError",
        "UsageError",
    ),
    "formats": ("KeypointsFrame", "Recording", "read_keypoints", "write_keypoints"),
    "inference.model": ("PoseModel", "load"),
    "inference.stages": ("stream",),
    "render": ("Overlay", "OverlayStyle"),
    "tracking": ("OneEuro", "OneEuroOptions", "Tracker", "TrackerOptions", "smooth_both_ways"),
    "types": ("Frame", "Person", "Poses"),
    "version": ("__version__",),
}
"""Modules, and what is public of them."""


def __getattr__(name: str) -> object:
    from importlib import import_module

    for module, names in _PLACES.items():
        if name in names:
            value: object = getattr(import_module(f"{__name__}.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
