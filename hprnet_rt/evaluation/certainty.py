"""What the scores of faces and hands are worth: which are drawn, and how many points of a score are right."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hprnet_rt.evaluation.coco import Annotations, Results
from hprnet_rt.evaluation.parts import PART_TYPES, box_of_points

__all__ = ["RIGHT_OF_SIZE", "SCORE_CLASSES", "Drawn", "Reliability", "drawn", "part_scores", "reliability"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

SCORE_CLASSES: Final = tuple(itertools.pairwise((0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0)))
"""Classes of a point's score: from (inclusive), below. What scores 1 or more is in the last."""

RIGHT_OF_SIZE: Final = 0.1
"""A point is right within this share of its part's size."""


@dataclass(frozen=True)
class Drawn:
    """How many of some faces or hands are drawn: those whose points' mean score reaches a threshold.

    Attributes:
        part: "face", "left_hand", "right_hand", or "hand" for both.
        least_score: the threshold.
        labelled: how many are labelled, whether their person was found or not.
        of_labelled: share of them that is drawn.
        unlabelled: how many are not, of people of whom more than the body was labelled. They may be seen.
        of_unlabelled: share of them that is drawn.

    Shares are None over nothing.
    """

    part: str
    least_score: float
    labelled: int
    of_labelled: float | None
    unlabelled: int
    of_unlabelled: float | None


@dataclass(frozen=True)
class Reliability:
    """How many points of a class of scores are right.

    Attributes:
        part: "face", "left_hand" or "right_hand".
        low, high: the class, see `SCORE_CLASSES`.
        points: labelled points that were found with such a score.
        right: share of them within `RIGHT_OF_SIZE` of the part's size, the longer side of its labelled
            points' box; None where there are none.
    """

    part: str
    low: float
    high: float
    points: int
    right: float | None


def part_scores(results: Results, partner: IntArray, part: str) -> FloatArray:
    """(N,) mean score of the part's points of each person's detection; 0 without one."""
    scores = np.zeros(len(partner))
    met = partner >= 0
    scores[met] = results.point_score[partner[met], PART_TYPES[part].points].mean(axis=1)
    return scores


def drawn(part: str, scores: FloatArray, labelled: BoolArray, looked_for: BoolArray, least: float) -> Drawn:
    """The share that is drawn.

    Args:
        part: its name.
        scores: (N,) of some faces or hands, see `part_scores`.
        labelled: (N,) these are.
        looked_for: (N,) these would be if they could be seen well.
        least: the threshold.
    """
    shown = scores >= least
    without = looked_for & ~labelled
    counts = int(np.count_nonzero(labelled)), int(np.count_nonzero(without))
    return Drawn(part, least, counts[0], _share(shown[labelled]), counts[1], _share(shown[without]))


def reliability(
    annotations: Annotations, results: Results, part: str, people: IntArray, partner: IntArray
) -> list[Reliability]:
    """A row for each class of scores.

    Args:
        annotations, results: of the same images.
        part: "face", "left_hand" or "right_hand".
        people: rows of the annotations that count.
        partner: (N,) everyone's detection, -1 without one.
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
