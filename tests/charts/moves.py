"""Made-up keypoints of people whose left wrist moves evenly."""

import numpy as np

from hprnet_rt import skeleton
from hprnet_rt.formats import KeypointsFrame
from hprnet_rt.types import Poses

WRIST = skeleton.KEYPOINT_NAMES.index("left_wrist")
HEADER = {"source": "clip.mp4", "width": 160, "height": 96, "fps": 25.0}
SPEED = 3.0
"""Pixels a frame, to the right."""


def people(number, ids, *, score=0.9):
    """People at frame `number`: id i is i rows of 10 px below the top."""
    count = len(ids)
    xy = np.full((count, skeleton.NUM_KEYPOINTS, 2), np.nan, np.float32)
    scores = np.zeros((count, skeleton.NUM_KEYPOINTS), np.float32)
    for row, person in enumerate(ids):
        for point in (0, WRIST):
            xy[row, point] = (10 + SPEED * number, 10 * max(person, 0) + point)
            scores[row, point] = score
    box = np.tile(np.array([0, 0, 50, 50], np.float32), (count, 1))
    return Poses(xy, scores, box, np.full((count, 4), np.nan, np.float32), np.ones(count, np.float32),
                 np.array(ids, np.int64))  # fmt: skip


def frames(ids_of_frames, *, times=True, stride=1, scores=None):
    """A frame for each list of ids, 25 a second."""
    return [
        KeypointsFrame(
            index * stride,
            index * stride / 25 if times else None,
            people(index * stride, ids, score=0.9 if scores is None else scores[index]),
        )
        for index, ids in enumerate(ids_of_frames)
    ]
