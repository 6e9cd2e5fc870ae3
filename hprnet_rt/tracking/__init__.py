"""People over time: ids that they keep, and points that do not tremble."""

from hprnet_rt.tracking.smoothing import OneEuro, OneEuroOptions, smooth_both_ways
from hprnet_rt.tracking.tracker import Tracker, TrackerOptions

__all__ = ["OneEuro", "OneEuroOptions", "Tracker", "TrackerOptions", "smooth_both_ways"]
