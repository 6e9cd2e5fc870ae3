"""Stages on threads over closable channels, with a profiler."""

from hprnet_rt.pipeline.channel import Channel, ChannelClosed
from hprnet_rt.pipeline.profiler import Profiler, Recent, Span, StageSummary
from hprnet_rt.pipeline.runner import Parcel, Pipeline, Stage

__all__ = [
    "Channel",
    "ChannelClosed",
    "Parcel",
    "Pipeline",
    "Profiler",
    "Recent",
    "Span",
    "Stage",
    "StageSummary",
]
