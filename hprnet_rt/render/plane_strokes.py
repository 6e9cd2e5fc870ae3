"""The compiled loop of drawing on planes: everyone's lines and dots."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hprnet_rt.grouping.compiled import kernel
from hprnet_rt.render.cells import PlaneCanvas, Shade, dot_stroke, draw_cells, line_stroke
from hprnet_rt.render.strokes import DOT_WIDTH, SAME_DOT, WIDEST, LineWidth, Palette, look

__all__ = ["draw_people_on_planes"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@kernel
def draw_people_on_planes(
    canvas: PlaneCanvas,
    xy: FloatArray,
    score: FloatArray,
    box: FloatArray,
    least: FloatArray,
    line_width: LineWidth,
    palette: Palette,
    limb_shades: IntArray,
    point_shades: IntArray,
) -> BoolArray:
    """Draw everyone on planes as `draw_people` does on an image; returns the same.

    Args:
        limb_shades, point_shades: (L, 3) and (P, 3) Y, Cb and Cr.
    """
    points = xy.shape[1]
    visible = np.zeros(len(xy), np.bool_)
    shown, place, dots = np.empty(points, np.bool_), np.empty((points, 2)), np.empty(points, np.int64)
    for n in range(len(xy) - 1, -1, -1):
        count, _, _, _, _ = look(xy[n], score[n], least, palette.judged, place, shown)
        visible[n] = count > 0
        size = max(box[n, 2] - box[n, 0], box[n, 3] - box[n, 1])
        line_px = min(max(size * line_width.of_size, 1.0), line_width.max_px) if size > 0.0 else 1.0
        for p in range(points):
            dots[p] = int(min(max(np.round(DOT_WIDTH * line_px * palette.point_widths[p]), 2), WIDEST))
        for i in range(len(palette.limbs)):
            a, b = palette.limbs[i, 0], palette.limbs[i, 1]
            if not (shown[a] and shown[b]):
                continue
            x1, y1, x2, y2 = place[a, 0], place[a, 1], place[b, 0], place[b, 1]
            touch = (dots[a] + dots[b]) * 0.5 - 0.5
            if (x2 - x1) * (x2 - x1) + (y2 - y1) * (y2 - y1) > touch * touch:
                across = min(max(1.0, np.round(line_px * palette.limb_widths[i])), WIDEST)
                color = Shade(limb_shades[i, 0], limb_shades[i, 1], limb_shades[i, 2])
                draw_cells(canvas, line_stroke(x1, y1, x2, y2, across), color)
        last = -1
        for p in range(points):
            if not shown[p]:
                continue
            x, y = place[p, 0], place[p, 1]
            if (
                last >= 0
                and abs(x - place[last, 0]) < SAME_DOT
                and abs(y - place[last, 1]) < SAME_DOT
                and dots[p] == dots[last]
                and (point_shades[p] == point_shades[last]).all()
            ):
                continue
            last = p
            color = Shade(point_shades[p, 0], point_shades[p, 1], point_shades[p, 2])
            draw_cells(canvas, dot_stroke(x, y, float(dots[p])), color)
    return visible
