"""Charts as files: curves of figures, and keypoints over time. Drawn by matplotlib, which is an extra."""

from hprnet_rt.charts.chart import Chart, Curve, write_chart
from hprnet_rt.charts.figure import require_matplotlib

__all__ = ["Chart", "Curve", "require_matplotlib", "write_chart"]
