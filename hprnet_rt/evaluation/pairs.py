"""Who is compared with whom: each true person's detection."""

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
"""What pairs people, and the similarity that a pair has more than, unless one asks for another.

The "oks" of the body, or the intersection over union of the boxes ("box"), pairs people one to one, with the
greatest sum. With "overlap" everyone meets the detection whose box overlaps theirs most, which two may share.
"""


def match_people(similarity: FloatArray, least: float = 0.0) -> IntArray:
    """Pairs of people found and true ones, none twice, with the greatest sum of similarities.

    Args:
        similarity: (D, G) in [0, 1].
        least: a pair has more than this.

    Returns:
        (P, 2) row and column of each pair, by row.
    """
    cost = np.where(similarity > least, 1.0 - similarity, 1.0).astype(np.float32)
    column = assign(cost)
    rows = np.flatnonzero(column >= 0)
    return np.stack((rows, column[rows]), axis=1)


def box_iou(first_xywh: FloatArray, second_xywh: FloatArray) -> FloatArray:
    """(D, G) intersection over union of boxes (D, 4) and (G, 4); 0 with a box that is NaN or empty."""
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
    """The detection of each true person of the same images.

    Args:
        used: rows of the results that may be taken.
        pair_by: of `PAIR_BY`. By "oks", a person without labelled body points is paired by the box.
        least: a pair agrees better than this; None for what `PAIR_BY` says.

    Returns:
        (N,) rows of the results, -1 for a person without one and for crowds.
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
