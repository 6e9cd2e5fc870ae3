"""A chart of curves: measured, extended, fitted, or of a paper."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hprnet_rt.charts.figure import COLORS, FIGURE_SUFFIXES, write_figure, write_notes
from hprnet_rt.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = ["Chart", "Curve", "write_chart"]

Point = tuple[float, float]

_SIZE_IN: Final = (9.6, 5.6)
_LOG_FROM: Final = 20.0  # above this ratio of the largest to the smallest value the y axis is logarithmic


@dataclass(frozen=True)
class Curve:
    """Points joined by lines.

    Attributes:
        name: for the legend.
        points: (x, y) in order of x.
        bars: (low, high) of each point's error bar, in units of y; empty for none.
        extension: (x, y) of a dashed line in the same colour: where the curve goes on, unmeasured.
        published: the points are numbers of a paper: hollow, on a dotted line.
        fitted: the line is fitted to other points; it has no dots.

    Raises:
        UsageError: there are no points, or not as many bars as points.
    """

    name: str
    points: Sequence[Point]
    bars: Sequence[Point] = ()
    extension: Sequence[Point] = ()
    published: bool = False
    fitted: bool = False

    def __post_init__(self) -> None:
        if not self.points:
            raise UsageError(f"{self.name} has no points: a curve needs one at least")
        if self.bars and len(self.bars) != len(self.points):
            raise UsageError(
                f"{self.name} has {len(self.points)} points and {len(self.bars)} error bars: give one to each"
            )


@dataclass(frozen=True)
class Chart:
    """The content of a chart.

    Attributes:
        title, x_label, y_label: with units.
        curves: in the order of the legend.
        notes: lines below the chart.
        x_log, y_log: the axis is logarithmic; None: y is if its values differ twentyfold.
    """

    title: str
    x_label: str
    y_label: str
    curves: Sequence[Curve]
    notes: Sequence[str] = ()
    x_log: bool = False
    y_log: bool | None = None


def write_chart(chart: Chart, path: Path) -> list[Path]:
    """Write a chart to `path` with the suffixes .svg and .png, and return both paths.

    Raises:
        UsageError: matplotlib is not installed.
        OutputError: a file cannot be written.
    """
    paths = [path.with_name(f"{path.name}{suffix}") for suffix in reversed(FIGURE_SUFFIXES)]
    write_figure(paths, lambda figure: _draw(chart, figure), _SIZE_IN)
    return paths


def _draw(chart: Chart, figure: Figure) -> None:
    axes = figure.add_subplot()
    axes.set_title(chart.title, loc="left", fontsize=14, pad=12)
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    handles = [
        _draw_curve(axes, curve, color, len(chart.curves) - number)
        for number, (curve, color) in enumerate(zip(chart.curves, itertools.cycle(COLORS), strict=False))
    ]
    if chart.x_log:
        axes.set_xscale("log")
        _round_ticks(axes.xaxis)
    if _is_logarithmic(chart):
        axes.set_yscale("log")
        _round_ticks(axes.yaxis)
    else:
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    figure.legend(handles=handles, loc="outside right upper", fontsize=9)
    write_notes(figure, chart.notes)


def _draw_curve(axes: Axes, curve: Curve, color: str, order: int) -> Any:
    """Draw a curve, and return what stands for it in the legend.

    Args:
        axes: are drawn on.
        curve: what is drawn.
        color: of all of it.
        order: those with a higher one cover it.
    """
    x, y = [list(values) for values in zip(*curve.points, strict=True)]
    look: dict[str, Any] = {"color": color, "linewidth": 1.8, "label": curve.name, "zorder": 2 + order / 100}
    if curve.published:
        look |= {"linestyle": ":", "marker": "D", "markersize": 6, "markerfacecolor": "white"}
    elif not curve.fitted:
        look |= {"marker": "o", "markersize": 5}
    if curve.extension:
        further_x, further_y = zip(*curve.extension, strict=True)
        axes.plot(further_x, further_y, color=color, linewidth=1.5, linestyle="--")
    if not curve.bars:
        return axes.plot(x, y, **look)[0]
    lengths = [
        [value - low for value, (low, _) in zip(y, curve.bars, strict=True)],
        [high - value for value, (_, high) in zip(y, curve.bars, strict=True)],
    ]
    return axes.errorbar(x, y, yerr=lengths, capsize=3, elinewidth=1.2, **look)


def _is_logarithmic(chart: Chart) -> bool:
    if chart.y_log is not None:
        return chart.y_log
    values = [y for curve in chart.curves for _, y in (*curve.points, *curve.extension)]
    return min(values) > 0 and max(values) / min(values) > _LOG_FROM


def _round_ticks(axis: Axis) -> None:
    """Let a logarithmic axis have ticks at 1, 2, 5, 10..., as plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
