"""The evaluated parts: their points, their fields in COCO-WholeBody's JSON, face boxes, and metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import UsageError
from hprnet_rt.skeleton import NUM_KEYPOINTS, SIGMAS
from hprnet_rt.types.coco import COCO_PARTS

__all__ = [
    "BOX_METRICS",
    "DERIVED",
    "FACE_BOXES",
    "FIELDS",
    "KEYPOINT_METRICS",
    "PART_TYPES",
    "PartType",
    "box_of_points",
    "named_parts",
]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

FIELDS: Final[dict[str, slice]] = {part.field: part.points for part in COCO_PARTS.values()}
"""Fields of an annotation or a result, each a list of x, y, v of these points."""


@dataclass(frozen=True)
class PartType:
    """A group of the 133 points that is evaluated as a whole.

    Attributes:
        name: as in reports.
        points: their range among the 133.
        fields: the JSON fields that hold them, in order.
        score_field: the field that ranks detections of this part; `score` does where it is missing.
    """

    name: str
    points: slice
    fields: tuple[str, ...]
    score_field: str

    @property
    def num_points(self) -> int:
        """Number of points."""
        return len(range(self.points.start, self.points.stop))

    @property
    def sigmas(self) -> FloatArray:
        """(num_points,) the constants sigma of OKS."""
        return np.array(SIGMAS[self.points])


PART_TYPES: Final[dict[str, PartType]] = {
    part.name: part
    for part in (
        *(PartType(name, each.points, (each.field,), each.score_field) for name, each in COCO_PARTS.items()),
        PartType("whole_body", slice(0, NUM_KEYPOINTS), tuple(FIELDS), "wholebody_score"),
    )
}
"""The part types by name."""

FACE_BOXES: Final = ("face_box", "face_points_box")
"""Face detection: by the results' `face_box`, and by the box around the visible face points."""

DERIVED: Final[dict[str, tuple[str, ...]]] = {
    "hand": ("left_hand", "right_hand"),
    "wholebody_mean": ("body", "foot", "face", "hand", "whole_body"),
}
"""Rows that are means of other rows (paper, table 1)."""

KEYPOINT_METRICS: Final = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
BOX_METRICS: Final = (
    "AP",
    "AP50",
    "AP75",
    "APS",
    "APM",
    "APL",
    "AR1",
    "AR10",
    "AR100",
    "ARS",
    "ARM",
    "ARL",
)


def named_parts(names: Sequence[str]) -> tuple[str, ...]:
    """Return the named parts without repetition, in the order of reports; "hand" stands for both hands.

    Raises:
        UsageError: a part is unknown, or no part is named.
    """
    known = (*PART_TYPES, *FACE_BOXES)
    requested = {part for name in names for part in (DERIVED["hand"] if name == "hand" else (name,))}
    unknown = sorted(requested - set(known))
    if unknown or not requested:
        what = f"there is no part {unknown[0]!r}" if unknown else "no part to evaluate"
        raise UsageError(f"{what}; the parts are {', '.join(known)}, and hand for both hands")
    return tuple(part for part in known if part in requested)


def box_of_points(xy: npt.NDArray[np.floating], visible: BoolArray) -> FloatArray:
    """Return the smallest box around the visible points of each person or part.

    Args:
        xy: (N, P, 2) px.
        visible: (N, P).

    Returns:
        (N, 4) x, y, width, height in px; NaN where no point is visible.
    """
    boxes = np.full((len(xy), 4), np.nan)
    some = visible.any(axis=1)
    here = visible[some, :, None]
    low = np.where(here, xy[some], np.inf).min(axis=1)
    high = np.where(here, xy[some], -np.inf).max(axis=1)
    boxes[some] = np.concatenate((low, high - low), axis=1)
    return boxes
