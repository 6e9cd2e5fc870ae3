"""What counts in measures: which detections, which labelled parts, and what is right."""

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

__all__ = ["VALID_COLUMN", "MeasureOptions", "counted", "longer_side", "valid"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

VALID_COLUMN: Final = {"face": 0, "left_hand": 1, "right_hand": 2}
"""Columns of `Annotations.part_valid`."""


@dataclass(frozen=True)
class MeasureOptions:
    """What counts as found, and what as right.

    Attributes:
        pair_by: see `PAIR_BY`.
        least_score: detections with less are left out.
        alpha: see `pck`.
        missing_wrong: people and points that are missing count: OKS and PCK 0, NME 1. Otherwise only those
            who were found count, and the NME is of the points that were.
        whole_parts: of faces and hands, only those count that have every point labelled, and that the file
            calls valid (where it does so at all).
        least_hand_px: hands whose labelled points' box has a shorter longer side do not count.
        face_drawn, hand_drawn: least mean score of what is drawn; where nothing is said that which is drawn
            by default.

    Raises:
        UsageError: there is no such way of pairing, or a number makes no sense.
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


def counted(annotations: Annotations, part: str, options: MeasureOptions) -> BoolArray:
    """(N,) whose part of `PART_TYPES` is labelled, and well enough; of crowds none is."""
    points = PART_TYPES[part].points
    labelled = annotations.labelled[:, points]
    counted = labelled.any(axis=1) & ~annotations.crowd
    if part in VALID_COLUMN and options.whole_parts:
        counted &= labelled.all(axis=1) & valid(annotations, part)
    if part in DERIVED["hand"]:
        counted &= ~(longer_side(annotations.xy[:, points], labelled) < options.least_hand_px)
    return np.asarray(counted)


def valid(annotations: Annotations, part: str) -> BoolArray:
    """(N,) whose face or hand the file calls valid; if it says so of nobody, whose has labelled points."""
    if annotations.part_valid.any():
        return annotations.part_valid[:, VALID_COLUMN[part]]
    return np.asarray(annotations.labelled[:, PART_TYPES[part].points].any(axis=1))


def longer_side(xy: FloatArray, labelled: BoolArray) -> FloatArray:
    """(N,) px, of the labelled points' box; NaN without any."""
    side: FloatArray = box_of_points(xy, labelled)[:, 2:].max(axis=1, initial=-math.inf)
    return side
