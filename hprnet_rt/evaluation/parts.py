"""What is evaluated: parts of the 133 points, their names in COCO-WholeBody's JSON, face boxes, metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import UsageError
from hprnet_rt.skeleton import BODY, FACE, FEET, LEFT_HAND, NUM_KEYPOINTS, RIGHT_HAND, SIGMAS

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

FIELDS: Final[dict[str, slice]] = {
    "keypoints": BODY,
    "foot_kpts": FEET,
    "face_kpts": FACE,
    "lefthand_kpts": LEFT_HAND,
    "righthand_kpts": RIGHT_HAND,
}
"""Fields of an annotation or a result: x, y, v of each of these points, one after the other."""


@dataclass(frozen=True)
class PartType:
    """Some of the 133 points, evaluated together.

    Attributes:
        name: as in reports.
        points: which of the 133.
        fields: where they are in the JSON, in order.
        score_field: what ranks detections of this part; `score` does where a detection has no such field.
    """

    name: str
    points: slice
    fields: tuple[str, ...]
    score_field: str

    @property
    def num_points(self) -> int:
        """How many points there are."""
        return len(range(self.points.start, self.points.stop))

    @property
    def sigmas(self) -> FloatArray:
        """(num_points,) the constants of OKS."""
        return np.array(SIGMAS[self.points])


PART_TYPES: Final[dict[str, PartType]] = {
    part.name: part
    for part in (
        PartType("body", BODY, ("keypoints",), "score"),
        PartType("foot", FEET, ("foot_kpts",), "foot_score"),
        PartType("face", FACE, ("face_kpts",), "face_score"),
        PartType("left_hand", LEFT_HAND, ("lefthand_kpts",), "lefthand_score"),
        PartType("right_hand", RIGHT_HAND, ("righthand_kpts",), "righthand_score"),
        PartType("whole_body", slice(0, NUM_KEYPOINTS), tuple(FIELDS), "wholebody_score"),
    )
}
"""By name. The bodies' `body_score` is not looked at: COCO-WholeBody ranks them by `score`."""

FACE_BOXES: Final = ("face_box", "face_points_box")
"""Face detection: by the results' `face_box`, and by the box of the extreme visible face points."""

DERIVED: Final[dict[str, tuple[str, ...]]] = {
    "hand": ("left_hand", "right_hand"),
    "wholebody_mean": ("body", "foot", "face", "hand", "whole_body"),
}
"""Rows that are plain means of others (paper, table 1)."""

KEYPOINT_METRICS: Final = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
BOX_METRICS: Final = (
    *("AP", "AP50", "AP75", "APS", "APM", "APL"),
    *("AR1", "AR10", "AR100", "ARS", "ARM", "ARL"),
)


def named_parts(names: Sequence[str]) -> tuple[str, ...]:
    """These parts once each, in the order of reports; "hand" stands for both hands.

    Raises:
        UsageError: there is no such part, or there are none at all.
    """
    known = (*PART_TYPES, *FACE_BOXES)
    wanted = {part for name in names for part in (DERIVED["hand"] if name == "hand" else (name,))}
    unknown = sorted(wanted - set(known))
    if unknown or not wanted:
        what = f"there is no part {unknown[0]!r}" if unknown else "no part to evaluate"
        raise UsageError(f"{what}; the parts are {', '.join(known)}, and hand for both hands")
    return tuple(part for part in known if part in wanted)


def box_of_points(xy: npt.NDArray[np.floating], visible: BoolArray) -> FloatArray:
    """The smallest box around the visible points of each face.

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
