"""The released code's grouping, kept for comparison: its faces and hands go to the wrong people.

Positions are in output cells, x before y.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from hprnet_rt import skeleton
from hprnet_rt.grouping.compiled import kernel
from hprnet_rt.grouping.kernels import read_people, surround
from hprnet_rt.grouping.matching import admits

__all__ = ["RELEASED_FLOOR", "RELEASED_REACH", "group_as_released"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

RELEASED_FLOOR: Final = float(np.nextafter(np.float32(0.1), np.float32(1.0)))
"""Least score of a peak: the released code wants more than 0.1, in float32."""
RELEASED_REACH: Final = 0.3
"""How far a peak may lie from the regressed point, in units of the box's longer side."""

_LEAST = np.finfo(np.float32).tiny  # the score of a point that is there and has none
_KEYPOINTS = skeleton.NUM_KEYPOINTS


@kernel
def _nearest_joints(
    regressed: FloatArray,
    regressed_score: FloatArray,
    peak_xy: FloatArray,
    peak_score: FloatArray,
    box: FloatArray,
    reach: FloatArray,
    floor: float,
    xy: FloatArray,
    score: FloatArray,
) -> IntArray:
    """Give each person the very nearest peak of every joint, if it lies within reach and in the box.

    Arguments and result as of `matching.match_joints`; of two peaks equally near, the stronger one counts.
    """
    ranks = peak_xy.shape[0]
    peak_of = np.full(regressed_score.shape, -1, np.int64)
    for j in range(regressed.shape[1]):
        for n in range(box.shape[0]):
            x, y = regressed[n, j, 0], regressed[n, j, 1]
            best, best_distance = -1, reach[n] * reach[n]
            for k in range(ranks):
                if peak_score[k, j] < floor:
                    break
                dx, dy = peak_xy[k, j, 0] - x, peak_xy[k, j, 1] - y
                distance = dx * dx + dy * dy
                if distance < best_distance or (best < 0 and distance == best_distance):
                    best, best_distance = k, distance
            if best >= 0 and not admits(peak_xy[best, j, 0], peak_xy[best, j, 1], box[n]):
                best = -1
            peak_of[n, j] = best
            if best >= 0:
                xy[n, j, 0], xy[n, j, 1] = peak_xy[best, j, 0], peak_xy[best, j, 1]
                score[n, j] = peak_score[best, j]
            elif regressed_score[n, j] > 0.0:
                xy[n, j, 0], xy[n, j, 1] = x, y
                score[n, j] = regressed_score[n, j]
    return peak_of


@kernel
def group_as_released(
    packed: FloatArray,
    fields: IntArray,
    keypoint_of_joint: IntArray,
    parts: IntArray,
    reach_of_size: float,
    floor: float,
    threshold: float,
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
        packed, fields, keypoint_of_joint, parts, reach_of_size, floor: see `kernels.group`.
        threshold: least score of a person's centre.

    Returns:
        as `kernels.group`; the face box is that of the peak whose score the face has, and NaN (all zeros
        in the released code) when no peak is accepted.

    Source: the released HPRNet, measured; see the golden numbers in tests/golden.
    """
    ranks, joints = packed.shape[0], keypoint_of_joint.shape[0]
    center, at_peak_score, at_peak = fields[0], fields[6], fields[7]
    people = 0
    while people < ranks and packed[people, center] > 0.0 and packed[people, center] >= threshold:
        people += 1
    rows = np.arange(people)
    box, size, regressed, regressed_score = read_people(packed, rows, fields, joints, -np.inf)
    reach = (reach_of_size * size).astype(np.float32)
    regressed_score = np.maximum(regressed_score, np.float32(_LEAST))
    peak_score = packed[:, at_peak_score : at_peak_score + joints]
    peak_xy = packed[:, at_peak : at_peak + 2 * joints].copy().reshape(ranks, joints, 2)
    joint_xy = np.full((people, joints, 2), np.nan, np.float32)
    joint_score = np.zeros((people, joints), np.float32)
    peak_of = _nearest_joints(
        regressed, regressed_score, peak_xy, peak_score, box, reach, floor, joint_xy, joint_score
    )

    xy = np.full((people, _KEYPOINTS, 2), np.nan, np.float32)
    score = np.zeros((people, _KEYPOINTS), np.float32)
    face = np.full((people, 4), np.nan, np.float32)
    for n in range(people):
        for j in range(joints):
            keypoint = keypoint_of_joint[j]
            if keypoint >= 0:
                xy[n, keypoint, 0], xy[n, keypoint, 1] = joint_xy[n, j, 0], joint_xy[n, j, 1]
                score[n, keypoint] = joint_score[n, j]
        for p in range(parts.shape[0]):
            joint, first_peak, _, first, points, peak_size, _ = parts[p, :7]
            own = peak_of[n, joint]
            if peak_size >= 0 and own >= 0:
                middle, size_of = peak_xy[own, joint], packed[own, peak_size:]
                surround(face[n], middle[0], middle[1], size_of[0], size_of[1])
            if peak_score[n, joint] <= 0.0:
                continue
            part_score = peak_score[own, joint] if own >= 0 else np.float32(_LEAST)
            for i in range(points):
                at = first_peak + 2 * i
                xy[n, first + i, 0], xy[n, first + i, 1] = packed[n, at], packed[n, at + 1]
                score[n, first + i] = part_score
    return packed[:people, center].copy(), xy, score, box, face
