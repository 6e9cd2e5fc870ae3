"""What a network of the HPRNet family consists of: its heads, its parts and the columns of its output.

A network is described once, by its `ModelSpec`. The torch module, the ONNX export, the decode, training and
evaluation all read names and widths from it, and so does `PeakLayout`, the layout of the packed output that
an engine returns.
"""

from hprnet_rt.spec.layout import DEFAULT_K, Field, PeakLayout
from hprnet_rt.spec.model import HeadSpec, ModelSpec, PartSpec
from hprnet_rt.spec.networks import (
    HPRNET_DLA34,
    HPRNET_DLA34_BASELINE,
    HPRNET_DLA34_HM1,
    HPRNET_DLA34_R,
    HPRNET_HOURGLASS104,
    HPRNET_MOBILE,
    JOINTS_26,
    SPECS,
    refined,
)

__all__ = [
    "DEFAULT_K",
    "HPRNET_DLA34",
    "HPRNET_DLA34_BASELINE",
    "HPRNET_DLA34_HM1",
    "HPRNET_DLA34_R",
    "HPRNET_HOURGLASS104",
    "HPRNET_MOBILE",
    "JOINTS_26",
    "SPECS",
    "Field",
    "HeadSpec",
    "ModelSpec",
    "PartSpec",
    "PeakLayout",
    "refined",
]
