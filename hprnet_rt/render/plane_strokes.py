"""The compiled loop of drawing on planes: everyone's lines and dots."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hprnet_rt.grouping.compiled import kernel
from hprnet_rt.render.cells import PlaneCanvas, Shade, dot_stroke, draw_cells, line_stroke
from hprnet_rt.render.plane_dots import STEPS, WIDEST_PLANE_STAMP, draw_plane_stamp
from hprnet_rt.render.plane_lines import PLANE_LINE, draw_plane_line, plan_plane_line
from hprnet_rt.render.strokes import DOT_WIDTH, SAME_DOT, WIDEST, LineWidth, Palette, look

__all__ = ["PlanePalette", "draw_people_on_planes"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
ByteArray = npt.NDArray[np.uint8]

_STEPS, _HALF = np.float32(STEPS), np.float32(0.5)
_LEAST_DOT = 2.0  # px across
_WIDEST_LINE = 64  # px, of lines that are drawn several pixels at a time
_LEAST_WIDTH = 16  # px, of a picture in which they are
_ROOM_X, _ROOM_Y = 2, 4  # px that are left free at a picture's right and lower border by what is drawn so
_LARGEST = 1 << 14  # px, the same


class PlanePalette(NamedTuple):
    """Colours on planes.

    Attributes:
        limbs: (L, 3) Y, Cb and Cr.
        points: (P, 3) likewise.
        tints: (P,) one number for each colour of a point.
        lanes: (P, 32) of points, 16 times Y, 8 times Cb and Cr.
        ends: (2, 32) of black and white, likewise.
    """

    limbs: IntArray
    points: IntArray
    tints: IntArray
    lanes: ByteArray
    ends: ByteArray


@kernel
def _draw_lines(
    canvas: PlaneCanvas,
    place: FloatArray,
    shown: BoolArray,
    dots: IntArray,
    line_px: float,
    palette: Palette,
    colors: PlanePalette,
    lines: Any,
    within: bool,
) -> None:
    """Draw a person's limbs; `within` says that all are far enough from all borders."""
    right, bottom, planned = canvas.width - _ROOM_X, canvas.height - _ROOM_Y, 0
    for i in range(len(palette.limbs)):
        a, b = palette.limbs[i, 0], palette.limbs[i, 1]
        x1, y1, x2, y2 = place[0, a], place[1, a], place[0, b], place[1, b]
        touch = (dots[a] + dots[b]) * 0.5 - 0.5
        if not (shown[a] & shown[b] & ((x2 - x1) * (x2 - x1) + (y2 - y1) * (y2 - y1) > touch * touch)):
            continue
        across = int(min(max(1.0, np.round(line_px * palette.limb_widths[i])), WIDEST))
        line = lines[planned]
        line.y, line.u, line.v = colors.limbs[i, 0], colors.limbs[i, 1], colors.limbs[i, 2]
        left, top, end_x, end_y = plan_plane_line(line, x1, y1, x2, y2, across)
        if across <= _WIDEST_LINE and (
            within or (left >= 0 and top >= 0 and end_x < right and end_y < bottom and _is_roomy(canvas))
        ):
            planned += 1
            continue
        for before in range(planned):
            draw_plane_line(canvas, lines[before])
        planned = 0
        draw_cells(canvas, line_stroke(x1, y1, x2, y2, across), Shade(line.y, line.u, line.v))
    for i in range(planned):  # after all are planned, because a processor plans several at a time
        draw_plane_line(canvas, lines[i])


@kernel
def _draw_dots(
    canvas: PlaneCanvas,
    place: FloatArray,
    shown: BoolArray,
    dots: IntArray,
    colors: PlanePalette,
    stamps: int,
    within: bool,
) -> None:
    """Draw a person's points; `within` as for lines."""
    last_x, last_y, last_across, last_tint = np.float32(np.inf), np.float32(0.0), 0, 0
    lanes = colors.lanes.ctypes.data
    right, bottom = canvas.width - _ROOM_X, canvas.height - _ROOM_Y
    for p in range(len(shown)):
        if not shown[p]:
            continue
        x, y, across, tint = place[0, p], place[1, p], dots[p], colors.tints[p]
        same = (across == last_across) & (tint == last_tint)
        if same & (abs(x - last_x) < SAME_DOT) & (abs(y - last_y) < SAME_DOT):
            continue
        last_x, last_y, last_across, last_tint = x, y, across, tint
        reach = across * 0.5 + 1.5
        if across <= WIDEST_PLANE_STAMP and (
            within
            or (x > reach and y > reach and x < right - reach and y < bottom - reach and _is_roomy(canvas))
        ):
            x_steps, y_steps = int(_STEPS * x + _HALF), int(_STEPS * y + _HALF)
            draw_plane_stamp(canvas, x_steps, y_steps, across, lanes + 32 * p, stamps)
        else:
            color = Shade(colors.points[p, 0], colors.points[p, 1], colors.points[p, 2])
            draw_cells(canvas, dot_stroke(x, y, across), color)


@kernel
def _is_roomy(canvas: PlaneCanvas) -> bool:
    """Return whether strokes may be drawn several pixels at a time where they are far from borders."""
    return _LEAST_WIDTH <= canvas.width < _LARGEST and canvas.height < _LARGEST


@kernel
def draw_people_on_planes(
    canvas: PlaneCanvas,
    xy: FloatArray,
    score: FloatArray,
    box: FloatArray,
    least: FloatArray,
    line_width: LineWidth,
    palette: Palette,
    colors: PlanePalette,
    stamps: ByteArray,
) -> BoolArray:
    """Draw everyone on planes as `draw_people` does on an image; returns the same."""
    points, stamp = xy.shape[1], stamps.ctypes.data
    visible = np.zeros(len(xy), np.bool_)
    shown, place = np.empty(points, np.bool_), np.empty((2, points), np.float32)
    dots, lines = np.empty(points, np.int64), np.empty(len(palette.limbs), PLANE_LINE)
    drawn_px, edge = -1.0, 0.0
    for n in range(len(xy) - 1, -1, -1):
        count, left, top, right, bottom = look(xy[n], score[n], least, palette.judged, place, shown)
        visible[n] = count > 0
        size = max(box[n, 2] - box[n, 0], box[n, 3] - box[n, 1])
        line_px = min(max(size * line_width.of_size, 1.0), line_width.max_px) if size > 0.0 else 1.0
        if line_px != drawn_px:
            drawn_px, widest = line_px, _LEAST_DOT
            for p in range(points):
                dot_px = np.round(DOT_WIDTH * line_px * palette.point_widths[p])
                dots[p] = int(min(max(dot_px, _LEAST_DOT), WIDEST))
                widest = max(widest, dots[p])
            edge = widest * 0.5 + 1.5
        within = left > edge and top > edge and _is_roomy(canvas)
        within &= right < canvas.width - _ROOM_X - edge and bottom < canvas.height - _ROOM_Y - edge
        _draw_lines(canvas, place, shown, dots, line_px, palette, colors, lines, within)
        _draw_dots(canvas, place, shown, dots, colors, stamp, within)
    return visible
