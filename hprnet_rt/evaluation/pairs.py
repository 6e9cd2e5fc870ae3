"""Pairing of true people with detections."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from hprnet_rt.evaluation.coco import Annotations, Results
from hprnet_rt.evaluation.oks import oks
from hprnet_rt.evaluation.parts import PART_TYPES, box_of_points
from hprnet_rt.grouping.assignment import assign

__all__ = ["PAIR_BY", "box_iou", "match_people", "partners"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

PAIR_BY: Final[dict[str, float]] = {"oks": 0.0, "box": 0.0, "overlap": 0.3}
"""Ways to pair people, each with the similarity that a pair must exceed by default.

"oks" (of the body) and "box" (intersection over union of the boxes) pair people one to one, with the largest
sum of similarities. "overlap" pairs everyone with the detection whose box overlaps theirs most; two people
may share one.
"""


def match_people(similarity: FloatArray, least: float = 0.0) -> IntArray:
    """Pair detections with true people one to one, with the largest sum of similarities.

    Args:
        similarity: (D, G) in [0, 1].
        least: the similarity of a pair must exceed this.

    Returns:
        (P, 2) row and column of each pair, ordered by row.
    """
    cost = np.where(similarity > least, 1.0 - similarity, 1.0).astype(np.float32)
    column = assign(cost)
    rows = np.flatnonzero(column >= 0)
    return np.stack((rows, column[rows]), axis=1)


def box_iou(first_xywh: FloatArray, second_xywh: FloatArray) -> FloatArray:
    """Return the intersection over union (D, G) of boxes (D, 4) and (G, 4); 0 for a NaN or empty box."""
    first, second = first_xywh[:, None], second_xywh[None]
    low = np.maximum(first[..., :2], second[..., :2])
    high = np.minimum(first[..., :2] + first[..., 2:], second[..., :2] + second[..., 2:])
    common = np.clip(high - low, 0.0, None).prod(axis=2)
    union = first[..., 2:].prod(axis=2) + second[..., 2:].prod(axis=2) - common
    overlap: FloatArray = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return overlap


def partners(
    annotations: Annotations,
    results: Results,
    used: IntArray,
    *,
    pair_by: str = "oks",
    least: float | None = None,
) -> IntArray:
    """Return the detection of each true person.

    Args:
        annotations, results: of the same images.
        used: rows of the results that may be paired.
        pair_by: a way of `PAIR_BY`. With "oks", a person without labelled body points is paired by the box.
        least: the similarity of a pair must exceed this; None for the default in `PAIR_BY`.

    Returns:
        (N,) row in the results; -1 for crowds and for people without a detection.
    """
    least = PAIR_BY[pair_by] if least is None else least
    body = PART_TYPES["body"].points
    partner = np.full(len(annotations), -1, np.int64)
    around = box_of_points(results.xy[:, body], results.visible[:, body])
    boxes = np.where(np.isnan(results.box_xywh), around, results.box_xywh)
    for image in np.unique(annotations.image):
        true = np.flatnonzero((annotations.image == image) & ~annotations.crowd)
        found = used[results.image_id[used] == annotations.image_ids[image]]
        if not len(true) or not len(found):
            continue
        similarity = box_iou(boxes[found], annotations.box_xywh[true])
        if pair_by == "overlap":
            best = similarity.argmax(axis=0)
            near = similarity.max(axis=0) > least
            partner[true[near]] = found[best[near]]
            continue
        if pair_by == "oks":
            labelled = annotations.labelled[true, body]
            by_oks = oks(
                results.xy[found, body],
                annotations.xy[true, body],
                labelled,
                annotations.area[true],
                annotations.box_xywh[true],
                PART_TYPES["body"].sigmas,
            )
            similarity = np.where(labelled.any(axis=1), by_oks, similarity)
        for row, column in match_people(similarity, least):
            partner[true[column]] = found[row]
    return partner
