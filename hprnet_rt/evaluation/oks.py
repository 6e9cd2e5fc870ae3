"""Object keypoint similarity (OKS) of all pairs of people at once."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import ShapeError
from hprnet_rt.grouping.compiled import kernel

__all__ = ["oks"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_VANISHED = 746.0  # exp(-746) is 0 as a double
_TINY = float(np.spacing(1.0))  # keeps an area of 0 from dividing by it, as COCO's own code does


@kernel
def _oks(
    found: FloatArray,
    true: FloatArray,
    labelled: BoolArray,
    area: FloatArray,
    box: FloatArray,
    var: FloatArray,
) -> FloatArray:
    """Compute `oks`; `var` (P,) holds (2 sigma)^2."""
    people, others, points = len(found), len(true), len(var)
    result = np.zeros((people, others))
    for j in range(others):
        count = 0
        for p in range(points):
            count += labelled[j, p]
        left, right = box[j, 0] - box[j, 2], box[j, 0] + 2 * box[j, 2]
        top, bottom = box[j, 1] - box[j, 3], box[j, 1] + 2 * box[j, 3]
        for i in range(people):
            total = 0.0
            for p in range(points):
                if count and not labelled[j, p]:
                    continue
                x, y = found[i, p, 0], found[i, p, 1]
                if math.isnan(x) or math.isnan(y):
                    continue
                if count:
                    dx, dy = x - true[j, p, 0], y - true[j, p, 1]
                else:
                    dx = max(0.0, left - x) + max(0.0, x - right)
                    dy = max(0.0, top - y) + max(0.0, y - bottom)
                e = (dx * dx + dy * dy) / var[p] / (area[j] + _TINY) / 2
                if e < _VANISHED:
                    total += math.exp(-e)
            result[i, j] = total / (count if count else points)
    return result


def oks(
    found: npt.NDArray[np.floating],
    true: npt.NDArray[np.floating],
    labelled: BoolArray,
    area: FloatArray,
    box_xywh: FloatArray,
    sigmas: FloatArray,
) -> FloatArray:
    """Return the OKS of each person found with each true one: the mean of exp(-d^2 / (2 area (2 sigma)^2)).

    Args:
        found: (D, P, 2) px; a point that is NaN contributes 0.
        true: (G, P, 2) px.
        labelled: (G, P); points that are not labelled do not count.
        area: (G,) px^2 of the whole person, whatever points are compared.
        box_xywh: (G, 4) px of the person; see below.
        sigmas: (P,).

    Returns:
        (D, G) in [0, 1].

    Raises:
        ShapeError: the shapes of the arrays do not match.

    If a true person has no labelled point, all P points count, and d is the distance to the person's box
    widened by its own size on each side. This is COCO's rule for ignoring detections there.
    Source: the COCO keypoint evaluation (Lin et al., 2014), for the parts of Jin et al. (2020).
    """
    points, others = len(sigmas), len(area)
    for name, got, expected in (
        ("found", found.shape, (len(found), points, 2)),
        ("true", true.shape, (others, points, 2)),
        ("labelled", labelled.shape, (others, points)),
        ("box_xywh", box_xywh.shape, (others, 4)),
    ):
        if got != expected:
            raise ShapeError(f"oks: {name} is {expected}, got {got}")
    variance = np.square(2 * np.asarray(sigmas, np.float64))
    return _oks(
        np.ascontiguousarray(found, np.float64),
        np.ascontiguousarray(true, np.float64),
        np.ascontiguousarray(labelled, np.bool_),
        np.ascontiguousarray(area, np.float64),
        np.ascontiguousarray(box_xywh, np.float64),
        variance,
    )
