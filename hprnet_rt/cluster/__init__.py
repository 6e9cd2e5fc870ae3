"""Finding everyone on many machines: workers on a Ray cluster, each with an engine of its own.

A source is cut at key frames into parts; workers look at them, and what they find is put together in order.
It is what one machine finds, frame by frame. What follows (tracking, smoothing, drawing, writing) is done
here.
"""

from hprnet_rt.cluster.finder import Cluster
from hprnet_rt.cluster.requests import ModelChoice
from hprnet_rt.cluster.workers import connect

__all__ = ["Cluster", "ModelChoice", "connect"]
