"""The arguments of the grouping kernels, by name: a network's columns and parts, joints, peaks and limits.

Numba takes a named tuple as an argument, and a record array too, whose number of rows may differ between
networks without another compilation.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from hprnet_rt.spec import ModelSpec, PartSpec, PeakLayout

__all__ = ["PART", "Columns", "JointPeaks", "PeakTable", "Regressed", "Rule", "SearchArea", "peak_table"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
PartArray = npt.NDArray[np.void]


class Columns(NamedTuple):
    """The first column of each field of `PeakLayout` that the kernels read, by the field's name."""

    person_score: int
    person_cell: int
    person_offset: int
    person_wh: int
    joint_regressed: int
    joint_regressed_score: int
    peak_score: int
    peak_xy: int


PART: Final = np.dtype(
    [
        ("joint", np.int64),
        ("keypoint", np.int64),
        ("num_keypoints", np.int64),
        ("peak", np.int64),
        ("regressed", np.int64),
        ("peak_face_wh", np.int64),
        ("regressed_face_wh", np.int64),
        ("peak_confidence", np.int64),
        ("regressed_confidence", np.int64),
    ]
)
"""A part whose points are read at its centre.

`joint` is the centre, and `keypoint` the first of the part's points among the 133. The fields after
`num_keypoints` are first columns: of the points, of the face's size, and of the points' confidences. Each
is stated for the peaks of the centre and for the centres that people regress; -1 where the layout has none.
"""


class PeakTable(NamedTuple):
    """The meaning of a network's packed output.

    Attributes:
        columns: of the fields that every network has.
        keypoint_of_joint: (J,) index among the 133 points, -1 for a joint that gives no keypoint.
        anchor: (J,) joint that a joint goes with, see `matching.match_joints`; -1 for none.
        parts: (P,) records of `PART`, the trained ones.
    """

    columns: Columns
    keypoint_of_joint: IntArray
    anchor: IntArray
    parts: PartArray


class Rule(NamedTuple):
    """The limits by which peaks are shared out among people.

    Attributes:
        reach: how far a peak may lie from where it is expected, in units of the box's longer side.
        margin: how far around the box peaks may lie, in the same units.
        peak_threshold: least score of a peak.
        candidate_threshold: least score of a person's centre.
        person_threshold: least score of a person.
    """

    reach: float
    margin: float
    peak_threshold: float
    candidate_threshold: float
    person_threshold: float


class Regressed(NamedTuple):
    """Joints where each person's centre regresses them: xy (N, J, 2), and the heat-map there (N, J)."""

    xy: FloatArray
    score: FloatArray


class JointPeaks(NamedTuple):
    """Peaks of the joints' heat-maps, strongest first: xy (K, J, 2), score (K, J)."""

    xy: FloatArray
    score: FloatArray


class SearchArea(NamedTuple):
    """The places where each person's peaks may lie.

    Attributes:
        box: (N, 4) xyxy around them.
        reach: (N,) cells from where a peak is expected.
        peak_threshold: least score of a peak.
    """

    box: FloatArray
    reach: FloatArray
    peak_threshold: float


def peak_table(spec: ModelSpec, layout: PeakLayout) -> PeakTable:
    """Return the table of a network's output in one of its layouts."""
    trained = spec.trained_keypoints
    first = {name: columns.start for name, columns in layout.columns.items()}
    parts = [_part(spec, part, first) for part in spec.parts if trained[part.keypoints.start]]
    known = [p if p >= 0 and trained[p] else -1 for p in spec.keypoint_of_joint]
    return PeakTable(
        columns=Columns(**{name: first[name] for name in Columns._fields}),
        keypoint_of_joint=np.array(known, np.int64),
        anchor=np.array(spec.anchor_of_joint, np.int64),
        parts=np.array(parts, PART),
    )


def _part(spec: ModelSpec, part: PartSpec, first: dict[str, int]) -> tuple[Any, ...]:
    """Return a part's values of `PART`, given the first column of each field."""
    values = {
        "joint": spec.joint(part.center),
        "keypoint": part.keypoints.start,
        "num_keypoints": part.num_keypoints,
    }
    for place in ("peak", "regressed"):
        values[place] = first[f"{part.name}_{place}"]
        has_face_box = part.name == "face" and part.size_head is not None
        values[f"{place}_face_wh"] = first[f"{part.name}_{place}_wh"] if has_face_box else -1
        values[f"{place}_confidence"] = first.get(f"{part.name}_{place}_confidence", -1)
    assert PART.names is not None
    return tuple(values[name] for name in PART.names)
