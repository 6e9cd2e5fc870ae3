"""The paper's grouping rule, person by person."""

import numpy as np
from scipy.optimize import linear_sum_assignment

from hprnet_rt.heads import ModelSpec, PeakLayout


def admitted(xy, box):
    return box[0] <= xy[0] <= box[2] and box[1] <= xy[1] <= box[3]


def group(packed, spec: ModelSpec, people: int, reach_of_size: float, floor: float):
    """Person score (N,), xy (N, 133, 2), score (N, 133), box and face box (N, 4), in cells.

    Of the first `people` rows.
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
    for n in range(people):
        for j, keypoint in enumerate(spec.keypoint_of_joint):
            if keypoint < 0 or not spec.trained_keypoints[keypoint]:
                continue
            near = [
                (np.linalg.norm(peak_xy[k, j] - regressed[n, j]), k)
                for k in range(ranks)
                if peak_score[k, j] >= floor and admitted(peak_xy[k, j], box[n])
            ]
            near = [pair for pair in near if pair[0] <= reach[n]]
            if near:
                _, k = min(near)
                xy[n, keypoint], score[n, keypoint] = peak_xy[k, j], peak_score[k, j]
            elif regressed_score[n, j] > 0:
                xy[n, keypoint], score[n, keypoint] = regressed[n, j], regressed_score[n, j]
    for part in spec.parts:
        if not spec.trained_keypoints[part.keypoints.start]:
            continue
        j = spec.joint(part.center)
        cost = np.ones((people, ranks + people))
        for n in range(people):
            for k in range(ranks):
                if (np.abs(peak_xy[:k, j] - peak_xy[k, j]) < 1.5).all(axis=1).any():
                    continue  # a tie beside a stronger peak
                distance = np.linalg.norm(peak_xy[k, j] - regressed[n, j])
                if peak_score[k, j] >= floor and distance < reach[n] and admitted(peak_xy[k, j], box[n]):
                    cost[n, k] = distance / reach[n]
        rows, chosen = linear_sum_assignment(cost)
        for n, k in zip(rows, chosen, strict=True):
            points = (ranks, part.num_keypoints, 2)
            if part.name == "face" and part.size_head:
                served = k < ranks and cost[n, k] < 1
                middle = peak_xy[k, j] if served else regressed[n, j]
                where, row = ("peak", k) if served else ("regressed", n)
                half = packed[row, layout[f"face_{where}_wh"]] / 2
                if (half > 0).all() and (served or regressed_score[n, j] > 0):
                    face[n] = *(middle - half), *(middle + half)
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
