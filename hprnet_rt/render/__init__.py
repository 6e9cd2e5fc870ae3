"""Drawing of skeletons."""

from hprnet_rt.render.blur import FaceBlur
from hprnet_rt.render.drawing import (
    BLURS,
    ONLY,
    Drawing,
    PlaneDrawing,
    conceals,
    draw_onto,
    drawing_beneath,
    drawing_of,
    draws_planes,
    require_drawing,
)
from hprnet_rt.render.overlay import HIDEABLE, Overlay, OverlayStyle

__all__ = [
    "BLURS",
    "HIDEABLE",
    "ONLY",
    "Drawing",
    "FaceBlur",
    "Overlay",
    "OverlayStyle",
    "PlaneDrawing",
    "conceals",
    "draw_onto",
    "drawing_beneath",
    "drawing_of",
    "draws_planes",
    "require_drawing",
]
