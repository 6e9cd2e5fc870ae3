"""Made-up keypoints, as a JSONL file has them: positions to 0.01 px, scores to 0.0001."""

from dataclasses import replace

import numpy as np

from hprnet_rt.formats import KeypointsFrame
from hprnet_rt.types import Poses

HEADER = {"source": "in/çığ clip.mp4", "width": 1920, "height": 1080, "fps": 25.0, "options": {"track": True}}


def poses(people, seed=0):
    """This many people: a fifth of their points absent, every second face unknown, the last without an id."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform(-5, 2000, (people, 133, 2)).round(2).astype(np.float32)
    score = rng.uniform(0.01, 1, (people, 133)).round(4).astype(np.float32)
    absent = rng.random((people, 133)) < 0.2
    xy[absent], score[absent] = np.nan, 0
    corners = rng.uniform(0, 500, (2, people, 2)).round(2).astype(np.float32)
    box = np.concatenate((corners[0], corners[0] + corners[1]), axis=1)
    face = box * np.float32(0.5)
    face[1::2] = np.nan
    ids = np.arange(people) + 7
    ids[-1:] = -1
    return Poses(xy, score, box, face, rng.uniform(0.3, 1, people).round(4).astype(np.float32), ids)


def frames(count=9, stride=1):
    """Frames of 0, 1, 2, 3, 0, 1... people."""
    return [KeypointsFrame(i * stride, i * stride / 25, poses(i % 4, i)) for i in range(count)]


def frames_for(form, count=9, stride=1):
    """The same frames, in which every person has an id where the format needs it."""
    made = frames(count, stride)
    if not form.needs_ids:
        return made
    return [
        replace(frame, poses=replace(frame.poses, track_id=np.arange(len(frame.poses)))) for frame in made
    ]
