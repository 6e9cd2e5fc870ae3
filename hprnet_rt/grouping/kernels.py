"""The compiled loops that make people of peaks. Positions are in output cells, x before y.

tests/oracles has a slow plain version of the rule.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hprnet_rt import skeleton
from hprnet_rt.grouping.compiled import kernel
from hprnet_rt.grouping.matching import contested, match_joints, share_joints, share_peaks
from hprnet_rt.grouping.tables import Columns, JointPeaks, PeakTable, Regressed, Rule, SearchArea

__all__ = [
    "distinct",
    "doubt_same_hand",
    "drop_unsure",
    "group",
    "read_peaks",
    "read_people",
    "surround",
    "to_image",
    "without_repeats",
]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
_BESIDE = 1.5  # cells
_SAME_POINT = 0.05  # of the larger person's longer side
_SAME_HAND = 0.2  # mean distance of the points, of the larger hand's longer side
_DOUBT = 0.3  # factor of the weaker one's scores
_KEYPOINTS = skeleton.NUM_KEYPOINTS
_BODY = skeleton.BODY.stop  # the first of them are the body


@kernel
def _repeats(xy: FloatArray, k: int, count: int) -> bool:
    """Return whether point k lies beside one of the first `count` points: a tie, which NMS lets through."""
    for i in range(count):
        if abs(xy[i, 0] - xy[k, 0]) < _BESIDE and abs(xy[i, 1] - xy[k, 1]) < _BESIDE:
            return True
    return False


@kernel
def distinct(cells: FloatArray) -> IntArray:
    """Return the rows of `cells` (N, 2) that are not neighbours of an earlier row.

    Two neighbours of equal score are both local maxima; in bf16, equal scores are common.
    """
    kept = np.empty(cells.shape[0], np.int64)
    count = 0
    for n in range(cells.shape[0]):
        if not _repeats(cells, n, n):
            kept[count] = n
            count += 1
    return kept[:count]


@kernel
def _extents(xy: FloatArray, joints: IntArray) -> FloatArray:
    """Return the box (N, 4) xyxy around some joints of each person; inside out for one who has none."""
    extent = np.empty((xy.shape[0], 4), np.float32)
    for n in range(xy.shape[0]):
        extent[n, :2], extent[n, 2:] = np.inf, -np.inf
        for j in joints:
            for axis in range(2):
                if xy[n, j, axis] < extent[n, axis]:
                    extent[n, axis] = xy[n, j, axis]
                if xy[n, j, axis] > extent[n, axis + 2]:
                    extent[n, axis + 2] = xy[n, j, axis]
    return extent


@kernel
def _apart(a: FloatArray, b: FloatArray, limit: float) -> bool:
    """Return whether boxes a and b (4,) are at least `limit` apart along one of the axes."""
    beside = a[0] - b[2] >= limit or b[0] - a[2] >= limit
    return bool(beside or a[1] - b[3] >= limit or b[1] - a[3] >= limit)


@kernel
def without_repeats(order: IntArray, xy: FloatArray, joints: IntArray, size: FloatArray) -> IntArray:
    """Leave out people who are a stronger person found again, at a second centre.

    Two centres on one body take the same joint peaks. A person repeats a stronger one when at least half
    of the joints that both have are the same points; two real people, however close, differ in most.

    Args:
        order: (M,) rows, strongest first.
        xy: (N, J, 2) with NaN where absent.
        joints: the ones that are compared.
        size: (N,) longer side of each person's box.

    Returns:
        the rows of `order` that stay, in order.
    """
    kept = np.empty(order.shape[0], np.int64)
    extent = _extents(xy, joints)
    count = 0
    for n in order:
        repeats = False
        for i in range(count):
            k = kept[i]
            limit = _SAME_POINT * max(size[n], size[k])
            if _apart(extent[n], extent[k], limit):
                continue
            both, same = 0, 0
            for j in joints:
                dx, dy = abs(xy[n, j, 0] - xy[k, j, 0]), abs(xy[n, j, 1] - xy[k, j, 1])
                if dx == dx:  # not NaN: both have the joint
                    both += 1
                    if dx < limit and dy < limit:
                        same += 1
            if both > 0 and 2 * same >= both:
                repeats = True
                break
        if not repeats:
            kept[count] = n
            count += 1
    return kept[:count]


@kernel
def surround(box: FloatArray, x: float, y: float, width: float, height: float) -> None:
    """Write the corners xyxy of a box of this size around (x, y) into `box` (4,)."""
    box[0], box[2] = x - width / 2, x + width / 2
    box[1], box[3] = y - height / 2, y + height / 2


@kernel
def read_people(
    packed: FloatArray, rows: IntArray, columns: Columns, joints: int, least_side: float
) -> tuple[FloatArray, FloatArray, Regressed]:
    """Read the people of some rows of a packed output.

    Args:
        packed: (K, width).
        rows: (N,) whose people are read.
        columns: of `packed`.
        joints: J, the network's.
        least_side: a box that is narrower or lower than this is enlarged to it.

    Returns:
        box (N, 4) xyxy, its longer side (N,), and the regressed joints.
    """
    count = len(rows)
    box = np.empty((count, 4), np.float32)
    size = np.empty(count, np.float32)
    xy = np.empty((count, joints, 2), np.float32)
    score = np.empty((count, joints), np.float32)
    cell, offset, wh = columns.person_cell, columns.person_offset, columns.person_wh
    for n in range(count):
        row = packed[rows[n]]
        width, height = max(row[wh], least_side), max(row[wh + 1], least_side)
        surround(box[n], row[cell] + row[offset], row[cell + 1] + row[offset + 1], width, height)
        size[n] = max(box[n, 2] - box[n, 0], box[n, 3] - box[n, 1])
        for j in range(joints):
            at = columns.joint_regressed + 2 * j
            xy[n, j, 0], xy[n, j, 1] = row[at], row[at + 1]
            score[n, j] = row[columns.joint_regressed_score + j]
    return box, size, Regressed(xy, score)


@kernel
def read_peaks(packed: FloatArray, columns: Columns, joints: int) -> JointPeaks:
    """Read the peaks of all joints, whose number is `joints`, of a packed output (K, width)."""
    ranks, first = len(packed), columns.peak_xy
    xy = packed[:, first : first + 2 * joints].copy().reshape(ranks, joints, 2)
    return JointPeaks(xy, packed[:, columns.peak_score : columns.peak_score + joints])


@kernel
def group(
    packed: FloatArray, table: PeakTable, rule: Rule
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Group one packed output (see `PeakLayout`): all the loops of a frame in one call.

    A person's score is the geometric mean of the centre's score and the mean of the body's joints', whatever
    else the network knows: feet are often out of view. For the score, and to tell who is found twice, a peak
    may serve several people. Among the people who stay, peaks of joints and parts serve one.

    Args:
        packed: (K, width).
        table: of the network, for the layout of `packed`.
        rule: how peaks are shared out.

    Returns:
        person score (N,), xy (N, 133, 2) with NaN where absent, score (N, 133), box (N, 4) xyxy, face box
        (N, 4) xyxy with NaN where the face is absent or has no size; strongest first. The score of a part's
        point is that of the part's centre, times the point's confidence where there is one.
    """
    columns, joints = table.columns, len(table.keypoint_of_joint)
    candidates = 0
    while candidates < len(packed) and packed[candidates, columns.person_score] >= rule.candidate_threshold:
        candidates += 1
    rows = distinct(packed[:candidates, columns.person_cell : columns.person_cell + 2])
    count = len(rows)
    box, size, regressed = read_people(packed, rows, columns, joints, 0.0)
    reach = (rule.reach * size).astype(np.float32)
    margin = (rule.margin * size).astype(np.float32)
    around = box.copy()
    for n in range(count):
        around[n, :2] -= margin[n]
        around[n, 2:] += margin[n]
    peaks = read_peaks(packed, columns, joints)
    joint_xy = np.full((count, joints, 2), np.nan, np.float32)
    joint_score = np.zeros((count, joints), np.float32)
    area = SearchArea(around, reach, rule.peak_threshold)
    joint_peak = match_joints(regressed, peaks, table.anchor, area, joint_xy, joint_score)

    known = np.nonzero(table.keypoint_of_joint >= 0)[0]
    bodily = known[table.keypoint_of_joint[known] < _BODY]
    person_score = np.zeros(count, np.float32)
    for n in range(count):
        for joint in bodily:
            person_score[n] += joint_score[n, joint]
        center_score = packed[rows[n], columns.person_score]
        person_score[n] = np.sqrt(center_score * person_score[n] / max(len(bodily), 1))
    order = np.argsort(-person_score, kind="mergesort")
    order = order[person_score[order] >= rule.person_threshold]
    order = without_repeats(order, joint_xy, bodily, size)

    people = len(order)
    box, regressed = box[order], Regressed(regressed.xy[order], regressed.score[order])
    joint_xy, joint_score, joint_peak = joint_xy[order], joint_score[order], joint_peak[order]
    area = SearchArea(around[order], reach[order], rule.peak_threshold)
    anchor_xy = joint_xy  # a hand is expected beside the best wrist, even if that is another person's
    if contested(known, joint_peak, peaks):
        joint_xy, joint_score = np.full_like(joint_xy, np.nan), np.zeros_like(joint_score)
        share_joints(known, regressed, peaks, table.anchor, area, joint_xy, joint_score)
    xy = np.full((people, _KEYPOINTS, 2), np.nan, np.float32)
    score = np.zeros((people, _KEYPOINTS), np.float32)
    for n in range(people):
        for joint in known:
            keypoint = table.keypoint_of_joint[joint]
            xy[n, keypoint, 0], xy[n, keypoint, 1] = joint_xy[n, joint, 0], joint_xy[n, joint, 1]
            score[n, keypoint] = joint_score[n, joint]
    face = np.full((people, 4), np.nan, np.float32)
    for p in range(len(table.parts)):
        part = table.parts[p]
        joint = part.joint
        expected, anchor = regressed.xy[:, joint].copy(), table.anchor[joint]
        for n in range(people):
            if anchor >= 0 and joint_peak[n, anchor] >= 0:
                expected[n] += anchor_xy[n, anchor] - regressed.xy[n, anchor]
        peak_of = share_peaks(expected, peaks.xy[:, joint], peaks.score[:, joint], area)
        for n in range(people):
            k = peak_of[n]
            center_score = peaks.score[k, joint] if k >= 0 else regressed.score[n, joint]
            if center_score <= 0.0:
                continue
            row, column = (k, part.peak) if k >= 0 else (rows[order[n]], part.regressed)
            confidence_at = part.peak_confidence if k >= 0 else part.regressed_confidence
            for i in range(part.num_keypoints):
                point = part.keypoint + i
                xy[n, point, 0] = packed[row, column + 2 * i]
                xy[n, point, 1] = packed[row, column + 2 * i + 1]
                confidence = packed[row, confidence_at + i] if confidence_at >= 0 else np.float32(1.0)
                score[n, point] = center_score * confidence
        for n in range(people):
            if part.peak_face_wh < 0 or score[n, part.keypoint] <= 0.0:
                continue
            middle, wh = regressed.xy[n, joint], packed[rows[order[n]], part.regressed_face_wh :]
            if peak_of[n] >= 0:
                middle, wh = peaks.xy[peak_of[n], joint], packed[peak_of[n], part.peak_face_wh :]
            if wh[0] > 0.0 and wh[1] > 0.0:
                surround(face[n], middle[0], middle[1], wh[0], wh[1])
    return person_score[order], xy, score, box, face


@kernel
def drop_unsure(
    xy: FloatArray, score: FloatArray, face: FloatArray, first: int, end: int, least: float, is_face: bool
) -> None:
    """Make a part absent, in place, where its points have a mean score below `least`.

    Args:
        xy: (N, 133, 2).
        score: (N, 133).
        face: (N, 4), made NaN with the part if that is the face.
        first: the part's first point.
        end: the point after its last.
        least: mean score.
        is_face: the part is the face.
    """
    for n in range(xy.shape[0]):
        if score[n, first:end].sum() < least * (end - first):
            xy[n, first:end] = np.nan
            score[n, first:end] = 0.0
            if is_face:
                face[n] = np.nan


@kernel
def _longer_side(xy: FloatArray) -> float:
    """The longer side of the box around points (P, 2); NaN where one of them is absent."""
    across = xy[:, 0].max() - xy[:, 0].min()
    down = xy[:, 1].max() - xy[:, 1].min()
    return float(max(across, down))


@kernel
def doubt_same_hand(xy: FloatArray, score: FloatArray, left: int, right: int, num_keypoints: int) -> None:
    """Lower the scores of a person's weaker hand, in place, where both are the same hand in the image.

    A hand whose side is hard to tell is seen as the left one and as the right one, finger on finger. Where
    one of the two is labelled, that is the stronger one in 29 of 38 photographs and in all of 6 webcam
    pictures (benchmarks/parts.py). The weaker one keeps its points.

    Args:
        xy: (N, 133, 2).
        score: (N, 133).
        left, right: first points of the hands.
        num_keypoints: of a hand.
    """
    for n in range(xy.shape[0]):
        two = xy[n, left : left + num_keypoints], xy[n, right : right + num_keypoints]
        reach = _SAME_HAND * max(_longer_side(two[0]), _longer_side(two[1]))
        apart = np.float32(0.0)
        for i in range(num_keypoints):
            across, down = two[0][i, 0] - two[1][i, 0], two[0][i, 1] - two[1][i, 1]
            apart += np.sqrt(across * across + down * down)
        if not apart <= reach * num_keypoints:  # one of them is absent: NaN
            continue
        of_left, of_right = score[n, left : left + num_keypoints], score[n, right : right + num_keypoints]
        weaker = of_left if of_left.sum() < of_right.sum() else of_right
        weaker *= np.float32(_DOUBT)


@kernel
def to_image(
    xy: FloatArray,
    box: FloatArray,
    face: FloatArray,
    scale: FloatArray,
    shift: FloatArray,
    width: int,
    height: int,
) -> None:
    """Turn cells into image pixels, in place; boxes end at the image's border, NaN stays NaN.

    Args:
        xy: (N, P, 2).
        box, face: (N, 4) xyxy.
        scale, shift: (2,), from `Letterbox.cells_to_image`.
        width, height: of the image.
    """
    for n in range(xy.shape[0]):
        for p in range(xy.shape[1]):
            xy[n, p, 0] = xy[n, p, 0] * scale[0] + shift[0]
            xy[n, p, 1] = xy[n, p, 1] * scale[1] + shift[1]
        for axis in range(2):
            border = np.float32(width if axis == 0 else height)
            for corner in (axis, axis + 2):
                at = box[n, corner] * scale[axis] + shift[axis]
                box[n, corner] = min(max(at, np.float32(0.0)), border)
                at = face[n, corner] * scale[axis] + shift[axis]
                if at == at:  # not NaN
                    at = min(max(at, np.float32(0.0)), border)
                face[n, corner] = at
