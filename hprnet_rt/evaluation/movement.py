"""How far two engines of one network are apart: whom they find, and where they put the points."""

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
_SLACK: Final = 0.1  # a person's score may come to lie so far below what is sure
_SAME: Final = 0.5  # least OKS of the body of one person found twice
_ABSENT_PX: Final = np.inf


@dataclass(frozen=True)
class Movement:
    """What an engine does otherwise than another one, on the same images.

    Attributes:
        people: whom the first engine is sure of.
        lost: of them, not found by the second one, whatever its score within 0.1 of what is sure.
        new: found by the second one, and not by the first, likewise.
        distance_px: (P,) of each sure point of the people whom both found, sorted; infinite for a point
            that the second engine does not give.
    """

    people: int
    lost: int
    new: int
    distance_px: npt.NDArray[np.float64]

    def within(self, px: float) -> float:
        """The share of points that moved by at most `px`; NaN without points."""
        return float((self.distance_px <= px).mean()) if len(self.distance_px) else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON and tables."""
        return {
            "people": self.people,
            "lost": self.lost,
            "new": self.new,
            "points": len(self.distance_px),
            "median_px": round(float(np.median(self.distance_px)), 3) if len(self.distance_px) else None,
            "within": {str(px): round(self.within(px), 4) for px in (0.5, 1.0, 2.0, 4.0)},
        }


def movement(expected: Sequence[Poses], found: Sequence[Poses], scale: Sequence[float]) -> Movement:
    """Compare what two engines found.

    Args:
        expected, found: for each image, grouped with a least person score of 0.2 or less.
        scale: of each image, pixels of the unit of measure (of the network's input, say) per pixel of the
            poses.

    People are those with a score of 0.3 or more, points those of 0.3 or more in `expected`. People are the
    same where they match best by the OKS of the body, which must be 0.5 at least.
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
    """(P, 2) rows of the sure people of `first` and of their twins."""
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
