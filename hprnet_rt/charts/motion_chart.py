"""Charts of keypoints over time: x, y and speed, and the path over a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from hprnet_rt.charts.figure import COLORS, write_figure, write_notes
from hprnet_rt.charts.motion import FloatArray, Motion, Track
from hprnet_rt.types import ImageArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MOST_PEOPLE", "MOST_POINTS", "write_path", "write_series"]

MOST_PEOPLE: Final = len(COLORS)
"""Each person has a colour."""
_LINES: Final = ("-", "--", ":", "-.")
MOST_POINTS: Final = len(_LINES)
"""Each point has a kind of line."""

_SERIES_IN: Final = (10.0, 7.0)
_PATH_IN: Final = 10.0  # the longer side of the picture
_PATH_PX: Final = 1300  # to which a larger picture is made smaller
_PALENESS: Final = 0.45  # of the picture, so that paths stand out
_ROOM_IN: Final = 1.2  # for title, legend and notes


def write_series(motion: Motion, path: Path, title: str, notes: Sequence[str] = ()) -> None:
    """Write x, y and speed over time, one below the other.

    A person has a colour, and a point a kind of line. Lines break where a point was not seen; one that was
    seen in a single frame is a dot.

    Args:
        motion: of at most `MOST_PEOPLE` people and `MOST_POINTS` points.
        path: .png or .svg.
        title: of the figure.
        notes: lines below it.

    Raises:
        UsageError: matplotlib is not installed.
        OutputError: the file cannot be written.
    """

    def draw(figure: Figure) -> None:
        panels = figure.subplots(3, 1, sharex=True)
        labels = ("x, px from the left", "y, px from the top", f"speed, px / {motion.unit}")
        for axes, label in zip(panels, labels, strict=True):
            axes.set_ylabel(label)
        panels[1].invert_yaxis()  # what is higher in the picture is higher here
        panels[2].set_xlabel("time, s" if motion.unit == "s" else "frame")
        panels[0].set_title(title, loc="left", fontsize=13)
        handles = []
        for track, look in _looks(motion):
            handles.append(_draw_line(panels[0], track.time, track.xy[:, 0], look))
            _draw_line(panels[1], track.time, track.xy[:, 1], look)
            _draw_line(panels[2], *track.speed(), look)
        panels[2].set_ylim(bottom=0)
        figure.align_ylabels(panels)
        figure.legend(handles=handles, loc="outside right upper", fontsize=9)
        write_notes(figure, notes)

    write_figure([path], draw, _SERIES_IN)


def write_path(
    motion: Motion, picture: ImageArray, path: Path, title: str, notes: Sequence[str] = ()
) -> None:
    """Write the way of the points over a picture (H, W, 3) BGR; a ring is where it begins, a dot its end.

    Args:
        motion: of at most `MOST_PEOPLE` people and `MOST_POINTS` points.
        picture: of the size to which the places belong; it is drawn paler.
        path: .png or .svg.
        title: of the figure.
        notes: lines below it.

    Raises:
        UsageError: matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    height, width = picture.shape[:2]
    scale = _PATH_IN / max(height, width)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.imshow(_pale(picture), extent=(0, width, height, 0), interpolation="antialiased")
        axes.set_axis_off()
        axes.set_title(title, loc="left", fontsize=13)
        handles = []
        for track, look in _looks(motion):
            x, y = track.xy.T
            handles.append(_draw_line(axes, x, y, look))
            first, last = np.flatnonzero(~np.isnan(x))[[0, -1]].tolist()
            for at, fill in ((first, "white"), (last, look["color"])):
                axes.plot(x[at], y[at], "o", markersize=7, color=look["color"], markerfacecolor=fill)
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)
        figure.legend(handles=handles, loc="outside upper left", fontsize=9, ncols=4)
        write_notes(figure, notes)

    write_figure([path], draw, (max(width * scale, _PATH_IN / 2), height * scale + _ROOM_IN))


def _pale(picture: ImageArray) -> ImageArray:
    """Return a picture in RGB, paler, and no larger than a figure shows."""
    factor = min(1.0, _PATH_PX / max(picture.shape[:2]))
    small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    white = np.full_like(small, 255)
    return np.asarray(cv2.addWeighted(small, 1 - _PALENESS, white, _PALENESS, 0)[..., ::-1], np.uint8)


def _looks(motion: Motion) -> list[tuple[Track, dict[str, Any]]]:
    """Return each track with the look of its line: a colour for the person, a kind of line for the point."""
    people = list(dict.fromkeys(track.person for track in motion.tracks))
    points = list(dict.fromkeys(track.point for track in motion.tracks))
    looks = []
    for track in motion.tracks:
        who = [] if track.person is None else [f"person {track.person}"]
        what = [track.point] if len(points) > 1 or not who else []
        look = {
            "color": COLORS[people.index(track.person)],
            "linestyle": _LINES[points.index(track.point)],
            "linewidth": 1.4,
            "label": ", ".join([*who, *what]),
        }
        looks.append((track, look))
    return looks


def _draw_line(axes: Axes, x: FloatArray, y: FloatArray, look: dict[str, Any]) -> Any:
    """Draw a line that breaks at NaN, with dots where a value stands alone, and return the line."""
    known = ~np.isnan(y)
    before, after = np.append(False, known[:-1]), np.append(known[1:], False)
    alone = known & ~before & ~after
    axes.plot(x[alone], y[alone], ".", color=look["color"], markersize=4)
    return axes.plot(x, y, **look)[0]
