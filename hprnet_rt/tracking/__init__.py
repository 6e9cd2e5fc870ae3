"""People over time: ids that they keep, and points that do not jitter."""

from hprnet_rt.tracking.largest import LargestPeople, require_max_people
from hprnet_rt.tracking.smoothing import OneEuro, OneEuroOptions, both_ways, smooth_both_ways
from hprnet_rt.tracking.snapshots import Snapshots, State
from hprnet_rt.tracking.spool import PoseSpool
from hprnet_rt.tracking.steps import LIVE_SMOOTHINGS, TemporalStep, temporal_steps
from hprnet_rt.tracking.tracker import Tracker, TrackerOptions

__all__ = [
    "LIVE_SMOOTHINGS",
    "LargestPeople",
    "OneEuro",
    "OneEuroOptions",
    "PoseSpool",
    "Snapshots",
    "State",
    "TemporalStep",
    "Tracker",
    "TrackerOptions",
    "both_ways",
    "require_max_people",
    "smooth_both_ways",
    "temporal_steps",
]
