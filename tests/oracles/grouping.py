"""The grouping rule, person by person."""

import numpy as np
from scipy.optimize import linear_sum_assignment

from hprnet_rt.spec import ModelSpec, PeakLayout


def admitted(xy, box):
    return box[0] <= xy[0] <= box[2] and box[1] <= xy[1] <= box[3]


def anchor(spec, joint):
    """Return the joint of the body that a joint goes with."""
    keypoint, (side, _, rest) = spec.keypoint_of_joint[joint], spec.joints[joint].partition("_")
    if 0 <= keypoint < 17:
        return None
    if rest == "foot_center" or 17 <= keypoint < 23:
        return spec.joint(f"{side}_ankle")
    if rest == "hand_center" or keypoint >= 91:
        return spec.joint(f"{side}_wrist")
    return spec.joint("nose")


def worth(distance, reach, score):
    return score * np.exp(-2 * (distance / reach) ** 2) if distance <= reach else 0.0


def group(packed, spec: ModelSpec, people: int, reach_of_size: float, floor: float, margin: float):
    """Group the first `people` rows.

    Returns person score (N,), xy (N, 133, 2), score (N, 133), box and face box (N, 4), in cells.
    """
    layout, joints = PeakLayout.of(spec).columns, spec.num_joints
    ranks = len(packed)
    xy = np.full((people, 133, 2), np.nan)
    score = np.zeros((people, 133))
    face = np.full((people, 4), np.nan)
    center = packed[:people, layout["person_cell"]] + packed[:people, layout["person_offset"]]
    size = np.maximum(packed[:people, layout["person_wh"]], 0)
    box = np.concatenate((center - size / 2, center + size / 2), axis=1)
    regressed = packed[:, layout["joint_regressed"]].reshape(ranks, joints, 2)
    regressed_score = packed[:, layout["joint_regressed_score"]]
    peak_xy = packed[:, layout["peak_xy"]].reshape(ranks, joints, 2)
    peak_score = packed[:, layout["peak_score"]]
    reach = reach_of_size * size.max(axis=1)
    around = box + margin * size.max(axis=1, keepdims=True) * np.array([-1, -1, 1, 1])

    def value(n, j, k):
        if peak_score[k, j] < floor or not admitted(peak_xy[k, j], around[n]):
            return 0.0
        return worth(np.linalg.norm(peak_xy[k, j] - expected[n, j]), reach[n], peak_score[k, j])

    def take(j, shared):
        """Return the peak of each person, or None: their best, or one each at the greatest total worth."""
        values = np.array([[value(n, j, k) for k in range(ranks)] for n in range(people)])
        if shared:
            return [int(np.argmax(row)) if row.max() > 0 else None for row in values]
        for k in range(ranks):
            if (np.abs(peak_xy[:k, j] - peak_xy[k, j]) < 1.5).all(axis=1).any():
                values[:, k] = 0  # a tie beside a stronger peak
        rows, chosen = linear_sum_assignment(np.concatenate((1 - values, np.ones((people, people))), axis=1))
        return [int(k) if k < ranks and values[n, k] > 0 else None for n, k in zip(rows, chosen, strict=True)]

    def beside(a, b, j):
        return (np.abs(peak_xy[a, j] - peak_xy[b, j]) < 1.5).all() and peak_score[a, j] == peak_score[b, j]

    joints_of = [p for p in spec.keypoint_of_joint if 0 <= p < 17 and spec.trained_keypoints[p]]
    for shared in (True, False):  # first for the score of each person, then so that no peak serves two
        expected = regressed[:people].copy()
        moved = [{} for _ in range(people)]
        if not shared:
            xy[:], score[:] = np.nan, 0
        contested = False
        for j, keypoint in enumerate(spec.keypoint_of_joint):
            body = anchor(spec, j)
            for n in range(people):
                if body is not None and moved[n].get(body) is not None:
                    expected[n, j] += moved[n][body]
            if keypoint < 0 or not spec.trained_keypoints[keypoint]:
                continue
            taken = take(j, shared)
            some = [k for k in taken if k is not None]
            contested |= any(beside(a, b, j) for i, a in enumerate(some) for b in some[:i])
            for n, k in enumerate(taken):
                if k is not None:
                    xy[n, keypoint], score[n, keypoint] = peak_xy[k, j], peak_score[k, j]
                    moved[n][j] = peak_xy[k, j] - regressed[n, j]
                elif regressed_score[n, j] > 0:
                    xy[n, keypoint], score[n, keypoint] = expected[n, j], regressed_score[n, j]
        if shared:
            mean = score[:, joints_of].mean(axis=1)
            person_score = np.sqrt(packed[:people, layout["person_score"]][:, 0] * mean)
            of_parts = expected
        if not contested:
            break
    expected = of_parts
    for part in spec.parts:
        if not spec.trained_keypoints[part.keypoints.start]:
            continue
        j = spec.joint(part.center)
        for n, k in enumerate(take(j, shared=False)):
            points = (ranks, part.num_keypoints, 2)
            if part.name == "face" and part.size_head:
                middle = peak_xy[k, j] if k is not None else regressed[n, j]
                where, row = ("peak", k) if k is not None else ("regressed", n)
                half = packed[row, layout[f"face_{where}_wh"]] / 2
                if (half > 0).all() and (k is not None or regressed_score[n, j] > 0):
                    face[n, :2], face[n, 2:] = middle - half, middle + half
            if k is not None:
                xy[n, part.keypoints] = packed[:, layout[f"{part.name}_peak"]].reshape(points)[k]
                score[n, part.keypoints] = peak_score[k, j]
            elif regressed_score[n, j] > 0:
                xy[n, part.keypoints] = packed[:, layout[f"{part.name}_regressed"]].reshape(points)[n]
                score[n, part.keypoints] = regressed_score[n, j]
    order = np.argsort(-person_score, kind="stable")
    return person_score[order], xy[order], score[order], box[order], face[order]
