"""People over time: ids that they keep, and points that do not jitter."""

from hprnet_rt.tracking.smoothing import OneEuro, OneEuroOptions, both_ways, smooth_both_ways
from hprnet_rt.tracking.snapshots import Snapshots, State
from hprnet_rt.tracking.spool import PoseSpool
from hprnet_rt.tracking.steps import LIVE_SMOOTHINGS, temporal_steps
from hprnet_rt.tracking.tracker import Tracker, TrackerOptions

__all__ = [
    "LIVE_SMOOTHINGS",
    "OneEuro",
    "OneEuroOptions",
    "PoseSpool",
    "Snapshots",
    "State",
    "Tracker",
    "TrackerOptions",
    "both_ways",
    "smooth_both_ways",
    "temporal_steps",
]
