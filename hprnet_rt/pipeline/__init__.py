"""Stages on threads over closable channels, with a profiler."""

from hprnet_rt.pipeline.channel import Channel, ChannelClosed
from hprnet_rt.pipeline.profiler import Profiler, StageSummary
from hprnet_rt.pipeline.runner import Parcel, Pipeline, Stage

__all__ = ["Channel", "ChannelClosed", "Parcel", "Pipeline", "Profiler", "Stage", "StageSummary"]
