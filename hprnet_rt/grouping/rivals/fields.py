"""Peaks and part affinity fields of BODY_25 and BODY_135, as OpenPose's C++ code reads them on a GPU.

Source: Cao et al., "OpenPose" (2019); the rules of its nmsBase.cu, resizeAndMergeBase.cu and
bodyPartConnectorBase.cu.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from hprnet_rt.grouping.compiled import kernel

__all__ = ["Connections", "PartPeaks", "connect", "enlarge", "find_peaks"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

_PEAK: Final = 0.05  # least value of a peak, and of a field that supports a pair
_MOST: Final = 127  # peaks of a part
_REACH: Final = 3  # px around a peak over which its place is averaged
_SUPPORT: Final = 0.95  # share of a pair's points that must lie in its field
_LEAST_POINTS, _MOST_POINTS = 5, 25  # of a pair
_NEAR: Final = 150  # parts nearer than this part of the map's side need no field


class PartPeaks(NamedTuple):
    """The peaks of all parts, part after part.

    Attributes:
        xy: (n, 2) in px of the enlarged maps.
        score: (n,) values of the heat-maps.
        first: (parts + 1,) where the peaks of each part begin.
    """

    xy: FloatArray
    score: FloatArray
    first: IntArray


class Connections(NamedTuple):
    """Pairs of peaks that a field connects, in the order of pairs and peaks.

    Attributes:
        pair: (n,) number of the pair.
        ends: (n, 2) numbers among all peaks.
        score: (n,) the mean of the field along the way.
    """

    pair: IntArray
    ends: IntArray
    score: FloatArray


@kernel
def _place(at: int, factor: int, side: int) -> tuple[int, float]:
    """Return the cell before a pixel of an enlarged map, and how far behind it the pixel lies."""
    source = (at + 0.5) / factor - 0.5
    cell = min(max(int(np.floor(source)), 0), side - 1)
    return cell, source - cell


@kernel
def _weights(t: float) -> tuple[float, float, float, float]:
    """Return the weights of four neighbours (Catmull-Rom)."""
    t2, t3 = t * t, t * t * t
    return (
        -0.5 * t3 + t2 - 0.5 * t,
        1.5 * t3 - 2.5 * t2 + 1.0,
        -1.5 * t3 + 2.0 * t2 + 0.5 * t,
        0.5 * t3 - 0.5 * t2,
    )


@kernel
def enlarge(low: FloatArray, factor: int) -> FloatArray:
    """Enlarge a map (h, w) to (factor * h, factor * w) by cubic interpolation."""
    height, width = low.shape
    between = np.empty((height, factor * width), np.float32)
    for x in range(factor * width):
        cell, t = _place(x, factor, width)
        w0, w1, w2, w3 = _weights(t)
        x0, x2, x3 = max(cell - 1, 0), min(cell + 1, width - 1), min(cell + 2, width - 1)
        for y in range(height):
            row = low[y]
            between[y, x] = w0 * row[x0] + w1 * row[cell] + w2 * row[x2] + w3 * row[x3]
    large = np.empty((factor * height, factor * width), np.float32)
    for y in range(factor * height):
        cell, t = _place(y, factor, height)
        w0, w1, w2, w3 = _weights(t)
        y0, y2, y3 = max(cell - 1, 0), min(cell + 1, height - 1), min(cell + 2, height - 1)
        for x in range(factor * width):
            large[y, x] = (
                w0 * between[y0, x] + w1 * between[cell, x] + w2 * between[y2, x] + w3 * between[y3, x]
            )
    return large


@kernel
def _value(low: FloatArray, x: int, y: int, factor: int) -> float:
    """Return the value that `enlarge` would give at a pixel."""
    height, width = low.shape
    column, tx = _place(x, factor, width)
    row, ty = _place(y, factor, height)
    wx, wy = _weights(tx), _weights(ty)
    total = 0.0
    for i in range(4):
        source = low[min(max(row + i - 1, 0), height - 1)]
        across = 0.0
        for j in range(4):
            across += wx[j] * source[min(max(column + j - 1, 0), width - 1)]
        total += wy[i] * across
    return total


@kernel
def _peaks_of(heat: FloatArray, shift: float) -> FloatArray:
    """Return the peaks (n, 3) of a map, x, y and value, row by row."""
    height, width = heat.shape
    found = np.empty((_MOST, 3), np.float32)
    count = 0
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            value = heat[y, x]
            if value <= _PEAK:
                continue
            above, same, below = heat[y - 1], heat[y], heat[y + 1]
            if not (
                value > above[x - 1]
                and value > above[x]
                and value > above[x + 1]
                and value > same[x - 1]
                and value > same[x + 1]
                and value > below[x - 1]
                and value > below[x]
                and value > below[x + 1]
            ):
                continue
            total = sum_x = sum_y = 0.0
            for v in range(max(y - _REACH, 0), min(y + _REACH + 1, height)):
                for u in range(max(x - _REACH, 0), min(x + _REACH + 1, width)):
                    weight = heat[v, u]
                    if weight > 0:
                        total += weight
                        sum_x += weight * u
                        sum_y += weight * v
            found[count, 0] = sum_x / total + shift
            found[count, 1] = sum_y / total + shift
            found[count, 2] = value
            count += 1
            if count == _MOST:
                return found
    return found[:count]


def find_peaks(heat: FloatArray, factor: int, shift: float) -> PartPeaks:
    """Return the peaks of heat-maps (parts, h, w).

    Args:
        heat: the maps of the parts, without the background.
        factor: by which they are enlarged first; 1 for maps that are.
        shift: added to every position.
    """
    found = [_peaks_of(enlarge(each, factor) if factor > 1 else each, shift) for each in heat]
    first = np.concatenate(([0], np.cumsum([len(each) for each in found])))
    both = np.concatenate(found)
    return PartPeaks(both[:, :2], both[:, 2], first)


@kernel
def _pair_score(
    field_x: FloatArray, field_y: FloatArray, start: FloatArray, end: FloatArray, factor: int
) -> float:
    """Return the score of a pair of peaks, 0 where the field does not connect them."""
    height, width = factor * field_x.shape[0], factor * field_x.shape[1]
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = np.sqrt(dx * dx + dy * dy)
    if length <= 1e-6:
        return 0.0
    points = int(np.sqrt(5 * max(abs(dx), abs(dy))) + 0.5)
    points = min(max(points, _LEAST_POINTS), _MOST_POINTS)
    total, count = 0.0, 0
    for i in range(points):
        x = min(max(int(start[0] + i * dx / points + 0.5), 0), width - 1)
        y = min(max(int(start[1] + i * dy / points + 0.5), 0), height - 1)
        value = (dx * _value(field_x, x, y, factor) + dy * _value(field_y, x, y, factor)) / length
        if value > _PEAK:
            total += value
            count += 1
    if count / points > _SUPPORT:
        return total / count
    if length < np.sqrt(width * height) / _NEAR:
        return _PEAK + 1e-6
    return 0.0


@kernel
def _connect(
    paf: FloatArray, pairs: IntArray, fields: IntArray, xy: FloatArray, first: IntArray, factor: int
) -> tuple[IntArray, FloatArray]:
    most = 0
    for pair in range(len(pairs)):
        a, b = pairs[pair]
        most += (first[a + 1] - first[a]) * (first[b + 1] - first[b])
    who = np.empty((most, 3), np.int64)
    score = np.empty(most, np.float32)
    count = 0
    for pair in range(len(pairs)):
        a, b = pairs[pair]
        field_x, field_y = paf[fields[pair]], paf[fields[pair] + 1]
        for i in range(first[a], first[a + 1]):
            for j in range(first[b], first[b + 1]):
                value = _pair_score(field_x, field_y, xy[i], xy[j], factor)
                if value > 0:
                    who[count, 0], who[count, 1], who[count, 2] = pair, i, j
                    score[count] = value
                    count += 1
    return who[:count], score[:count]


def connect(paf: FloatArray, pairs: IntArray, fields: IntArray, peaks: PartPeaks, factor: int) -> Connections:
    """Score every pair of peaks that may belong together.

    Args:
        paf: (2 * pairs, h, w).
        pairs: (pairs, 2), the parts of each.
        fields: (pairs,), the channel of its field in x.
        peaks: of the parts.
        factor: as of `find_peaks`; the fields are only interpolated where they are read.
    """
    who, score = _connect(np.ascontiguousarray(paf), pairs, fields, peaks.xy, peaks.first, factor)
    return Connections(who[:, 0], who[:, 1:], score)
