"""People over time: ids that they keep, and points that do not tremble."""

from hprnet_rt.tracking.tracker import Tracker, TrackerOptions

__all__ = ["Tracker", "TrackerOptions"]
