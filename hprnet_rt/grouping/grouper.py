"""One frame's peaks to `Poses`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import ShapeError, UsageError
from hprnet_rt.geometry import Letterbox
from hprnet_rt.grouping import kernels
from hprnet_rt.grouping.released import RELEASED_FLOOR, RELEASED_REACH, group_as_released
from hprnet_rt.heads import ModelSpec, PeakLayout
from hprnet_rt.types import Peaks, Poses

__all__ = ["MATCHINGS", "Grouper", "GroupingOptions"]

FloatArray = npt.NDArray[np.float32]

MATCHINGS: Final = ("one-to-one", "released")
"""Ways to share peaks out among people."""

_NUMBER: Final = (int, float, np.integer, np.floating)
_CANDIDATE = 0.05  # least centre score of a row that is looked at
_KERNEL_FIELDS = (
    *("person_score", "person_cell", "person_offset", "person_wh", "joint_regressed"),
    *("joint_regressed_score", "peak_score", "peak_xy"),
)


@dataclass(frozen=True)
class GroupingOptions:
    """How peaks become people.

    Attributes:
        person_threshold: people who score less are left out. A person's score is the geometric mean of
            the centre's score and the mean of the joints'. On 71 photographs with 165 hand-labelled people
            0.3 found 158 of them, and one that is none of them or ignored.
        peak_threshold: joint and part peaks that score less serve nobody (paper).
        reach: how far a peak may lie from where it is expected, in units of the box's longer side (paper).
        margin: how far around the box of a person peaks may lie, in the same units (paper: 0); None for the
            network's own, `ModelSpec.margin`.
        matching: "one-to-one" shares part peaks out so that none serves two people. "released" repeats the
            released code point for point, its mistaken faces and hands included, for comparison: a
            person's score is the centre's alone, everyone in rank order is a person, and peaks serve by
            the released constants (more than 0.1, 0.3 of the longer side), whatever `peak_threshold` and
            `reach` say. See `released.group_as_released`.
    """

    person_threshold: float = 0.3
    peak_threshold: float = 0.1
    reach: float = 0.3
    margin: float | None = None
    matching: str = "one-to-one"

    def __post_init__(self) -> None:
        for name in ("person_threshold", "peak_threshold"):
            value = getattr(self, name)
            if not isinstance(value, _NUMBER) or not 0.0 <= value <= 1.0:
                raise UsageError(f"{name} is a score between 0 and 1, got {value!r}")
        for name in ("reach", "margin"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, _NUMBER) or not value >= 0):
                raise UsageError(f"{name} is a length of at least 0, got {value!r}")
        if self.matching not in MATCHINGS:
            choices = " or ".join(map(repr, MATCHINGS))
            raise UsageError(f"matching is {choices}, got {self.matching!r}")


class Grouper:
    """Turns peaks into people. Compiles its kernels when it is made, so that no frame waits for that.

    Args:
        spec: the network that the peaks come from.
        options: thresholds, and who gets which peak.
    """

    def __init__(self, spec: ModelSpec, options: GroupingOptions | None = None) -> None:
        self.spec = spec
        self.options = options or GroupingOptions()
        self._layout = PeakLayout.of(spec)
        first = {name: columns.start for name, columns in self._layout.columns.items()}
        self._fields = np.array([first[name] for name in _KERNEL_FIELDS], np.int64)
        trained = spec.trained_keypoints
        self._keypoint_of_joint = np.array(
            [p if p >= 0 and trained[p] else -1 for p in spec.keypoint_of_joint], np.int64
        )
        self._anchor = np.array(spec.anchor_of_joint, np.int64)
        parts = []
        for part in spec.parts:
            if not trained[part.keypoints.start]:
                continue
            sized = part.name == "face" and part.size_head is not None
            parts.append(
                (
                    spec.joint(part.center),
                    first[f"{part.name}_peak"],
                    first[f"{part.name}_regressed"],
                    part.keypoints.start,
                    part.num_keypoints,
                    first[f"{part.name}_peak_wh"] if sized else -1,
                    first[f"{part.name}_regressed_wh"] if sized else -1,
                )
            )
        self._parts = np.array(parts, np.int64).reshape(-1, 7)
        self._compile()

    def _compile(self) -> None:
        """Run once on imaginary people, every kernel included."""
        packed = np.ones((2, self._layout.width), np.float32)
        self(Peaks(packed, self._layout, Letterbox.fit((64, 64), (64, 64))))

    def __call__(self, peaks: Peaks) -> Poses:
        """Everyone who scores at least the threshold, strongest first, in image pixels.

        Boxes end at the image's border.
        """
        poses = self.in_cells(peaks.packed)
        if len(poses):
            scale, shift = peaks.letterbox.cells_to_image(self.spec.stride_px)
            height, width = peaks.letterbox.image_hw
            kernels.to_image(poses.xy, poses.box_xyxy, poses.face_xyxy, scale, shift, width, height)
        return poses

    def in_cells(self, packed: FloatArray) -> Poses:
        """Everyone who scores at least the threshold, strongest first, in output cells.

        Args:
            packed: (K, layout width), see `PeakLayout`.

        Returns:
            people whose positions are in output cells; their boxes may reach beyond the map.

        Raises:
            ShapeError: packed is not of this network.
        """
        if packed.ndim != 2 or packed.shape[1] != self._layout.width:
            raise ShapeError(f"peaks are (K, {self._layout.width}), got {packed.shape}")
        options, table = self.options, (self._fields, self._keypoint_of_joint, self._parts)
        threshold = options.person_threshold
        if options.matching == "released":
            grouped = group_as_released(packed, *table, RELEASED_REACH, RELEASED_FLOOR, threshold)
        else:
            margin = self.spec.margin if options.margin is None else options.margin
            grouped = kernels.group(
                *(packed, self._fields, self._keypoint_of_joint, self._anchor, self._parts),
                *(options.reach, margin, options.peak_threshold, _CANDIDATE, threshold),
            )
        person_score, xy, score, box, face = grouped
        return Poses(xy, score, box, face, person_score, np.full(len(person_score), -1, np.int64))
