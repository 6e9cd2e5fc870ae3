"""Pipelines of stages that run in threads and are connected by closable channels; profiling and traces."""

from hprnet_rt.pipeline.channel import Channel, ChannelClosed
from hprnet_rt.pipeline.profiler import Profiler, Recent, Span, StageSummary
from hprnet_rt.pipeline.runner import Pipeline
from hprnet_rt.pipeline.stage import BatchStage, Packet, Stage
from hprnet_rt.pipeline.trace import check_trace_name, write_trace

__all__ = [
    "BatchStage",
    "Channel",
    "ChannelClosed",
    "Packet",
    "Pipeline",
    "Profiler",
    "Recent",
    "Span",
    "Stage",
    "StageSummary",
    "check_trace_name",
    "write_trace",
]
