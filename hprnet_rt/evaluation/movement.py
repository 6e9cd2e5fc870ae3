"""Differences between two backends of one network: which people they find, and where their points are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hprnet_rt.evaluation.oks import oks
from hprnet_rt.evaluation.pairs import match_people
from hprnet_rt.evaluation.parts import PART_TYPES
from hprnet_rt.types import Poses

__all__ = ["Movement", "movement"]

_BODY: Final = PART_TYPES["body"]
_SURE_PERSON: Final = 0.3
_SURE_POINT: Final = 0.3  # what `annotate` draws
_SLACK: Final = 0.1  # how far below `_SURE_PERSON` the score may be in the other backend
_SAME: Final = 0.5  # least OKS of the body between two detections of one person
_ABSENT_PX: Final = np.inf


@dataclass(frozen=True)
class Movement:
    """The differences between the results of two backends on the same images.

    Attributes:
        people: number of people whom the first backend finds with a score of 0.3 or more.
        lost: number of them whom the second one does not find with a score of 0.2 or more.
        new: number of people whom the second one finds, and the first does not, with the same scores.
        distance_px: (P,) distance of each point, with a score of 0.3 or more, of the people whom both find,
            sorted; infinite for a point that the second backend does not find.
    """

    people: int
    lost: int
    new: int
    distance_px: npt.NDArray[np.float64]

    def within(self, px: float) -> float:
        """Return the share of points that moved by at most `px`; NaN without points."""
        return float((self.distance_px <= px).mean()) if len(self.distance_px) else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, for JSON and tables."""
        return {
            "people": self.people,
            "lost": self.lost,
            "new": self.new,
            "points": len(self.distance_px),
            "median_px": round(float(np.median(self.distance_px)), 3) if len(self.distance_px) else None,
            "within": {str(px): round(self.within(px), 4) for px in (0.5, 1.0, 2.0, 4.0)},
        }


def movement(expected: Sequence[Poses], found: Sequence[Poses], scale: Sequence[float]) -> Movement:
    """Compare the results of two backends.

    Args:
        expected, found: poses of each image, grouped with a least person score of 0.2 or less.
        scale: factor for each image from pixels of the poses to the unit of `distance_px`, for example
            pixels of the network's input.

    People with a score of 0.3 or more are compared, and their points with a score of 0.3 or more in
    `expected`. Two detections are the same person if the best assignment by the OKS of the body pairs them,
    with more than 0.5.
    """
    people = lost = new = 0
    distances = [np.zeros(0)]
    for first, second, factor in zip(expected, found, scale, strict=True):
        sure = first.person_score >= _SURE_PERSON
        people += int(sure.sum())
        lost += int(sure.sum() - len(_pairs(first, second, sure)))
        sure_of_second = second.person_score >= _SURE_PERSON
        new += int(sure_of_second.sum() - len(_pairs(second, first, sure_of_second)))
        for row, column in _pairs(first, second, sure):
            points = first.score[row] >= _SURE_POINT
            away = np.linalg.norm(second.xy[column] - first.xy[row], axis=1)[points] * factor
            distances.append(np.where(np.isnan(away), _ABSENT_PX, away))
    return Movement(people, lost, new, np.sort(np.concatenate(distances)))


def _pairs(first: Poses, second: Poses, sure: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the rows (P, 2) of the sure people in `first` and of the same people in `second`."""
    rows = np.flatnonzero(sure)
    columns = np.flatnonzero(second.person_score >= _SURE_PERSON - _SLACK)
    xy = first.xy[rows, _BODY.points].astype(np.float64)
    box = first.box_xyxy[rows].astype(np.float64)
    box[:, 2:] = np.maximum(box[:, 2:] - box[:, :2], 0.0)
    agreement = oks(
        second.xy[columns, _BODY.points].astype(np.float64),
        np.nan_to_num(xy),
        ~np.isnan(xy[..., 0]),
        box[:, 2:].prod(axis=1),
        box,
        _BODY.sigmas,
    )
    pairs = match_people(agreement.T, _SAME)
    return np.stack((rows[pairs[:, 0]], columns[pairs[:, 1]]), axis=1)
