"""Find everyone in pictures and videos: 133 points of body, feet, face and hands of each person.

A picture. `image` is (height, width, 3) uint8 BGR, as OpenCV reads it:

    import hprnet_rt

    model = hprnet_rt.load()
    for person in model(image).confident():
        x, y, score = person["left_wrist"]          # NaN, NaN, 0 where it is not to be trusted

A video, frame by frame; live=True takes a camera (0), an address, or a file by its own clock:

    with hprnet_rt.stream("video.mp4") as video:
        for frame, poses in video:
            print(frame.pts_s, len(poses), poses.track_id)

A video drawn upon, with its times and its sound, as `hprnet-rt annotate` does it:

    report = hprnet_rt.annotate("video.mp4", "out")

What there is:

    load, PoseModel                 the network: image in, poses out
    stream, Stream, Frame           videos and cameras, frame by frame
    Poses, Person                   people: arrays, and one of them; choosing, NumPy, pandas, COCO
    KEYPOINT_NAMES, PARTS, SKELETON, index      the 133 points, their parts, the lines between them
    annotate, AnnotateReport, Progress          files in, drawn files and keypoints out
    VideoWriter, Overlay, OverlayStyle, FaceBlur    drawing, and writing what was drawn
    read_keypoints, write_keypoints, Recording, KeypointsFrame      files of keypoints
    Tracker, OneEuro, smooth_both_ways, and their options       ids over time, steadier points
    HprnetError                     the base of all errors, each a sentence that says what to do

docs/keypoints.md says what scores mean, and which points can be trusted; docs/python.md and demos/ have whole
programs. The examples of the docstrings run in a folder with a short video.mp4, of which `image` is a frame.
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
    from hprnet_rt.inference.stream import Stream, stream
    from hprnet_rt.jobs.annotate import AnnotateReport, Progress, annotate
    from hprnet_rt.jobs.video_writer import VideoWriter
    from hprnet_rt.render import FaceBlur, Overlay, OverlayStyle
    from hprnet_rt.skeleton import KEYPOINT_NAMES, PARTS, SKELETON, index
    from hprnet_rt.tracking import OneEuro, OneEuroOptions, Tracker, TrackerOptions, smooth_both_ways
    from hprnet_rt.types import Frame, Person, Poses
    from hprnet_rt.version import __version__

__all__ = [
    "KEYPOINT_NAMES",
    "PARTS",
    "SKELETON",
    "AnnotateReport",
    "BackendError",
    "DataError",
    "FaceBlur",
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
    "Progress",
    "Recording",
    "ShapeError",
    "Stream",
    "Tracker",
    "TrackerOptions",
    "UsageError",
    "VideoWriter",
    "__version__",
    "annotate",
    "index",
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
    "inference.stream": ("Stream", "stream"),
    "jobs.annotate": ("AnnotateReport", "Progress", "annotate"),
    "jobs.video_writer": ("VideoWriter",),
    "render": ("FaceBlur", "Overlay", "OverlayStyle"),
    "skeleton": ("KEYPOINT_NAMES", "PARTS", "SKELETON", "index"),
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
