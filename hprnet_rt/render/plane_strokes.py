"""The compiled loop of drawing on planes: everyone's lines and dots."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hprnet_rt.grouping.compiled import kernel
from hprnet_rt.render.cells import PlaneCanvas
from hprnet_rt.render.plane_dots import LEAST_PLANE_DOT, draw_dots
from hprnet_rt.render.plane_lines import PLANE_LINE, draw_lines, plan_lines
from hprnet_rt.render.strokes import DOT_WIDTH, WIDEST, LineWidth, Palette, look

__all__ = ["PlanePalette", "draw_people_on_planes"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
ByteArray = npt.NDArray[np.uint8]

_LEAST_WIDTH = 16  # px, of a picture on which pixels are drawn several at a time
_LARGEST = 1 << 14  # px, likewise
_ROOM_X, _ROOM_Y = 2, 4  # px at a picture's right and lower border, where they are not


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
    points, stamp, lanes = xy.shape[1], stamps.ctypes.data, colors.lanes.ctypes.data
    free_wh = (canvas.width - _ROOM_X, canvas.height - _ROOM_Y)
    if canvas.width < _LEAST_WIDTH or max(canvas.width, canvas.height) > _LARGEST:
        free_wh = (0, 0)
    visible = np.zeros(len(xy), np.bool_)
    shown = np.empty(points, np.bool_)
    xs, ys = np.empty(points, np.float32), np.empty(points, np.float32)
    limbs, lines = palette.limbs, np.empty(len(palette.limbs), PLANE_LINE)
    dots, widths, drawn_px = np.empty(points, np.int64), np.empty(len(limbs), np.int64), -1.0
    for n in range(len(xy) - 1, -1, -1):
        visible[n] = look(xy, score, n, least, palette.judged, xs, ys, shown) > 0
        size = max(box[n, 2] - box[n, 0], box[n, 3] - box[n, 1])
        line_px = min(max(size * line_width.of_size, 1.0), line_width.max_px) if size > 0.0 else 1.0
        if line_px != drawn_px:
            drawn_px = line_px
            for p in range(points):
                dot_px = np.round(DOT_WIDTH * line_px * palette.point_widths[p])
                dots[p] = int(min(max(dot_px, LEAST_PLANE_DOT), WIDEST))
            for i in range(len(limbs)):
                widths[i] = int(min(max(1.0, np.round(line_px * palette.limb_widths[i])), WIDEST))
        planned = plan_lines(xs, ys, shown, dots, limbs, widths, free_wh, lines)
        draw_lines(canvas, lines, planned, xs, ys, limbs, widths, colors.limbs)
        draw_dots(canvas, xs, ys, shown, dots, free_wh, colors.points, colors.tints, lanes, stamp)
    return visible
