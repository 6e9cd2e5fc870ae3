"""One frame's peaks to `Poses`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hprnet_rt import skeleton
from hprnet_rt.errors import ShapeError, UsageError
from hprnet_rt.geometry import Letterbox
from hprnet_rt.grouping import kernels
from hprnet_rt.grouping.refine import PartRefiner, RefinerWeights
from hprnet_rt.grouping.released import RELEASED_FLOOR, RELEASED_REACH, group_as_released
from hprnet_rt.spec import ModelSpec, PeakLayout
from hprnet_rt.types import Maps, Peaks, Poses

__all__ = ["MATCHINGS", "Grouper", "GroupingOptions"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

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
        part_threshold: a refined part whose points have a lower mean score is absent. (A score is the part's
            centre's times the point's confidence.)
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
    part_threshold: float = 0.03
    matching: str = "one-to-one"

    def __post_init__(self) -> None:
        for name in ("person_threshold", "peak_threshold", "part_threshold"):
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
        weights: of the network's refinement, for peaks that have maps to refine points on.

    Raises:
        ModelError: the weights are not those of this refinement.
    """

    def __init__(
        self,
        spec: ModelSpec,
        options: GroupingOptions | None = None,
        weights: RefinerWeights | None = None,
    ) -> None:
        self.spec = spec
        self.options = options or GroupingOptions()
        trained = spec.trained_keypoints
        self._keypoint_of_joint = np.array(
            [p if p >= 0 and trained[p] else -1 for p in spec.keypoint_of_joint], np.int64
        )
        self._anchor = np.array(spec.anchor_of_joint, np.int64)
        self._refiners: list[PartRefiner] = []
        parts = () if spec.refinement is None else spec.refinement.parts
        self._refined = [skeleton.REGIONS[part.name] for part in parts]
        if spec.refinement is not None and weights is not None:
            self._refiners = [
                PartRefiner.of(part, spec.refinement, weights) for part in spec.refinement.parts
            ]
        self._tables = {layout: self._table(layout) for layout in self._layouts()}
        self._compile()

    def _layouts(self) -> tuple[PeakLayout, ...]:
        usual = PeakLayout.of(self.spec)
        return (usual,) if self.spec.refinement is None else (usual, PeakLayout.of(self.spec, refined=True))

    def _table(self, layout: PeakLayout) -> tuple[IntArray, IntArray, IntArray]:
        """What the kernels want to know of a layout: its fields, the joints' keypoints, the parts."""
        first = {name: columns.start for name, columns in layout.columns.items()}
        parts = []
        for part in self.spec.parts:
            if not self.spec.trained_keypoints[part.keypoints.start]:
                continue
            sized = part.name == "face" and part.size_head is not None
            parts.append(
                (
                    self.spec.joint(part.center),
                    first[f"{part.name}_peak"],
                    first[f"{part.name}_regressed"],
                    part.keypoints.start,
                    part.num_keypoints,
                    first[f"{part.name}_peak_wh"] if sized else -1,
                    first[f"{part.name}_regressed_wh"] if sized else -1,
                    first.get(f"{part.name}_peak_confidence", -1),
                    first.get(f"{part.name}_regressed_confidence", -1),
                )
            )
        fields = np.array([first[name] for name in _KERNEL_FIELDS], np.int64)
        return fields, self._keypoint_of_joint, np.array(parts, np.int64).reshape(-1, 9)

    def _compile(self) -> None:
        """Run once on imaginary people, every kernel included."""
        letterbox = Letterbox.fit((64, 64), (64, 64))
        side = letterbox.input_hw[0] // self.spec.stride_px
        for layout in self._tables:
            maps = None
            if self._refiners and not layout.is_refined:
                maps = self._empty_maps(side)
            self(Peaks(np.ones((2, layout.width), np.float32), layout, letterbox, maps))

    def _empty_maps(self, side: int) -> Maps:
        refinement = self.spec.refinement
        assert refinement is not None
        channels = (refinement.features, refinement.local_maps)
        return Maps(*(np.zeros((side, side, count), np.float32) for count in channels))

    def __call__(self, peaks: Peaks) -> Poses:
        """Everyone who scores at least the threshold, strongest first, in image pixels.

        Boxes end at the image's border.
        """
        poses = self.in_cells(peaks.packed, peaks.maps)
        if len(poses):
            scale, shift = peaks.letterbox.cells_to_image(self.spec.stride_px)
            height, width = peaks.letterbox.image_hw
            kernels.to_image(poses.xy, poses.box_xyxy, poses.face_xyxy, scale, shift, width, height)
        return poses

    def in_cells(self, packed: FloatArray, maps: Maps | None = None) -> Poses:
        """Everyone who scores at least the threshold, strongest first, in output cells.

        Args:
            packed: (K, layout width), see `PeakLayout`.
            maps: to refine points on, where the engine has not refined them.

        Returns:
            people whose positions are in output cells; their boxes may reach beyond the map.

        Raises:
            ShapeError: packed is not of this network.
        """
        layout = PeakLayout.matching(self.spec, packed.shape[-1])
        if packed.ndim != 2 or packed.shape[1] != layout.width:
            raise ShapeError(f"peaks are (K, {layout.width}), got {packed.shape}")
        options, (fields, keypoint_of_joint, parts) = self.options, self._tables[layout]
        threshold = options.person_threshold
        if options.matching == "released":
            table = (fields, keypoint_of_joint, parts)
            grouped = group_as_released(packed, *table, RELEASED_REACH, RELEASED_FLOOR, threshold)
        else:
            margin = self.spec.margin if options.margin is None else options.margin
            grouped = kernels.group(
                *(packed, fields, keypoint_of_joint, self._anchor, parts),
                *(options.reach, margin, options.peak_threshold, _CANDIDATE, threshold),
            )
        person_score, xy, score, box, face = grouped
        if options.matching != "released" and len(person_score):
            self._refine(xy, score, face, maps, refined=layout.is_refined)
        return Poses(xy, score, box, face, person_score, np.full(len(person_score), -1, np.int64))

    def _refine(
        self, xy: FloatArray, score: FloatArray, face: FloatArray, maps: Maps | None, *, refined: bool
    ) -> None:
        """Correct the points of parts, in place, unless it is done; drop those that are hardly there."""
        if maps is not None and not refined:
            for refiner in self._refiners:
                points = skeleton.REGIONS[refiner.part.name]
                there = np.flatnonzero(score[:, points.start] > 0.0)
                if len(there):
                    new, confidence = refiner(maps.features, maps.local, xy[there, points])
                    xy[there, points] = new
                    score[there, points] *= confidence
            refined = bool(self._refiners)
        for points in self._refined if refined else ():
            is_face = points == skeleton.FACE
            least = self.options.part_threshold
            kernels.drop_unsure(xy, score, face, points.start, points.stop, least, is_face)
