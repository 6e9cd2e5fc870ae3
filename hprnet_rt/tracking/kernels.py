"""The compiled loops of tracking. Positions and sizes are in pixels, x before y; times are in seconds.

tests/oracles has a slow plain version of `similarity`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hprnet_rt import skeleton
from hprnet_rt.grouping.assignment import assign
from hprnet_rt.grouping.compiled import kernel

__all__ = ["JOINTS", "Rule", "Tracks", "expect", "follow", "similarity"]

FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

JOINTS = skeleton.BODY.stop
_VARIANCE = tuple((2 * sigma) ** 2 for sigma in skeleton.SIGMAS[skeleton.BODY])  # as in OKS
_USUAL_VARIANCE = sum(_VARIANCE) / JOINTS
_MOST_VARIANCE = max(_VARIANCE)
_COASTS_S = 0.5  # an unseen person's speed falls to 1 / e in this time
_STEADIES_S = 0.3  # a speed measured this long ago has a weight of 1 / e
_STRAYS = 0.7  # how fast an unseen person leaves the expected path, in sizes a second
_FARTHEST = 1.0  # the most that an unseen person may be off that path, in sizes
_BOXES_COUNT = 0.4  # weight of the overlap of boxes where joints disagree
_MOST_GROWTH = 6.0  # of the area of a box, from one sighting to the next
_NOWHERE = 25.0  # exp(-25) does not change a sum of ones in float32


class Tracks(NamedTuple):
    """Everyone who is followed, one row each; a free row is used again.

    Attributes:
        ids: (M,) int64, -1 where the row is free.
        xy: (M, 17, 2) float32 px, the body where it was last seen; NaN where absent or weak.
        box: (M, 4) float32 px, xyxy.
        speed: (M, 2) float32 px/s, of the whole body.
        seen_s: (M,) float64, the time at which the person was last seen.
        times: (M,) int64, how often the person was seen.
    """

    ids: IntArray
    xy: FloatArray
    box: FloatArray
    speed: FloatArray
    seen_s: DoubleArray
    times: IntArray


class Rule(NamedTuple):
    """`TrackerOptions` as the kernels read them."""

    joint_threshold: float
    least_joints: int
    least_similarity: float
    patience_s: float


@kernel
def _area(box: FloatArray) -> float:
    """Return the area of a box in px^2, at least 1."""
    return float(max(box[2] - box[0], 1.0) * max(box[3] - box[1], 1.0))


@kernel
def _overlap(a: FloatArray, b: FloatArray) -> float:
    """Return the intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0.0 or height <= 0.0:
        return 0.0
    both = width * height
    return float(both / max(_area(a) + _area(b) - both, both))


@kernel
def _around(xy: FloatArray, box: FloatArray) -> FloatArray:
    """Return the box (N, 4) xyxy around each person's box and those joints (N, 17, 2) that are not NaN."""
    around = box.copy()
    for n in range(len(box)):
        for j in range(JOINTS):
            for axis in range(2):
                at = xy[n, j, axis]
                if at < around[n, axis]:
                    around[n, axis] = at
                if at > around[n, axis + 2]:
                    around[n, axis + 2] = at
    return around


@kernel
def similarity(
    xy: FloatArray,
    box: FloatArray,
    expected_xy: FloatArray,
    expected_box: FloatArray,
    away: FloatArray,
    least_joints: int,
    least: float,
) -> FloatArray:
    """Return how well each person fits each track where the track is expected.

    The similarity is OKS over the joints that both have; its scale is the geometric mean of both boxes'
    areas. The longer a track has not been seen, the farther from the expected place its person may be: `away`
    is added to the deviation of each joint, in quadrature. Where both share fewer than `least_joints` joints,
    the similarity is the intersection over union of the boxes. It is never less than 0.4 times that: the
    joints of a person who enters the picture very near may differ from frame to frame. It is 0 where one
    box's area is more than 6 times the other's.

    Args:
        xy: (N, 17, 2) with NaN where absent or weak.
        box: (N, 4) xyxy.
        expected_xy: (T, 17, 2) with NaN where absent or weak.
        expected_box: (T, 4) xyxy.
        away: (T,) in units of the person's size, the square root of the box's area.
        least_joints: at least 1.
        least: above 0; between those who are too far apart to reach it, the similarity is 0.

    Returns:
        (N, T) in [0, 1].

    Source: OKS is that of the COCO keypoint evaluation (Lin et al., 2014).
    """
    people, tracks = len(box), len(expected_box)
    result = np.zeros((people, tracks), np.float32)
    around, expected_around = _around(xy, box), _around(expected_xy, expected_box)
    sharp = np.empty(JOINTS)
    for t in range(tracks):
        spread, expected = away[t] * away[t], _area(expected_box[t])
        # so far apart, no joint counts for more than `least`, whatever size the person has
        farthest = math.sqrt(-2.0 * math.log(least) * math.sqrt(_MOST_GROWTH) * (_MOST_VARIANCE + spread))
        reach = np.float32(farthest * math.sqrt(expected))
        left, top = expected_around[t, 0] - reach, expected_around[t, 1] - reach
        right, bottom = expected_around[t, 2] + reach, expected_around[t, 3] + reach
        for j in range(JOINTS):
            sharp[j] = 0.5 / (_VARIANCE[j] + spread)
        for n in range(people):
            if around[n, 0] > right or around[n, 2] < left or around[n, 1] > bottom or around[n, 3] < top:
                continue
            here = _area(box[n])
            if max(here, expected) > _MOST_GROWTH * min(here, expected):
                continue
            result[n, t] = _overlap(box[n], expected_box[t])
            scale = 1.0 / math.sqrt(here * expected)
            total, shared = 0.0, 0
            for j in range(JOINTS):
                dx, dy = xy[n, j, 0] - expected_xy[t, j, 0], xy[n, j, 1] - expected_xy[t, j, 1]
                if dx == dx and dy == dy:  # not NaN: both have the joint
                    shared += 1
                    off = (dx * dx + dy * dy) * scale * sharp[j]
                    if off < _NOWHERE:
                        total += math.exp(-off)
            if shared >= least_joints:
                result[n, t] = max(_BOXES_COUNT * result[n, t], total / shared)
    return result


@kernel
def expect(tracks: Tracks, rows: IntArray, now_s: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return where the tracks of some rows are expected now, at a speed that fades while they are not seen.

    Returns:
        xy (T, 17, 2), box (T, 4), and how far from there they may be, (T,) in units of the person's size.
    """
    xy, box = tracks.xy[rows], tracks.box[rows]
    away = np.zeros(len(rows), np.float32)
    for t in range(len(rows)):
        unseen_s = now_s - tracks.seen_s[rows[t]]
        coasted_s = _COASTS_S * (1.0 - math.exp(-unseen_s / _COASTS_S))
        away[t] = min(_FARTHEST, _STRAYS * unseen_s)
        for axis in range(2):
            step = np.float32(coasted_s * tracks.speed[rows[t], axis])
            xy[t, :, axis] += step
            box[t, axis] += step
            box[t, axis + 2] += step
    return xy, box, away


@kernel
def _match(
    tracks: Tracks,
    rows: IntArray,
    xy: FloatArray,
    box: FloatArray,
    now_s: float,
    rule: Rule,
) -> IntArray:
    """Return the row of each person's track (N,), -1 for none: the assignment with the most similarity.

    A track that has long not been seen fits many places. Its similarity is therefore divided by its variance
    relative to a seen track's, as the density of a normal distribution would be.
    """
    expected_xy, expected_box, away = expect(tracks, rows, now_s)
    least = rule.least_similarity
    fit = similarity(xy, box, expected_xy, expected_box, away, rule.least_joints, least)
    certain = _USUAL_VARIANCE / (_USUAL_VARIANCE + away * away)
    for n in range(len(box)):
        for t in range(len(rows)):
            fit[n, t] = 1.0 - certain[t] * fit[n, t] if fit[n, t] >= least else 1.0
    row_of = assign(fit)  # by the cost that `fit` has become
    for n in range(len(box)):
        if row_of[n] >= 0:
            row_of[n] = rows[row_of[n]]
    return row_of


@kernel
def _see(tracks: Tracks, row: int, xy: FloatArray, box: FloatArray, now_s: float) -> None:
    """Move a track to where its person is now: joints (17, 2) and box (4,)."""
    unseen_s = now_s - tracks.seen_s[row]
    if unseen_s > 0.0:
        gain = max(1.0 - math.exp(-unseen_s / _STEADIES_S), 1.0 / tracks.times[row])
        for axis in range(2):
            moved, shared = 0.0, 0
            for j in range(JOINTS):
                step = xy[j, axis] - tracks.xy[row, j, axis]
                if step == step:  # not NaN
                    moved += step
                    shared += 1
            if shared == 0:
                old = tracks.box[row, axis] + tracks.box[row, axis + 2]
                moved, shared = box[axis] + box[axis + 2] - old, 2
            speed = moved / shared / unseen_s
            tracks.speed[row, axis] += np.float32(gain * (speed - tracks.speed[row, axis]))
    tracks.xy[row], tracks.box[row] = xy, box
    tracks.seen_s[row] = now_s
    tracks.times[row] += 1


@kernel
def _free_row(tracks: Tracks, now_s: float) -> int:
    """Return a row for a new track: a free one, or the longest unseen; -1 when all are in this frame."""
    oldest = -1
    for row in range(len(tracks.ids)):
        if tracks.ids[row] < 0:
            return row
        unseen = tracks.seen_s[row] < now_s
        if unseen and (oldest < 0 or tracks.seen_s[row] < tracks.seen_s[oldest]):
            oldest = row
    return oldest


@kernel
def follow(
    tracks: Tracks,
    xy: FloatArray,
    score: FloatArray,
    box: FloatArray,
    now_s: float,
    next_id: int,
    rule: Rule,
) -> tuple[IntArray, int]:
    """Give everyone in a frame an id: that of the track that they continue, or a new one.

    Args:
        tracks: changed in place.
        xy: (N, 133, 2) of the people, strongest first, with NaN where absent.
        score: (N, 133).
        box: (N, 4) xyxy.
        now_s: not before any `tracks.seen_s`.
        next_id: of the first new person; the next ones count up from there.
        rule: how people are followed.

    Returns:
        (N,) ids, and the id of the next new person.
    """
    people = len(box)
    body = np.full((people, JOINTS, 2), np.nan, np.float32)
    for n in range(people):
        for j in range(JOINTS):
            if score[n, j] >= rule.joint_threshold:
                body[n, j, 0], body[n, j, 1] = xy[n, j, 0], xy[n, j, 1]
    for row in range(len(tracks.ids)):
        if now_s - tracks.seen_s[row] > rule.patience_s:
            tracks.ids[row] = -1
    rows = np.nonzero(tracks.ids >= 0)[0]
    row_of = _match(tracks, rows, body, box, now_s, rule)
    ids = np.empty(people, np.int64)
    for n in range(people):
        if row_of[n] >= 0:
            ids[n] = tracks.ids[row_of[n]]
            _see(tracks, row_of[n], body[n], box[n], now_s)
    for n in range(people):
        if row_of[n] >= 0:
            continue
        ids[n] = next_id
        next_id += 1
        row = _free_row(tracks, now_s)
        if row >= 0:
            tracks.ids[row] = ids[n]
            tracks.xy[row], tracks.box[row], tracks.speed[row] = body[n], box[n], 0.0
            tracks.seen_s[row], tracks.times[row] = now_s, 1
    return ids, next_id
