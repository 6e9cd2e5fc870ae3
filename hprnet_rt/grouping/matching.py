"""The compiled loops that share peaks out among people. Positions are in output cells, x before y.

tests/oracles has a slow plain version of each rule.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hprnet_rt.grouping.assignment import assign
from hprnet_rt.grouping.compiled import kernel
from hprnet_rt.grouping.tables import JointPeaks, Regressed, SearchArea

__all__ = ["admits", "contested", "match_joints", "share_joints", "share_peaks"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
_BESIDE = 1.5  # cells
_AROUND = 1.001  # times the reach: farther peaks are out of reach whatever is rounded
_FADE = 2.0  # a peak at the edge of reach is worth exp(-2) of its score
_BINS = 64  # from the leftmost peak to the rightmost


@kernel
def admits(x: float, y: float, box: FloatArray) -> bool:
    """Return whether a point lies in a box (4,) xyxy or on its border."""
    return bool(box[0] <= x <= box[2] and box[1] <= y <= box[3])


@kernel
def _worth(dx: float, dy: float, reach: float, peak_score: float) -> float:
    """Return the worth of a peak at this distance from where it is expected; 0 beyond reach."""
    squared, limit = dx * dx + dy * dy, reach * reach
    if squared > limit:
        return 0.0
    return float(peak_score * np.exp(-_FADE * squared / limit)) if limit > 0.0 else peak_score


@kernel
def _bin(x: float, left: float, bins_per_cell: float) -> int:
    """Return the bin, counted from `left`, that x falls into or lies nearest to; the first one for NaN."""
    bin_x = (x - left) * bins_per_cell
    if not bin_x > 0.0:
        return 0
    return int(min(bin_x, _BINS - 1.0))


@kernel
def _into_bins(
    xy: FloatArray, score: FloatArray, start: IntArray, order: IntArray, place: FloatArray, value: FloatArray
) -> tuple[float, float]:
    """Sort points into bins by x, so that a search around a place looks at few of them.

    Args:
        xy: (K, 2), of which the first N are taken.
        score: (K,), likewise.
        start: (bins + 1,), written: the index of each bin's first point, and N.
        order: (N,), written: ranks by bin.
        place: (N, 2), written: their xy.
        value: (N,), written: their scores.

    Returns:
        left and bins per cell, the arguments of `_bin`.

    Points of one bin keep their order.
    """
    left, right = np.inf, -np.inf
    for k in range(len(order)):
        left, right = min(left, xy[k, 0]), max(right, xy[k, 0])
    bins_per_cell = _BINS / (right - left) if right > left else 0.0
    start[:] = 0
    for k in range(len(order)):
        start[_bin(xy[k, 0], left, bins_per_cell) + 1] += 1
    for i in range(_BINS):
        start[i + 1] += start[i]
    for k in range(len(order) - 1, -1, -1):  # backwards, because each bin is filled from its end
        i = _bin(xy[k, 0], left, bins_per_cell) + 1
        start[i] -= 1
        at = start[i]
        order[at], value[at], place[at, 0], place[at, 1] = k, score[k], xy[k, 0], xy[k, 1]
    for i in range(_BINS):
        start[i] = start[i + 1]
    start[_BINS] = len(order)
    return left, bins_per_cell


@kernel
def match_joints(
    regressed: Regressed,
    peaks: JointPeaks,
    anchor: IntArray,
    area: SearchArea,
    xy: FloatArray,
    score: FloatArray,
) -> IntArray:
    """Give each person the best peak of every joint, or the regressed point.

    A peak may serve a person when it scores enough, lies in the person's box and within reach of where it is
    expected; the best one has the greatest score * exp(-2 (distance / reach)^2). (The paper takes
    the nearest one, section 3.1.) A joint is expected where it is regressed, moved by as much as the peak of
    its anchor lies beside the anchor's regressed point: a foot goes where its ankle goes. A regressed
    point outside the map stays absent; its score is 0.

    Args:
        regressed: joints of N people.
        peaks: the K strongest of each joint.
        anchor: (J,) an earlier joint, or -1.
        area: where peaks may lie.
        xy: (N, J, 2), filled with NaN, written.
        score: (N, J), filled with 0, written.

    Returns:
        (N, J) rank of the peak that each joint took, -1 for none.
    """
    ranks, people = len(peaks.xy), len(area.box)
    peak_of = np.full(regressed.score.shape, -1, np.int64)
    orders, start = np.empty(ranks, np.int64), np.empty(_BINS + 1, np.int64)
    places, values = np.empty((ranks, 2), np.float32), np.empty(ranks, np.float32)
    for j in range(regressed.xy.shape[1]):
        count = 0
        while count < ranks and peaks.score[count, j] >= area.peak_threshold:
            count += 1
        order, place, value = orders[:count], places[:count], values[:count]
        left, bins_per_cell = _into_bins(peaks.xy[:, j], peaks.score[:, j], start, order, place, value)
        a = anchor[j]
        for n in range(people):
            x, y = regressed.xy[n, j, 0], regressed.xy[n, j, 1]
            if a >= 0 and peak_of[n, a] >= 0:
                x += xy[n, a, 0] - regressed.xy[n, a, 0]
                y += xy[n, a, 1] - regressed.xy[n, a, 1]
            best, best_worth, best_at = -1, -1.0, -1
            reach = area.reach[n]
            near, limit = _AROUND * reach, reach * reach
            first = start[_bin(x - near, left, bins_per_cell)]
            for i in range(first, start[_bin(x + near, left, bins_per_cell) + 1]):
                dx, dy = place[i, 0] - x, place[i, 1] - y
                if (
                    dx * dx + dy * dy > limit
                    or value[i] <= 0.0
                    or not admits(place[i, 0], place[i, 1], area.box[n])
                ):
                    continue
                if best < 0:
                    best, best_at = order[i], i
                    continue
                if best_worth < 0.0:  # it takes an exponential, and most people have one peak to choose from
                    best_x, best_y = place[best_at, 0] - x, place[best_at, 1] - y
                    best_worth = _worth(best_x, best_y, reach, value[best_at])
                worth = _worth(dx, dy, reach, value[i])
                if worth > best_worth or (worth == best_worth and order[i] < best):
                    best, best_worth, best_at = order[i], worth, i
            peak_of[n, j] = best
            if best >= 0:
                xy[n, j, 0], xy[n, j, 1] = place[best_at, 0], place[best_at, 1]
                score[n, j] = value[best_at]
            elif regressed.score[n, j] > 0.0:
                xy[n, j, 0], xy[n, j, 1] = x, y
                score[n, j] = regressed.score[n, j]
    return peak_of


@kernel
def _repeated_beside(
    i: int, start: IntArray, left: float, bins_per_cell: float, order: IntArray, place: FloatArray
) -> bool:
    """Return whether point i of the sorted ones lies beside one of a smaller rank: a tie."""
    x, y = place[i, 0], place[i, 1]
    first = start[_bin(x - _BESIDE, left, bins_per_cell)]
    for other in range(first, start[_bin(x + _BESIDE, left, bins_per_cell) + 1]):
        if (
            order[other] < order[i]
            and abs(place[other, 0] - x) < _BESIDE
            and abs(place[other, 1] - y) < _BESIDE
        ):
            return True
    return False


@kernel
def share_peaks(
    center: FloatArray, peak_xy: FloatArray, peak_score: FloatArray, area: SearchArea
) -> IntArray:
    """Give each person the peak of one joint, or of one part's centre; none serves two people.

    Peaks are admitted, and have a worth, as in `match_joints`; the assignment with the greatest total worth
    is taken.

    Args:
        center: (N, 2) where each person's joint or centre is expected.
        peak_xy: (K, 2) its peaks, strongest first.
        peak_score: (K,) their scores.
        area: where peaks may lie.

    Returns:
        (N,) rank of the peak that each person took, -1 for none.
    """
    people, peaks = len(area.box), 0
    while peaks < len(peak_score) and peak_score[peaks] >= area.peak_threshold:
        peaks += 1
    order, value = np.empty(peaks, np.int64), np.empty(peaks, np.float32)
    start, place = np.empty(_BINS + 1, np.int64), np.empty((peaks, 2), np.float32)
    left, bins_per_cell = _into_bins(peak_xy, peak_score, start, order, place, value)
    single = np.full(people, -1, np.int64)
    taken = np.zeros(peaks, np.bool_)
    cost = np.empty((0, peaks), np.float32)
    n = 0
    while n < people:
        reach, x, y = area.reach[n], center[n, 0], center[n, 1]
        near, limit = _AROUND * reach, reach * reach
        first = start[_bin(x - near, left, bins_per_cell)]
        contested = False
        for i in range(first, start[_bin(x + near, left, bins_per_cell) + 1]):
            k, dx, dy = order[i], place[i, 0] - x, place[i, 1] - y
            if (
                dx * dx + dy * dy > limit
                or value[i] <= 0.0
                or not admits(place[i, 0], place[i, 1], area.box[n])
            ):
                continue
            if _repeated_beside(i, start, left, bins_per_cell, order, place):
                continue
            if len(cost) > 0:
                cost[n, k] = 1.0 - _worth(dx, dy, reach, value[i])
            elif single[n] >= 0 or taken[k]:
                contested = True
            else:
                single[n], taken[k] = k, True
        n += 1
        if contested:  # there is something to choose: from the first person again, with costs
            cost = np.full((people, peaks), 1.0, np.float32)
            n = 0
    return assign(cost) if len(cost) > 0 else single


@kernel
def contested(joints: IntArray, peak_of: IntArray, peaks: JointPeaks) -> bool:
    """Return whether a peak of one of these joints, or one of two that are a tie, serves two people.

    Args:
        joints: the ones that are looked at.
        peak_of: (N, J) rank of the peak that each joint took, -1 for none.
        peaks: the K strongest of each joint.
    """
    ranks = len(peaks.xy)
    taken = np.empty(ranks, np.bool_)
    for j in joints:
        taken[:] = False
        for n in range(len(peak_of)):
            k = peak_of[n, j]
            if k >= 0 and taken[k]:
                return True
            if k >= 0:
                taken[k] = True
        for k in range(ranks):
            other = k + 1
            while taken[k] and other < ranks and peaks.score[other, j] == peaks.score[k, j]:
                dx, dy = peaks.xy[other, j, 0] - peaks.xy[k, j, 0], peaks.xy[other, j, 1] - peaks.xy[k, j, 1]
                if taken[other] and abs(dx) < _BESIDE and abs(dy) < _BESIDE:
                    return True
                other += 1
    return False


@kernel
def share_joints(
    joints: IntArray,
    regressed: Regressed,
    peaks: JointPeaks,
    anchor: IntArray,
    area: SearchArea,
    xy: FloatArray,
    score: FloatArray,
) -> None:
    """Give each person a peak of every joint that serves nobody else, or the regressed point.

    Arguments as of `match_joints`, where joints are expected as here; `joints` are the ones that are written.
    Each is shared out by `share_peaks`.
    """
    peak_of = np.full(regressed.score.shape, -1, np.int64)
    for j in joints:
        expected, a = regressed.xy[:, j].copy(), anchor[j]
        for n in range(len(expected)):
            if a >= 0 and peak_of[n, a] >= 0:
                expected[n] += xy[n, a] - regressed.xy[n, a]
        peak_of[:, j] = share_peaks(expected, peaks.xy[:, j], peaks.score[:, j], area)
        for n in range(len(expected)):
            k = peak_of[n, j]
            if k >= 0:
                xy[n, j, 0], xy[n, j, 1] = peaks.xy[k, j, 0], peaks.xy[k, j, 1]
                score[n, j] = peaks.score[k, j]
            elif regressed.score[n, j] > 0.0:
                xy[n, j, 0], xy[n, j, 1] = expected[n, 0], expected[n, 1]
                score[n, j] = regressed.score[n, j]
