"""Drawing of skeletons."""

from hprnet_rt.render.overlay import Overlay, OverlayStyle

__all__ = ["Overlay", "OverlayStyle"]
