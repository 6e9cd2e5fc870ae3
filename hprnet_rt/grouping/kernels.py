"""The compiled loops that make people of peaks. Positions are in output cells, x before y.

Every kernel has a slow plain twin in tests/oracles.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hprnet_rt import skeleton
from hprnet_rt.grouping.compiled import kernel
from hprnet_rt.grouping.matching import match_joints, match_part

__all__ = ["distinct", "drop_unsure", "group", "read_people", "surround", "to_image", "without_repeats"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
_BESIDE = 1.5  # cells
_SAME_POINT = 0.05  # of the larger person's longer side
_KEYPOINTS = skeleton.NUM_KEYPOINTS
_BODY = skeleton.BODY.stop  # the first of them are the body


@kernel
def _repeats(xy: FloatArray, k: int, count: int) -> bool:
    """Whether point k lies beside one of the first `count` points: a tie, which NMS lets through."""
    for i in range(count):
        if abs(xy[i, 0] - xy[k, 0]) < _BESIDE and abs(xy[i, 1] - xy[k, 1]) < _BESIDE:
            return True
    return False


@kernel
def distinct(cells: FloatArray) -> IntArray:
    """Rows of `cells` (N, 2) that are not neighbours of an earlier row.

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
def _extents(xy: FloatArray, wanted: IntArray) -> FloatArray:
    """Box (N, 4) xyxy around the wanted joints of each person; inside out for one who has none."""
    extent = np.empty((xy.shape[0], 4), np.float32)
    for n in range(xy.shape[0]):
        extent[n, :2], extent[n, 2:] = np.inf, -np.inf
        for j in wanted:
            for axis in range(2):
                if xy[n, j, axis] < extent[n, axis]:
                    extent[n, axis] = xy[n, j, axis]
                if xy[n, j, axis] > extent[n, axis + 2]:
                    extent[n, axis + 2] = xy[n, j, axis]
    return extent


@kernel
def _apart(a: FloatArray, b: FloatArray, limit: float) -> bool:
    """Whether no point of box a (4,) is within `limit` of one of box b, along either axis."""
    beside = a[0] - b[2] >= limit or b[0] - a[2] >= limit
    return bool(beside or a[1] - b[3] >= limit or b[1] - a[3] >= limit)


@kernel
def without_repeats(order: IntArray, xy: FloatArray, wanted: IntArray, size: FloatArray) -> IntArray:
    """Leave out people who are a stronger person again, found at a second centre.

    Two centres on one body take the same joint peaks. A person repeats a stronger one when at least half
    of the joints that both have are the same points; two real people, however close, differ in most.

    Args:
        order: (M,) rows, strongest first.
        xy: (N, J, 2) with NaN where absent.
        wanted: the joints that count.
        size: (N,) longer side of each person's box.

    Returns:
        the rows of `order` that stay, in order.
    """
    kept = np.empty(order.shape[0], np.int64)
    extent = _extents(xy, wanted)
    count = 0
    for n in order:
        repeats = False
        for i in range(count):
            k = kept[i]
            limit = _SAME_POINT * max(size[n], size[k])
            if _apart(extent[n], extent[k], limit):
                continue
            both, same = 0, 0
            for j in wanted:
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
    packed: FloatArray, rows: IntArray, fields: IntArray, joints: int, least_side: float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """What some rows of a packed output say of their people.

    Args:
        packed, fields: as in `group`; rows: (N,).
        joints: J, the network's.
        least_side: a box narrower than this is this wide, and as to its height.

    Returns:
        box (N, 4) xyxy, its longer side (N,), regressed joints (N, J, 2), the heat-map there (N, J).
    """
    _, cell, offset, size_at, at_joint, at_score, _, _ = fields
    count = len(rows)
    box = np.empty((count, 4), np.float32)
    size = np.empty(count, np.float32)
    regressed = np.empty((count, joints, 2), np.float32)
    regressed_score = np.empty((count, joints), np.float32)
    for n in range(count):
        row = packed[rows[n]]
        width, height = max(row[size_at], least_side), max(row[size_at + 1], least_side)
        surround(box[n], row[cell] + row[offset], row[cell + 1] + row[offset + 1], width, height)
        size[n] = max(box[n, 2] - box[n, 0], box[n, 3] - box[n, 1])
        for j in range(joints):
            regressed[n, j, 0], regressed[n, j, 1] = row[at_joint + 2 * j], row[at_joint + 2 * j + 1]
            regressed_score[n, j] = row[at_score + j]
    return box, size, regressed, regressed_score


@kernel
def group(
    packed: FloatArray,
    fields: IntArray,
    keypoint_of_joint: IntArray,
    anchor: IntArray,
    parts: IntArray,
    reach_of_size: float,
    margin_of_size: float,
    floor: float,
    candidate: float,
    threshold: float,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Group one packed output (see `PeakLayout`): all the loops of a frame in one call.

    A person's score is the geometric mean of the centre's score and the mean of the body's joints', whatever
    else the network knows: feet are often out of view. Parts are shared out among those people only who
    stay.

    Args:
        packed: (K, width).
        fields: first columns of person_score, person_cell, person_offset, person_wh, joint_regressed,
            joint_regressed_score, peak_score, peak_xy.
        keypoint_of_joint: (J,) index among the 133 points, -1 for a joint that is not wanted.
        anchor: (J,) see `match_joints`.
        parts: (parts, 9): centre joint, first column at peaks, first column at regressed centres, first
            keypoint, number of keypoints, first column of the face's size at peaks and at regressed
            centres, -1 for a part that is no face or whose size is not known; first column of the points'
            confidences at peaks and at regressed centres, -1 where there are none.
        reach_of_size: reach in units of the box's longer side.
        margin_of_size: how far around the box peaks may lie, in the same units.
        floor: least score of a peak.
        candidate: least score of a person's centre.
        threshold: least score of a person.

    Returns:
        person score (N,), xy (N, 133, 2) with NaN where absent, score (N, 133), box (N, 4) xyxy, face box
        (N, 4) xyxy with NaN where the face is absent or has no size; strongest first. The score of a part's
        point is that of the part's centre, times the point's confidence where there is one.
    """
    ranks, joints = packed.shape[0], keypoint_of_joint.shape[0]
    center, cell, at_peak_score, at_peak = fields[0], fields[1], fields[6], fields[7]
    candidates = 0
    while candidates < ranks and packed[candidates, center] >= candidate:
        candidates += 1
    rows = distinct(packed[:candidates, cell : cell + 2])
    count = len(rows)
    box, size, regressed, regressed_score = read_people(packed, rows, fields, joints, 0.0)
    reach = (reach_of_size * size).astype(np.float32)
    margin = (margin_of_size * size).astype(np.float32)
    around = box.copy()
    for n in range(count):
        around[n, :2] -= margin[n]
        around[n, 2:] += margin[n]
    peak_score = packed[:, at_peak_score : at_peak_score + joints]
    peak_xy = packed[:, at_peak : at_peak + 2 * joints].copy().reshape(ranks, joints, 2)
    joint_xy = np.full((count, joints, 2), np.nan, np.float32)
    joint_score = np.zeros((count, joints), np.float32)
    joint_peak = match_joints(
        *(
            regressed,
            regressed_score,
            peak_xy,
            peak_score,
            anchor,
            around,
            reach,
            floor,
            joint_xy,
            joint_score,
        )
    )

    wanted = np.nonzero(keypoint_of_joint >= 0)[0]
    bodily = wanted[keypoint_of_joint[wanted] < _BODY]
    weighed = np.zeros(count, np.float32)
    for n in range(count):
        for known in bodily:
            weighed[n] += joint_score[n, known]
        weighed[n] = np.sqrt(packed[rows[n], center] * weighed[n] / max(len(bodily), 1))
    order = np.argsort(-weighed, kind="mergesort")
    order = order[weighed[order] >= threshold]
    order = without_repeats(order, joint_xy, bodily, size)

    people = len(order)
    box, around, reach, regressed = box[order], around[order], reach[order], regressed[order]
    regressed_score = regressed_score[order]
    xy = np.full((people, _KEYPOINTS, 2), np.nan, np.float32)
    score = np.zeros((people, _KEYPOINTS), np.float32)
    for n in range(people):
        for known in wanted:
            keypoint, m = keypoint_of_joint[known], order[n]
            xy[n, keypoint, 0], xy[n, keypoint, 1] = joint_xy[m, known, 0], joint_xy[m, known, 1]
            score[n, keypoint] = joint_score[m, known]
    face = np.full((people, 4), np.nan, np.float32)
    for p in range(parts.shape[0]):
        joint, first_peak, first_regressed, first, points, peak_size, regressed_size = parts[p, :7]
        peak_sure, regressed_sure = parts[p, 7:]
        expected, a = regressed[:, joint].copy(), anchor[joint]
        for n in range(people):
            if a >= 0 and joint_peak[order[n], a] >= 0:
                expected[n] += joint_xy[order[n], a] - regressed[n, a]
        peak_of = match_part(expected, peak_xy[:, joint], peak_score[:, joint], around, reach, floor)
        for n in range(people):
            k = peak_of[n]
            own = peak_score[k, joint] if k >= 0 else regressed_score[n, joint]
            if own <= 0.0:
                continue
            row, column = (k, first_peak) if k >= 0 else (rows[order[n]], first_regressed)
            sure = peak_sure if k >= 0 else regressed_sure
            for i in range(points):
                xy[n, first + i, 0] = packed[row, column + 2 * i]
                xy[n, first + i, 1] = packed[row, column + 2 * i + 1]
                score[n, first + i] = own * packed[row, sure + i] if sure >= 0 else own
        for n in range(people):
            if peak_size < 0 or score[n, first] <= 0.0:
                continue
            middle, size_of = regressed[n, joint], packed[rows[order[n]], regressed_size:]
            if peak_of[n] >= 0:
                middle, size_of = peak_xy[peak_of[n], joint], packed[peak_of[n], peak_size:]
            if size_of[0] > 0.0 and size_of[1] > 0.0:
                surround(face[n], middle[0], middle[1], size_of[0], size_of[1])
    return weighed[order], xy, score, box, face


@kernel
def drop_unsure(
    xy: FloatArray, score: FloatArray, face: FloatArray, first: int, end: int, least: float, is_face: bool
) -> None:
    """Make a part absent, in place, of each person whose points of it have a mean score below `least`.

    Args:
        xy: (N, 133, 2); score: (N, 133); face: (N, 4), of which the part is the face when `is_face`.
        first, end: where the part stands among the points.
    """
    for n in range(xy.shape[0]):
        if score[n, first:end].sum() < least * (end - first):
            xy[n, first:end] = np.nan
            score[n, first:end] = 0.0
            if is_face:
                face[n] = np.nan


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
    """From cells to image pixels, in place; boxes end at the image's border, NaN stays NaN.

    Args:
        xy: (N, P, 2); box, face: (N, 4) xyxy.
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
