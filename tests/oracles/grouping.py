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
    moved = [{} for _ in range(people)]
    around = box + margin * size.max(axis=1, keepdims=True) * np.array([-1, -1, 1, 1])

    def value(n, j, k):
        if peak_score[k, j] < floor or not admitted(peak_xy[k, j], around[n]):
            return 0.0
        return worth(np.linalg.norm(peak_xy[k, j] - expected[n, j]), reach[n], peak_score[k, j])

    expected = regressed[:people].copy()
    for n in range(people):
        for j, keypoint in enumerate(spec.keypoint_of_joint):
            body = anchor(spec, j)
            if body is not None and moved[n].get(body) is not None:
                expected[n, j] += moved[n][body]
            if keypoint < 0 or not spec.trained_keypoints[keypoint]:
                continue
            values = [value(n, j, k) for k in range(ranks)]
            if max(values) > 0:
                k = int(np.argmax(values))
                xy[n, keypoint], score[n, keypoint] = peak_xy[k, j], peak_score[k, j]
                moved[n][j] = peak_xy[k, j] - regressed[n, j]
            elif regressed_score[n, j] > 0:
                xy[n, keypoint], score[n, keypoint] = expected[n, j], regressed_score[n, j]
    for part in spec.parts:
        if not spec.trained_keypoints[part.keypoints.start]:
            continue
        j = spec.joint(part.center)
        cost = np.ones((people, ranks + people))
        for n in range(people):
            for k in range(ranks):
                if (np.abs(peak_xy[:k, j] - peak_xy[k, j]) < 1.5).all(axis=1).any():
                    continue  # a tie beside a stronger peak
                cost[n, k] = 1 - value(n, j, k)
        rows, chosen = linear_sum_assignment(cost)
        for n, k in zip(rows, chosen, strict=True):
            points = (ranks, part.num_keypoints, 2)
            if part.name == "face" and part.size_head:
                served = k < ranks and cost[n, k] < 1
                middle = peak_xy[k, j] if served else regressed[n, j]
                where, row = ("peak", k) if served else ("regressed", n)
                half = packed[row, layout[f"face_{where}_wh"]] / 2
                if (half > 0).all() and (served or regressed_score[n, j] > 0):
                    face[n, :2], face[n, 2:] = middle - half, middle + half
            if k < ranks and cost[n, k] < 1:
                xy[n, part.keypoints] = packed[:, layout[f"{part.name}_peak"]].reshape(points)[k]
                score[n, part.keypoints] = peak_score[k, j]
            elif regressed_score[n, j] > 0:
                xy[n, part.keypoints] = packed[:, layout[f"{part.name}_regressed"]].reshape(points)[n]
                score[n, part.keypoints] = regressed_score[n, j]
    joints_of = [p for p in spec.keypoint_of_joint if 0 <= p < 17 and spec.trained_keypoints[p]]
    person_score = np.sqrt(packed[:people, layout["person_score"]][:, 0] * score[:, joints_of].mean(axis=1))
    order = np.argsort(-person_score, kind="stable")
    return person_score[order], xy[order], score[order], box[order], face[order]
