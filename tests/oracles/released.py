"""The released code's grouping, person by person."""

import numpy as np

from hprnet_rt.spec import ModelSpec, PeakLayout
from tests.oracles.grouping import admitted

FLOOR, REACH = np.float32(0.1), 0.3
NO_SCORE = np.finfo(np.float32).tiny


def group_as_released(packed, spec: ModelSpec, people: int):
    """Group the first `people` rows. A point without a score gets `NO_SCORE`, an absent one 0.

    Returns person score (N,), xy (N, 133, 2), score (N, 133), box and face box (N, 4), in cells.
    """
    packed = packed.astype(np.float64)
    layout, joints, ranks = PeakLayout.of(spec).columns, spec.num_joints, len(packed)
    peak_xy = packed[:, layout["peak_xy"]].reshape(ranks, joints, 2)
    peak_score = packed[:, layout["peak_score"]]
    xy = np.full((people, 133, 2), np.nan)
    score, box, face = np.zeros((people, 133)), np.zeros((people, 4)), np.full((people, 4), np.nan)

    def accepted(regressed, j, person_box):
        """Return the rank of the nearest peak if it is accepted, else None."""
        distance = np.linalg.norm(peak_xy[:, j] - regressed, axis=1)
        distance[peak_score[:, j] <= FLOOR] = np.inf
        k = int(np.argmin(distance))
        reach = REACH * max(person_box[2] - person_box[0], person_box[3] - person_box[1])
        return k if distance[k] <= reach and admitted(peak_xy[k, j], person_box) else None

    for n, row in enumerate(packed[:people]):
        center = row[layout["person_cell"]] + row[layout["person_offset"]]
        half = row[layout["person_wh"]] / 2
        box[n, :2], box[n, 2:] = center - half, center + half
        regressed = row[layout["joint_regressed"]].reshape(joints, 2)
        for j, keypoint in enumerate(spec.keypoint_of_joint):
            if keypoint < 0 or not spec.trained_keypoints[keypoint]:
                continue
            k = accepted(regressed[j], j, box[n])
            xy[n, keypoint] = regressed[j] if k is None else peak_xy[k, j]
            there = row[layout["joint_regressed_score"]][j] if k is None else peak_score[k, j]
            score[n, keypoint] = max(there, NO_SCORE)
        for part in spec.parts:
            if not spec.trained_keypoints[part.keypoints.start]:
                continue
            j = spec.joint(part.center)
            k = accepted(regressed[j], j, box[n])
            if peak_score[n, j] > 0:
                xy[n, part.keypoints] = row[layout[f"{part.name}_peak"]].reshape(-1, 2)
                score[n, part.keypoints] = NO_SCORE if k is None else peak_score[k, j]
            if part.name == "face" and part.size_head and k is not None:
                half = packed[k, layout["face_peak_wh"]] / 2
                face[n, :2], face[n, 2:] = peak_xy[k, j] - half, peak_xy[k, j] + half
    return packed[:people, layout["person_score"]][:, 0], xy, score, box, face
