"""Imaginary people who walk."""

import numpy as np

from hprnet_rt.skeleton import NUM_KEYPOINTS
from hprnet_rt.types import Poses

FPS = 25.0
SIZE_PX = 300.0
SHAPE = np.random.default_rng(3).uniform(-0.5, 0.5, (NUM_KEYPOINTS, 2)) * (0.4, 1.0) * SIZE_PX


def people(centers, *, shapes=None, score=0.9):
    """Return people around these centres (N, 2) px; they have the same shape unless `shapes` are given."""
    centers = np.asarray(centers, np.float64).reshape(-1, 2)
    n = len(centers)
    shapes = np.repeat(SHAPE[None], n, axis=0) if shapes is None else np.asarray(shapes)
    half = np.array([0.2, 0.5]) * SIZE_PX
    return Poses(
        (centers[:, None] + shapes).astype(np.float32),
        np.full((n, NUM_KEYPOINTS), score, np.float32),
        np.concatenate((centers - half, centers + half), axis=1).astype(np.float32),
        np.full((n, 4), np.nan, np.float32),
        np.full(n, score, np.float32),
        np.full(n, -1, np.int64),
    )
