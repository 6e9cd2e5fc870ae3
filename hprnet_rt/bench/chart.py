"""Line charts as SVG (written as text) and as PNG (drawn by OpenCV), from the same shapes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

import cv2
import numpy as np

from hprnet_rt.files import output_errors

__all__ = ["Chart", "Curve", "write_chart"]

Point = tuple[float, float]

COLORS: Final = ("#1f6fb4", "#d1495b", "#2a9d5c", "#8a5fbf", "#c77d0a", "#4b5563")
_SIZE: Final = (960, 600)
_AREA: Final = (90, 110, 670, 530)  # left, top, right, bottom of the axes
_INK: Final = "#222222"
_PALE: Final = "#dddddd"
_FONT_PX: Final = 14
_LOG_FROM: Final = 20.0  # above this ratio of the largest to the smallest value the scale is logarithmic


@dataclass(frozen=True)
class Curve:
    """Points joined by lines.

    Attributes:
        name: for the legend.
        points: (x, y) in order of x.
        published: the points are numbers of a paper; the line is dashed, without dots.
        fitted: the line is fitted to other points; it has no dots.
    """

    name: str
    points: Sequence[Point]
    published: bool = False
    fitted: bool = False


@dataclass(frozen=True)
class Chart:
    """The content of a chart; `notes` are lines below the title."""

    title: str
    x_label: str
    y_label: str
    curves: Sequence[Curve]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class _Line:
    start: Point
    end: Point
    color: str
    width: int = 1
    dashed: bool = False


@dataclass(frozen=True)
class _Dot:
    at: Point
    color: str


@dataclass(frozen=True)
class _Text:
    at: Point
    text: str
    anchor: str = "start"  # or "middle", "end"
    size_px: int = _FONT_PX


_Shape = _Line | _Dot | _Text


@dataclass(frozen=True)
class _Scale:
    """The map from values to pixels along an axis."""

    low: float
    high: float
    from_px: float
    to_px: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.logarithmic:
            value, low, high = (math.log10(max(number, 1e-9)) for number in (value, low, high))
        return self.from_px + (value - low) / (high - low) * (self.to_px - self.from_px)

    def ticks(self) -> list[float]:
        """Return round values along the axis."""
        if self.logarithmic:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            values = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
        else:
            step = 10.0 ** math.floor(math.log10(self.high - self.low))
            step *= next(f for f in (0.1, 0.2, 0.5, 1.0, 2.0) if (self.high - self.low) / (f * step) <= 10)
            first = math.ceil(self.low / step)
            values = [n * step for n in range(first, math.floor(self.high / step) + 1)]
        slack = 1e-9 * self.high
        return [value for value in values if self.low - slack <= value <= self.high + slack]


def _scales(chart: Chart) -> tuple[_Scale, _Scale]:
    xs = [x for curve in chart.curves for x, _ in curve.points]
    ys = [y for curve in chart.curves for _, y in curve.points]
    left, top, right, bottom = _AREA
    across = _Scale(min(xs), max(max(xs), min(xs) + 1), left, right)
    smallest, largest = max(min(ys), 1e-6), max(ys)
    if largest / smallest > _LOG_FROM:
        return across, _Scale(smallest / 1.3, largest * 1.3, bottom, top, logarithmic=True)
    return across, _Scale(0.0, largest * 1.1, bottom, top)


def _shapes(chart: Chart) -> list[_Shape]:
    """Return everything in the chart, from back to front."""
    across, up = _scales(chart)
    left, top, right, bottom = _AREA
    shapes: list[_Shape] = [_Text((left, 28), chart.title, size_px=19)]
    shapes += [_Text((left, 50 + 18 * n), note) for n, note in enumerate(chart.notes)]
    for value in up.ticks():
        shapes.append(_Line((left, up(value)), (right, up(value)), _PALE))
        shapes.append(_Text((left - 8, up(value) + 5), f"{value:g}", "end"))
    for value in across.ticks():
        shapes.append(_Line((across(value), bottom), (across(value), bottom + 5), _INK))
        shapes.append(_Text((across(value), bottom + 22), f"{value:g}", "middle"))
    shapes += [_Line((left, top), (left, bottom), _INK), _Line((left, bottom), (right, bottom), _INK)]
    shapes.append(_Text(((left + right) / 2, bottom + 46), chart.x_label, "middle"))
    shapes.append(_Text((left - 8, top - 10), chart.y_label, "end"))
    for n, curve in enumerate(chart.curves):
        color = COLORS[n % len(COLORS)]
        places = [(across(x), up(y)) for x, y in curve.points]
        for start, end in itertools.pairwise(places):
            shapes.append(_Line(start, end, color, 2, curve.published or curve.fitted))
        if not (curve.published or curve.fitted):
            shapes += [_Dot(place, color) for place in places]
        y = top + 10 + 22 * n
        shapes.append(_Line((right + 18, y), (right + 44, y), color, 2, curve.published or curve.fitted))
        shapes.append(_Text((right + 52, y + 5), curve.name, size_px=13))
    return shapes


def _svg(shapes: Sequence[_Shape]) -> str:
    width, height = _SIZE
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for shape in shapes:
        if isinstance(shape, _Line):
            (x1, y1), (x2, y2) = shape.start, shape.end
            dashes = ' stroke-dasharray="6 5"' if shape.dashed else ""
            lines.append(
                f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{shape.color}" '
                f'stroke-width="{shape.width}"{dashes}/>'
            )
        elif isinstance(shape, _Dot):
            lines.append(
                f'<circle cx="{shape.at[0]:.1f}" cy="{shape.at[1]:.1f}" r="4" fill="{shape.color}"/>'
            )
        else:
            lines.append(
                f'<text x="{shape.at[0]:.1f}" y="{shape.at[1]:.1f}" text-anchor="{shape.anchor}" '
                f'font-size="{shape.size_px}" fill="{_INK}">{escape(shape.text)}</text>'
            )
    return "\n".join([*lines, "</svg>"]) + "\n"


def _bgr(color: str) -> tuple[int, int, int]:
    red, green, blue = (int(color[n : n + 2], 16) for n in (1, 3, 5))
    return blue, green, red


def _png(shapes: Sequence[_Shape]) -> bytes:
    image = np.full((_SIZE[1], _SIZE[0], 3), 255, np.uint8)

    def whole(point: Point) -> tuple[int, int]:
        return round(point[0]), round(point[1])

    for shape in shapes:
        if isinstance(shape, _Line):
            for start, end in _dashes(shape) if shape.dashed else [(shape.start, shape.end)]:
                cv2.line(image, whole(start), whole(end), _bgr(shape.color), shape.width, cv2.LINE_AA)
        elif isinstance(shape, _Dot):
            cv2.circle(image, whole(shape.at), 4, _bgr(shape.color), -1, cv2.LINE_AA)
        else:
            scale = shape.size_px / 30
            (width, _), _ = cv2.getTextSize(shape.text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
            shift = {"start": 0.0, "middle": width / 2, "end": float(width)}[shape.anchor]
            place = whole((shape.at[0] - shift, shape.at[1]))
            cv2.putText(image, shape.text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, _bgr(_INK), 1, cv2.LINE_AA)
    return bytes(cv2.imencode(".png", image)[1])


def _dashes(line: _Line) -> list[tuple[Point, Point]]:
    (x1, y1), (x2, y2) = line.start, line.end
    count = max(1, round(math.hypot(x2 - x1, y2 - y1) / 11))
    ends = [(x1 + (x2 - x1) * t / count, y1 + (y2 - y1) * t / count) for t in range(count + 1)]
    return [
        (start, ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)) for start, end in itertools.pairwise(ends)
    ]


def write_chart(chart: Chart, path: Path) -> list[Path]:
    """Write a chart to `path` with the suffixes .svg and .png, and return both paths.

    Raises:
        OutputError: a file cannot be written.
    """
    shapes = _shapes(chart)
    written = []
    for suffix, data in ((".svg", _svg(shapes).encode()), (".png", _png(shapes))):
        target = path.with_suffix(suffix)
        with output_errors(target):
            target.write_bytes(data)
        written.append(target)
    return written
