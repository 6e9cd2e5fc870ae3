"""The compiled loop of drawing: everyone's lines and dots. Positions are in pixels, x before y."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hprnet_rt.grouping.compiled import kernel
from hprnet_rt.render.dots import LEAST_DOT, STEP_BITS, STEPS, WIDEST_STAMP, blend_stamp, draw_dot, inside
from hprnet_rt.render.lanes import LANES, PIXELS, Canvas
from hprnet_rt.render.lines import LINE, draw_line, plan_line

__all__ = ["DOT_WIDTH", "SAME_DOT", "WIDEST", "LineWidth", "Palette", "draw_people", "look"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
ByteArray = npt.NDArray[np.uint8]

DOT_WIDTH = 2.2  # a point's diameter in widths of its line
_SOFT = 0.5  # px on either side of an edge over which it fades
_FAR, _FAR_AWAY = np.float32(1 << 14), np.int32(1 << 14)  # px; a point farther out than this is not drawn
WIDEST = 256.0  # px, of a stroke: distances are counted in 16 bits
_HALF = np.float32(0.5)  # px
SAME_DOT = 0.5  # px; a dot as near as this to the one before, of its colour and width, adds nothing


class Palette(NamedTuple):
    """The lines and points of a skeleton, and how they look.

    Attributes:
        limbs: (L, 2) points that a line joins.
        limb_colors: (L, 16), see `lane_colors`.
        limb_widths: (L,) in widths of a body line.
        point_colors: (P, 16), see `lane_colors`.
        point_widths: (P,) of the lines that a point belongs to, in widths of a body line.
        judged: (J, 2) first point, and the point after the last, of the parts that are drawn only where they
            are sure as a whole: whose points have a mean score of at least `least` of the first.
    """

    limbs: IntArray
    limb_colors: ByteArray
    limb_widths: FloatArray
    point_colors: ByteArray
    point_widths: FloatArray
    judged: IntArray


class LineWidth(NamedTuple):
    """Width of a body line.

    Attributes:
        of_size: in units of the longer side of the person's box.
        max_px: the widest.
    """

    of_size: float
    max_px: float


@kernel
def look(
    xy: FloatArray,
    score: FloatArray,
    n: int,
    least: FloatArray,
    judged: IntArray,
    x: FloatArray,
    y: FloatArray,
    shown: BoolArray,
) -> int:
    """Find out which points of a person are drawn, and where, and return how many.

    The loops are short and without branches, so that a processor takes several points at a time.

    Args:
        xy: (N, P, 2).
        score: (N, P).
        n: number of the person.
        least: (P,) score of a point that is drawn.
        judged: see `Palette`.
        x, y: (P,), written: where pixel i is at i.
        shown: (P,), written.
    """
    for p in range(len(shown)):
        x[p], y[p] = xy[n, p, 0] - _HALF, xy[n, p, 1] - _HALF
    for p in range(len(shown)):
        shown[p] = (score[n, p] >= least[p]) & (abs(x[p]) < _FAR) & (abs(y[p]) < _FAR)  # NaN is not
    for part in range(len(judged)):
        first, end = judged[part, 0], judged[part, 1]
        even, odd, present = 0.0, 0.0, 0  # two sums, as an addition waits for the one before
        for p in range(first, end - 1, 2):
            even, odd = even + score[n, p], odd + score[n, p + 1]
        if (end - first) & 1:
            even += score[n, end - 1]
        for p in range(first, end):
            present += score[n, p] != 0
        if even + odd < least[first] * present:
            for p in range(first, end):
                shown[p] = False
    count = 0
    for p in range(len(shown)):
        count += shown[p]
    return count


@kernel
def _ends(at: FloatArray, shown: BoolArray) -> Any:
    """Return whole numbers between which are all that are shown."""
    first, last = _FAR_AWAY, -_FAR_AWAY
    for p in range(len(shown)):
        first = min(first, np.int32(at[p]) if shown[p] else _FAR_AWAY)
        last = max(last, np.int32(at[p]) if shown[p] else -_FAR_AWAY)
    return first - 1, last + 1


@kernel
def draw_people(
    image: ByteArray,
    xy: FloatArray,
    score: FloatArray,
    box: FloatArray,
    least: FloatArray,
    line_width: LineWidth,
    palette: Palette,
    stamps: ByteArray,
) -> BoolArray:
    """Draw everyone's limbs and, above them, points; the first person comes out on top.

    Strokes that others would hide are left out: a limb between dots that touch, and a dot on another one of
    its colour.

    Args:
        image: (H, W, 3), contiguous, changed in place.
        xy: (N, P, 2) where pixel i covers [i, i + 1).
        score: (N, P).
        box: (N, 4) xyxy.
        least: (P,) score of a point that is drawn.
        line_width: of the body.
        palette: limbs, colours and relative widths.
        stamps: from `draw_stamps`.

    Returns:
        (N,) whether any point of the person is drawn.
    """
    points, height, width = xy.shape[1], image.shape[0], image.shape[1]
    canvas = Canvas(image.ctypes.data, height, width)
    limb_color, point_color = palette.limb_colors.ctypes.data, palette.point_colors.ctypes.data
    stamp = stamps.ctypes.data
    visible = np.zeros(len(xy), np.bool_)
    shown = np.empty(points, np.bool_)
    dots, tint = np.empty(points, np.int64), np.zeros(points, np.int64)
    xs, ys, edge = np.empty(points, np.float32), np.empty(points, np.float32), 0.0
    for p in range(points):
        for channel in range(3):
            tint[p] = 256 * tint[p] + palette.point_colors[p, channel]
    lines, drawn_px = np.empty(len(palette.limbs), LINE), -1.0
    for n in range(len(xy) - 1, -1, -1):
        visible[n] = look(xy, score, n, least, palette.judged, xs, ys, shown) > 0
        (left, right), (top, bottom) = _ends(xs, shown), _ends(ys, shown)
        size = max(box[n, 2] - box[n, 0], box[n, 3] - box[n, 1])
        line_px = min(max(size * line_width.of_size, 1.0), line_width.max_px) if size > 0.0 else 1.0
        if line_px != drawn_px:
            drawn_px, widest = line_px, LEAST_DOT
            for p in range(points):
                dot_px = np.round(DOT_WIDTH * line_px * palette.point_widths[p])
                dots[p] = int(min(max(dot_px, LEAST_DOT), WIDEST))
                widest = max(widest, dots[p])
            edge = widest / 2 + _SOFT + 1.0
        within = left > edge and top > edge and right < width - 1 - edge and bottom < height - 2 - edge
        planned = 0
        for i in range(len(palette.limbs)):
            a, b = palette.limbs[i, 0], palette.limbs[i, 1]
            if not (shown[a] and shown[b]):
                continue
            x1, y1, x2, y2 = xs[a], ys[a], xs[b], ys[b]
            touch = (dots[a] + dots[b]) * 0.5 - _SOFT
            if (x2 - x1) * (x2 - x1) + (y2 - y1) * (y2 - y1) > touch * touch:
                across = int(min(max(1.0, np.round(line_px * palette.limb_widths[i])), WIDEST))
                plan_line(lines[planned], x1, y1, x2, y2, across, canvas, within)
                lines[planned].color = limb_color + LANES * i
                planned += 1
        for i in range(planned):  # after all are planned, because a processor plans several at a time
            draw_line(canvas, lines[i])
        last = -1
        for p in range(points):
            if not shown[p]:
                continue
            x, y = xs[p], ys[p]
            if (
                last >= 0
                and abs(x - xs[last]) < SAME_DOT
                and abs(y - ys[last]) < SAME_DOT
                and dots[p] == dots[last]
                and tint[p] == tint[last]
            ):
                continue
            last = p
            across, color = dots[p], point_color + LANES * p
            if across > WIDEST_STAMP or not (within or inside(canvas, x, y, across)):
                draw_dot(canvas, x, y, across, color)
                continue
            corner = STEPS // 2 * across - (STEPS // 2 - 1)  # from the middle, rounded, to the first pixel
            x_steps, y_steps = int(STEPS * x + 0.5) - corner, int(STEPS * y + 0.5) - corner
            index = ((across - LEAST_DOT) * STEPS + (y_steps & (STEPS - 1))) * STEPS + (x_steps & (STEPS - 1))
            at = canvas.address + 3 * ((y_steps >> STEP_BITS) * width + (x_steps >> STEP_BITS))
            blend_stamp(at, 3 * width, stamp + index * (PIXELS * LANES), across + 1, color)
    return visible
