"""The released code's grouping, kept for comparison: it gives faces and hands to the wrong people.

Positions are in output cells, x before y.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from hprnet_rt import skeleton
from hprnet_rt.grouping.compiled import kernel
from hprnet_rt.grouping.kernels import read_peaks, read_people, surround
from hprnet_rt.grouping.matching import admits
from hprnet_rt.grouping.tables import JointPeaks, PeakTable, Regressed, SearchArea

__all__ = ["group_as_released"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

_PEAK_THRESHOLD: Final = float(np.nextafter(np.float32(0.1), np.float32(1.0)))  # it is "more than 0.1"
_REACH: Final = 0.3  # of the box's longer side, from the regressed point to a peak
_LEAST = np.finfo(np.float32).tiny  # the score of a point that the released code gives none
_KEYPOINTS = skeleton.NUM_KEYPOINTS


@kernel
def _nearest_joints(
    regressed: Regressed, peaks: JointPeaks, area: SearchArea, xy: FloatArray, score: FloatArray
) -> IntArray:
    """Give each person the very nearest peak of every joint, if it lies within reach and in the box.

    Arguments and result as of `matching.match_joints`; of two peaks equally near, the stronger one counts.
    """
    ranks = len(peaks.xy)
    peak_of = np.full(regressed.score.shape, -1, np.int64)
    for j in range(regressed.xy.shape[1]):
        for n in range(len(area.box)):
            x, y = regressed.xy[n, j, 0], regressed.xy[n, j, 1]
            best, best_distance = -1, area.reach[n] * area.reach[n]
            for k in range(ranks):
                if peaks.score[k, j] < area.peak_threshold:
                    break
                dx, dy = peaks.xy[k, j, 0] - x, peaks.xy[k, j, 1] - y
                distance = dx * dx + dy * dy
                if distance < best_distance or (best < 0 and distance == best_distance):
                    best, best_distance = k, distance
            if best >= 0 and not admits(peaks.xy[best, j, 0], peaks.xy[best, j, 1], area.box[n]):
                best = -1
            peak_of[n, j] = best
            if best >= 0:
                xy[n, j, 0], xy[n, j, 1] = peaks.xy[best, j, 0], peaks.xy[best, j, 1]
                score[n, j] = peaks.score[best, j]
            elif regressed.score[n, j] > 0.0:
                xy[n, j, 0], xy[n, j, 1] = x, y
                score[n, j] = regressed.score[n, j]
    return peak_of


@kernel
def group_as_released(
    packed: FloatArray, table: PeakTable, threshold: float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Group one packed output (see `PeakLayout`) as the released code does.

    Every row is a person, in rank order, with the score of their centre; boxes are not clamped. Each joint
    takes the nearest peak, or stays where it is regressed when that peak lies outside the person's box or
    out of reach, even if another would do. Person k gets the part points read at the k-th strongest peak
    of the part, and for these points the score of the peak nearest to their own regressed centre.

    A point that the released code gives no score has the least normal float32, so that it is not taken
    for an absent one. Points are absent when their weights are not trained, or the k-th peak of their part
    does not exist; so is a person whose row does not exist (score 0).

    Args:
        packed: (K, width).
        table: of the network, for the layout of `packed`.
        threshold: least score of a person's centre.

    Returns:
        as `kernels.group`; the face box is that of the peak whose score the face has, and NaN (all zeros
        in the released code) when no peak is accepted.

    Source: the released HPRNet, measured; see the golden numbers in tests/golden.
    """
    columns, joints = table.columns, len(table.keypoint_of_joint)
    center, people = columns.person_score, 0
    while people < len(packed) and packed[people, center] > 0.0 and packed[people, center] >= threshold:
        people += 1
    box, size, regressed = read_people(packed, np.arange(people), columns, joints, -np.inf)
    regressed = Regressed(regressed.xy, np.maximum(regressed.score, np.float32(_LEAST)))
    area = SearchArea(box, (_REACH * size).astype(np.float32), _PEAK_THRESHOLD)
    peaks = read_peaks(packed, columns, joints)
    joint_xy = np.full((people, joints, 2), np.nan, np.float32)
    joint_score = np.zeros((people, joints), np.float32)
    peak_of = _nearest_joints(regressed, peaks, area, joint_xy, joint_score)

    xy = np.full((people, _KEYPOINTS, 2), np.nan, np.float32)
    score = np.zeros((people, _KEYPOINTS), np.float32)
    face = np.full((people, 4), np.nan, np.float32)
    for n in range(people):
        for j in range(joints):
            keypoint = table.keypoint_of_joint[j]
            if keypoint >= 0:
                xy[n, keypoint, 0], xy[n, keypoint, 1] = joint_xy[n, j, 0], joint_xy[n, j, 1]
                score[n, keypoint] = joint_score[n, j]
        for p in range(len(table.parts)):
            part = table.parts[p]
            joint = part.joint
            own = peak_of[n, joint]
            if part.peak_face_wh >= 0 and own >= 0:
                middle, wh = peaks.xy[own, joint], packed[own, part.peak_face_wh :]
                surround(face[n], middle[0], middle[1], wh[0], wh[1])
            if peaks.score[n, joint] <= 0.0:
                continue
            part_score = peaks.score[own, joint] if own >= 0 else np.float32(_LEAST)
            for i in range(part.num_keypoints):
                point, at = part.keypoint + i, part.peak + 2 * i
                xy[n, point, 0], xy[n, point, 1] = packed[n, at], packed[n, at + 1]
                score[n, point] = part_score
    return packed[:people, center].copy(), xy, score, box, face
