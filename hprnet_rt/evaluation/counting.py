"""What counts in measures: which detections, which labelled parts, and which points are right."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import UsageError
from hprnet_rt.evaluation.coco import Annotations
from hprnet_rt.evaluation.pairs import PAIR_BY
from hprnet_rt.evaluation.parts import DERIVED, PART_TYPES, box_of_points
from hprnet_rt.render import OverlayStyle

__all__ = ["VALID_COLUMN", "MeasureOptions", "counted_people", "longer_side", "people_with_valid_part"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

VALID_COLUMN: Final = {"face": 0, "left_hand": 1, "right_hand": 2}
"""Columns of `Annotations.part_valid`."""


@dataclass(frozen=True)
class MeasureOptions:
    """Which people and parts count as found, and which points as right.

    Attributes:
        pair_by: how people are paired, see `PAIR_BY`.
        least_score: detections with a lower score are left out.
        alpha: see `pck`.
        missing_wrong: missing people and points count as errors: OKS and PCK 0, NME 1. Otherwise only people
            who were found count, and the NME uses only points that were found.
        whole_parts: faces and hands count only if every point is labelled, and if the file marks them as
            valid (where it marks any at all).
        least_hand_px: smaller hands do not count; the size is the longer side of the box around the labelled
            points.
        face_drawn, hand_drawn: least mean score of a face and of a hand that are drawn; the defaults are
            those of `OverlayStyle`.

    Raises:
        UsageError: `pair_by` is unknown, or a number is out of range.
    """

    pair_by: str = "oks"
    least_score: float = 0.0
    alpha: float = 0.1
    missing_wrong: bool = False
    whole_parts: bool = False
    least_hand_px: float = 0.0
    face_drawn: float = field(default_factory=lambda: OverlayStyle().point_threshold)
    hand_drawn: float = field(default_factory=lambda: OverlayStyle().hand_threshold)

    def __post_init__(self) -> None:
        if self.pair_by not in PAIR_BY:
            raise UsageError(f"pair_by is one of {', '.join(PAIR_BY)}; got {self.pair_by!r}")
        if not 0 < self.alpha < math.inf:
            raise UsageError(f"alpha is a share of a part's length, such as 0.2; got {self.alpha}")
        if not 0 <= self.least_hand_px < math.inf:
            raise UsageError(f"the least size of a hand is 0 px or more, got {self.least_hand_px}")
        for name, least in (("face", self.face_drawn), ("hand", self.hand_drawn)):
            if not 0 <= least <= 1:
                raise UsageError(f"the least score of a {name} that is drawn is 0 to 1, got {least}")


def counted_people(annotations: Annotations, part: str, options: MeasureOptions) -> BoolArray:
    """Return the people (N,) whose part, of `PART_TYPES`, counts by these options; crowds never count."""
    points = PART_TYPES[part].points
    labelled = annotations.labelled[:, points]
    counted = labelled.any(axis=1) & ~annotations.crowd
    if part in VALID_COLUMN and options.whole_parts:
        counted &= labelled.all(axis=1) & people_with_valid_part(annotations, part)
    if part in DERIVED["hand"]:
        counted &= ~(longer_side(annotations.xy[:, points], labelled) < options.least_hand_px)
    return np.asarray(counted)


def people_with_valid_part(annotations: Annotations, part: str) -> BoolArray:
    """Return the people (N,) whose face or hand the file marks as valid.

    If the file marks nothing as valid, they are the people with a labelled point of the part.
    """
    if annotations.part_valid.any():
        return annotations.part_valid[:, VALID_COLUMN[part]]
    return np.asarray(annotations.labelled[:, PART_TYPES[part].points].any(axis=1))


def longer_side(xy: FloatArray, labelled: BoolArray) -> FloatArray:
    """Return the longer side (N,) in px of the box around each person's labelled points; NaN without any."""
    side: FloatArray = box_of_points(xy, labelled)[:, 2:].max(axis=1, initial=-math.inf)
    return side
