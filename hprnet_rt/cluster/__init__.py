"""Pose estimation on many machines: workers on a Ray cluster, each with a backend of its own.

A source is cut at key frames into parts. Workers estimate the poses in the parts, and the results are put
together in order. They are the same, frame by frame, as those of one machine. The later stages (tracking,
smoothing, drawing, writing) run in this process.
"""

from hprnet_rt.cluster.finder import Cluster
from hprnet_rt.cluster.requests import ModelChoice
from hprnet_rt.cluster.workers import connect

__all__ = ["Cluster", "ModelChoice", "connect"]
