"""Reliability of the scores of faces and hands: which are drawn, and how many points of a score are right."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hprnet_rt.evaluation.coco import Annotations, Results
from hprnet_rt.evaluation.parts import PART_TYPES, box_of_points

__all__ = [
    "RIGHT_OF_SIZE",
    "SCORE_CLASSES",
    "Drawn",
    "Reliability",
    "count_drawn",
    "part_scores",
    "reliability",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

SCORE_CLASSES: Final = tuple(itertools.pairwise((0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0)))
"""Classes of a point's score: (low, high), with low <= score < high. The last one has no upper limit."""

RIGHT_OF_SIZE: Final = 0.1
"""A point is right if its error is at most this share of its part's size."""


@dataclass(frozen=True)
class Drawn:
    """How many faces or hands are drawn. One is drawn if the mean score of its points reaches a threshold.

    Attributes:
        part: "face", "left_hand", "right_hand", or "hand" for both hands.
        least_score: the threshold.
        labelled: number of labelled faces or hands, whether or not their person was found.
        of_labelled: share of the labelled ones that is drawn; None if there are none.
        unlabelled: number of unlabelled ones, without those of people annotated with a body only. They may
            still be visible.
        of_unlabelled: share of the unlabelled ones that is drawn; None if there are none.
    """

    part: str
    least_score: float
    labelled: int
    of_labelled: float | None
    unlabelled: int
    of_unlabelled: float | None


@dataclass(frozen=True)
class Reliability:
    """How many points of one score class are right.

    Attributes:
        part: "face", "left_hand" or "right_hand".
        low, high: the class, see `SCORE_CLASSES`.
        points: number of labelled points found with such a score.
        right: share of them that is right, see `RIGHT_OF_SIZE`; None if there are none. The size of a part is
            the longer side of the box around its labelled points.
    """

    part: str
    low: float
    high: float
    points: int
    right: float | None


def part_scores(results: Results, partner: IntArray, part: str) -> FloatArray:
    """Return the mean score (N,) of the part's points in each person's detection; 0 without a detection."""
    scores = np.zeros(len(partner))
    met = partner >= 0
    scores[met] = results.point_score[partner[met], PART_TYPES[part].points].mean(axis=1)
    return scores


def count_drawn(
    part: str, scores: FloatArray, labelled: BoolArray, looked_for: BoolArray, least: float
) -> Drawn:
    """Count the faces or hands that are drawn.

    Args:
        part: its name.
        scores: (N,) of the faces or hands, see `part_scores`.
        labelled: (N,) True for those that are labelled.
        looked_for: (N,) True for those that would have been labelled if they were clearly visible.
        least: the threshold.
    """
    shown = scores >= least
    unlabelled = looked_for & ~labelled
    return Drawn(
        part=part,
        least_score=least,
        labelled=int(np.count_nonzero(labelled)),
        of_labelled=_share(shown[labelled]),
        unlabelled=int(np.count_nonzero(unlabelled)),
        of_unlabelled=_share(shown[unlabelled]),
    )


def reliability(
    annotations: Annotations, results: Results, part: str, people: IntArray, partner: IntArray
) -> list[Reliability]:
    """Return how many points of each score class are right, one row per class.

    Args:
        annotations, results: of the same images.
        part: "face", "left_hand" or "right_hand".
        people: rows of the annotations that count.
        partner: (N,) row of each person's detection in the results; -1 without one.
    """
    points = PART_TYPES[part].points
    people = people[partner[people] >= 0]
    true, labelled = annotations.xy[people, points], annotations.labelled[people, points]
    size = box_of_points(true, labelled)[:, 2:].max(axis=1, initial=0.0)
    counts = labelled & results.visible[partner[people], points]
    distance = np.hypot(*np.moveaxis(results.xy[partner[people], points] - true, -1, 0))
    right = (distance <= RIGHT_OF_SIZE * size[:, None])[counts]
    score = results.point_score[partner[people], points][counts]
    rows = []
    for low, high in SCORE_CLASSES:
        here = (score >= low) & ((score < high) | (high == SCORE_CLASSES[-1][1]))
        rows.append(Reliability(part, low, high, int(np.count_nonzero(here)), _share(right[here])))
    return rows


def _share(values: BoolArray) -> float | None:
    return float(values.mean()) if values.size else None
