"""Plots beside the picture: frame rate, time in each stage, and number of people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from hprnet_rt.live import theme
from hprnet_rt.live.readings import Readings

__all__ = ["History", "Plots", "round_scale"]

FloatArray = npt.NDArray[np.float64]

WIDTH_PX: Final = 350
_SPANS_S: Final = (
    (10, 5),
    (15, 5),
    (20, 10),
    (30, 10),
    (45, 15),
    (60, 20),
)  # length of the time axis, and distance of its labels
_LONGEST_S: Final = 60.0
_WAITING: Final = "waiting"
_GRID: Final = 60  # of 255
_SPIKE: Final = 3.0  # times the median


class History:
    """Readings of the last minute, in constant memory.

    Args:
        stages: names, see `Session.stages`.
        capacity: readings kept.
    """

    def __init__(self, stages: Sequence[str], capacity: int) -> None:
        self.stages = tuple(stages)
        self._rows = np.zeros((capacity, 4 + len(self.stages) + 1))
        self._count = 0

    def __len__(self) -> int:
        return min(self._count, len(self._rows))

    def add(self, now_s: float, readings: Readings) -> None:
        """Keep one reading, taken at `now_s`; the age is NaN when no frame was shown."""
        recent = [readings.stages.get(name) for name in self.stages]
        services = [0.0 if item is None else item.service_ms for item in recent]
        waiting = sum(item.wait_ms for item in recent if item is not None)
        age_ms = readings.age_ms if readings.fps > 0 else np.nan
        row = (now_s, readings.fps, age_ms, readings.people, *services, waiting)
        self._rows[self._count % len(self._rows)] = row
        self._count += 1

    def _column(self, index: int | slice) -> FloatArray:
        """Return columns of the history, oldest row first."""
        if self._count <= len(self._rows):
            return self._rows[: self._count, index]
        return np.roll(self._rows, -(self._count % len(self._rows)), axis=0)[:, index]

    @property
    def time_s(self) -> FloatArray:
        """(n,) times of the readings."""
        return self._column(0)

    @property
    def fps(self) -> FloatArray:
        """(n,) frames per second."""
        return self._column(1)

    @property
    def age_ms(self) -> FloatArray:
        """(n,) age of the shown frames, NaN where no frame was shown."""
        return self._column(2)

    @property
    def people(self) -> FloatArray:
        """(n,) people in the last frame."""
        return self._column(3)

    @property
    def parts_ms(self) -> FloatArray:
        """(n, stages + 1) time in each stage, then the time spent waiting before all of them."""
        return self._column(slice(4, None))


def round_scale(highest: float, lines: int) -> tuple[float, float]:
    """Return the end of an axis, a round number not below `highest`, and the step of its labels.

    There are at most `lines` steps. An axis for values below 1 ends at 1.
    """
    least = max(highest, 1.0) / lines
    power = 10.0 ** math.floor(math.log10(least))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))
    return math.ceil(max(highest, 1.0) / step - 1e-9) * step, step


def _usual_highest(values: FloatArray) -> float:
    """Return the highest value, or less when it is a spike: the other values stay readable."""
    return min(float(values.max()), _SPIKE * float(np.median(values)))


class _Card(QFrame):
    """A titled plot over the last minute, whose vertical axis begins at 0.

    Args:
        title: what is plotted.
        unit: of the vertical axis.
        lines: most steps of that axis.
    """

    def __init__(self, title: str, unit: str = "", lines: int = 4) -> None:
        super().__init__()
        self._unit, self._lines = unit, lines
        self._scale = (0.0, 0.0)
        self._span = 0
        self.setObjectName("card")
        self.value = QLabel()
        self.value.setObjectName("value")
        name = QLabel(title)
        name.setObjectName("name")
        head = QHBoxLayout()
        head.addWidget(name, 1, Qt.AlignmentFlag.AlignBaseline)
        head.addWidget(self.value, 0, Qt.AlignmentFlag.AlignBaseline)
        self.plot: Any = pg.PlotWidget(background=theme.CARD)
        self.plot.setFrameShape(QFrame.Shape.NoFrame)
        self.plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.plot.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.plot.setMinimumHeight(84)
        item = self.plot.getPlotItem()
        item.hideButtons()
        item.setMenuEnabled(False)
        item.setMouseEnabled(False, False)
        item.layout.setContentsMargins(0, 6, 18, 0)
        item.showAxis("right")  # draws the grid: an axis that does loses the labels at its ends
        grid = item.getAxis("right")
        grid.setStyle(showValues=False, tickLength=0)
        grid.setPen(pg.mkPen(None))
        grid.setTickPen(theme.MUTED)
        grid.setGrid(_GRID)
        grid.setWidth(0)
        for side in ("left", "bottom"):
            axis = item.getAxis(side)
            axis.setTextPen(theme.MUTED)
            axis.setPen(theme.EDGE)
            axis.setTickFont(self.font())
            axis.setStyle(tickLength=0, hideOverlappingLabels=False, tickTextOffset=6)
        item.getAxis("left").setWidth(self.fontMetrics().horizontalAdvance("0000 ms") + 8)
        item.getAxis("bottom").setHeight(self.fontMetrics().height() + 8)
        self.box = QVBoxLayout(self)
        self.box.setContentsMargins(14, 10, 4, 8)
        self.box.setSpacing(2)
        head.setContentsMargins(0, 0, 12, 0)
        self.box.addLayout(head)
        self.box.addWidget(self.plot, 1)

    def curve(self, color: str, *, filled: bool = False, width: float = 1.6) -> Any:
        """Add a line, or the filled area below one."""
        pen = pg.mkPen(None) if filled else pg.mkPen(color, width=width)
        fill = {"fillLevel": 0.0, "brush": color} if filled else {}
        curve = pg.PlotCurveItem(pen=pen, connect="finite", antialias=True, **fill)
        self.plot.addItem(curve)
        return curve

    def fit(self, highest: float, span_s: float) -> None:
        """Set both axes, if they change.

        Args:
            highest: value to be shown.
            span_s: time to be shown.
        """
        scale = round_scale(1.1 * highest, self._lines)
        span, step = next((item for item in _SPANS_S if item[0] >= span_s), _SPANS_S[-1])
        item = self.plot.getPlotItem()
        if scale != self._scale:
            self._scale = scale
            top, division = scale
            values = np.arange(0.0, top + division / 2, division)
            item.setYRange(0.0, top, padding=0)
            ticks = [(value, f"{value:g} {self._unit}".strip()) for value in values]
            item.getAxis("left").setTicks([ticks])
            item.getAxis("right").setTicks([[(value, "") for value in values]])
        if span != self._span:
            self._span = span
            item.setXRange(-span, 0, padding=0)
            times = [(-ago, f"-{ago} s" if ago else "now") for ago in range(0, span + 1, step)]
            item.getAxis("bottom").setTicks([times])


class Plots(QWidget):
    """A column of plots, drawn from a history.

    Args:
        stages: names, see `Session.stages`.
        rate_hz: how often `add` will be called.

    Attributes:
        history: the readings that are drawn.
        fps_curve: the curve of frames per second.
    """

    def __init__(self, stages: Sequence[str], rate_hz: float) -> None:
        super().__init__()
        self.history = History(stages, math.ceil(_LONGEST_S * rate_hz) + 1)
        self.setFixedWidth(WIDTH_PX)
        self.setStyleSheet(
            f"#card {{ background: {theme.CARD}; border: 1px solid {theme.EDGE}; border-radius: 10px; }}"
            f"QLabel {{ color: {theme.TEXT}; }}"
            f"#name {{ color: {theme.MUTED}; }}"
            "#value { font-size: 17pt; font-weight: bold; }"
        )
        self._rate = _Card("Frames a second", lines=3)
        self._latency = _Card("Age of the picture", "ms")
        self._people = _Card("People", lines=2)
        colors = [theme.STAGES[i % len(theme.STAGES)] for i in range(len(stages))]
        parts = [*zip(stages, colors, strict=True), (_WAITING, theme.WAITING)]
        # painted from the highest sum to the lowest, each over the one before: its own share stays visible
        self._areas = [self._latency.curve(color, filled=True) for _, color in reversed(parts)][::-1]
        self._age = self._latency.curve(theme.AGE, width=1.4)
        self.fps_curve = self._rate.curve(theme.ACCENT)
        self._count = self._people.curve(theme.AMBER)
        self._legend = _legend(self._latency.box, [*parts, ("age", theme.AGE)])
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 12, 12, 12)
        column.setSpacing(10)
        column.addWidget(self._rate, 4)
        column.addWidget(self._latency, 8)
        column.addWidget(self._people, 3)

    def add(self, now_s: float, readings: Readings) -> None:
        """Keep a reading taken at `now_s`, and draw the history if it is visible."""
        self.history.add(now_s, readings)
        if not self.isVisible():
            return
        history = self.history
        ago = history.time_s - now_s
        span_s = min(-float(ago[0]), _LONGEST_S)
        self.fps_curve.setData(ago, history.fps)
        self._rate.value.setText(f"{readings.fps:.1f}")
        self._rate.fit(_usual_highest(history.fps), span_s)
        sums = np.cumsum(history.parts_ms, axis=1)
        for area, top in zip(self._areas, sums.T, strict=True):
            area.setData(ago, top)
        age_ms = np.nan_to_num(history.age_ms)
        self._age.setData(ago, history.age_ms)
        self._latency.value.setText(f"{age_ms[-1]:.0f} ms" if age_ms[-1] else "")
        self._latency.fit(_usual_highest(np.maximum(age_ms, sums[:, -1])), span_s)
        for label, part_ms in zip(self._legend, (*history.parts_ms[-1], age_ms[-1]), strict=True):
            label.setText(f"{part_ms:.1f} ms")
        self._count.setData(ago, history.people)
        self._people.value.setText(str(readings.people))
        self._people.fit(float(history.people.max()), span_s)


def _legend(box: QVBoxLayout, parts: Sequence[tuple[str, str]]) -> list[QLabel]:
    """Add names and colours below a plot, and return the labels that show the times.

    The last one is a line, the others are areas.
    """
    grid = QGridLayout()
    grid.setContentsMargins(2, 6, 14, 4)
    grid.setHorizontalSpacing(8)
    grid.setVerticalSpacing(5)
    values: list[QLabel] = []
    rows = math.ceil(len(parts) / 2)
    for index, (name, color) in enumerate(parts):
        row, column = index % rows, 4 * (index // rows)
        swatch = QFrame()
        height, radius = (10, 3) if index < len(parts) - 1 else (3, 1)
        swatch.setFixedSize(10, height)
        swatch.setStyleSheet(f"background: {color}; border-radius: {radius}px;")
        value = QLabel()
        value.setAlignment(Qt.AlignmentFlag.AlignRight)
        grid.addWidget(swatch, row, column)
        grid.addWidget(QLabel(name), row, column + 1)
        grid.addWidget(value, row, column + 2)
        values.append(value)
    grid.setColumnStretch(2, 1)
    grid.setColumnMinimumWidth(3, 12)
    grid.setColumnStretch(6, 1)
    box.addLayout(grid)
    return values
