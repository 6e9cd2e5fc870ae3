"""From the peaks of one frame to `Poses`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from hprnet_rt import skeleton
from hprnet_rt.errors import ShapeError, UsageError
from hprnet_rt.geometry import Letterbox
from hprnet_rt.grouping import kernels
from hprnet_rt.grouping.refine import PartRefiner, RefinerWeights
from hprnet_rt.grouping.released import group_as_released
from hprnet_rt.grouping.tables import Rule, peak_table
from hprnet_rt.spec import ModelSpec, PeakLayout
from hprnet_rt.types import Maps, Peaks, Poses

__all__ = ["MATCHINGS", "Grouper", "GroupingOptions", "GroupsPeaks"]

FloatArray = npt.NDArray[np.float32]

MATCHINGS: Final = ("one-to-one", "released")
"""Ways to share peaks out among people."""

_HANDS: Final = {"left_hand", "right_hand"}
_NUMBER: Final = (int, float, np.integer, np.floating)
_CANDIDATE_THRESHOLD: Final = 0.05
"""Least score of a centre that may be a person's."""


@dataclass(frozen=True)
class GroupingOptions:
    """Options of `Grouper`.

    Attributes:
        person_threshold: people who score less are left out. A person's score is the geometric mean of
            the centre's score and the mean of the joints'. On 71 photographs with 165 hand-labelled people
            0.3 found 158 of them, and one who is neither labelled nor marked as ignored.
        peak_threshold: joint and part peaks that score less are not used (paper).
        reach: how far a peak may lie from where it is expected, in units of the box's longer side (paper).
        margin: how far around the box of a person peaks may lie, in the same units (paper: 0); None for the
            network's own, `ModelSpec.margin`.
        part_threshold: a refined part whose points have a lower mean score is absent. (A point's score is
            that of the part's centre, times the point's confidence; see `doubt_same_hand` for what may lower
            it after that.)
        matching: "one-to-one" shares peaks of joints and parts out so that none serves two people. "released"
            repeats the released code point for point, its mistaken faces and hands included, for comparison:
            a person's score is the centre's alone, everyone in rank order is a person, and peaks are used by
            the released constants (more than 0.1, 0.3 of the longer side) in place of `peak_threshold` and
            `reach`. See `released.group_as_released`.
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


class GroupsPeaks(Protocol):
    """What turns peaks into people.

    Attributes:
        options: thresholds; may be replaced between frames.
    """

    options: GroupingOptions

    def __call__(self, peaks: Peaks, /) -> Poses:
        """Return everyone who scores at least the threshold, strongest first, in image pixels."""
        ...

    def keep_warm(self) -> None:
        """Get ready for a call that comes soon, while a GPU works."""
        ...


class Grouper:
    """Turns peaks into people. Compiles its kernels when it is made, so that no frame waits for that.

    Args:
        spec: the network that the peaks come from.
        options: thresholds, and how peaks are shared out; may be replaced between frames.
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
        refinement = spec.refinement
        self._refined_parts = () if refinement is None else refinement.parts
        self._refines_hands = {part.name for part in self._refined_parts} >= _HANDS
        self._refiners: list[PartRefiner] = []
        if refinement is not None and weights is not None:
            self._refiners = [PartRefiner.of(part, refinement, weights) for part in refinement.parts]
        layouts = [PeakLayout.of(spec, refined=refined) for refined in (True, False)]
        self._tables = {layout.width: (layout, peak_table(spec, layout)) for layout in layouts}
        self._recent = np.ones((2, layouts[0].width), np.float32)
        self._compile()

    def _compile(self) -> None:
        """Run once on imaginary people, every kernel included."""
        letterbox = Letterbox.fit((64, 64), (64, 64))
        side = letterbox.input_hw[0] // self.spec.stride_px
        for layout, _ in self._tables.values():
            maps = None
            if self._refiners and not layout.is_refined:
                maps = self._empty_maps(side)
            self(Peaks(np.ones((2, layout.width), np.float32), layout, letterbox, maps))

    def _empty_maps(self, side: int) -> Maps:
        refinement = self.spec.refinement
        assert refinement is not None
        return Maps(
            features=np.zeros((side, side, refinement.features), np.float32),
            local=np.zeros((side, side, refinement.local_maps), np.float32),
        )

    def __call__(self, peaks: Peaks) -> Poses:
        """Return everyone who scores at least the threshold, strongest first, in image pixels.

        Boxes end at the image's border.
        """
        poses = self.in_cells(peaks.packed, peaks.maps)
        if len(poses):
            scale, shift = peaks.letterbox.cells_to_image(self.spec.stride_px)
            height, width = peaks.letterbox.image_hw
            kernels.to_image(poses.xy, poses.box_xyxy, poses.face_xyxy, scale, shift, width, height)
        return poses

    def keep_warm(self) -> None:
        """Group the last peaks again, for nothing but that code and tables are in the processor's caches.

        A thread that has slept for 10 ms takes four times as long as one that has done this just before
        (docs/gpu.md).
        """
        self.in_cells(self._recent)

    def in_cells(self, packed: FloatArray, maps: Maps | None = None) -> Poses:
        """Return everyone who scores at least the threshold, strongest first, in output cells.

        Args:
            packed: (K, layout width), see `PeakLayout`.
            maps: to refine points on, where the engine has not refined them.

        Returns:
            people whose positions are in output cells; their boxes may reach beyond the map.

        Raises:
            ShapeError: packed is not of this network.
        """
        if packed.ndim != 2 or packed.shape[1] not in self._tables:
            expected = PeakLayout.of(self.spec).width
            raise ShapeError(f"peaks are (K, {expected}), got {packed.shape}")
        layout, table = self._tables[packed.shape[1]]
        self._recent, options = packed, self.options
        if options.matching == "released":
            grouped = group_as_released(packed, table, options.person_threshold)
        else:
            grouped = kernels.group(packed, table, self._rule(options))
        person_score, xy, score, box, face = grouped
        if options.matching != "released" and len(person_score):
            self._refine(xy, score, face, maps, refined=layout.is_refined)
        return Poses(xy, score, box, face, person_score, np.full(len(person_score), -1, np.int64))

    def _rule(self, options: GroupingOptions) -> Rule:
        return Rule(
            reach=float(options.reach),
            margin=float(self.spec.margin if options.margin is None else options.margin),
            peak_threshold=float(options.peak_threshold),
            candidate_threshold=_CANDIDATE_THRESHOLD,
            person_threshold=float(options.person_threshold),
        )

    def _refine(
        self, xy: FloatArray, score: FloatArray, face: FloatArray, maps: Maps | None, *, refined: bool
    ) -> None:
        """Correct the points of parts, in place, unless it is done; make parts with low scores absent.

        Where a person's hands are one hand in the image, the weaker one's scores are lowered after that.
        """
        if maps is not None and not refined:
            for refiner in self._refiners:
                points = skeleton.REGIONS[refiner.part.name]
                there = np.flatnonzero(score[:, points.start] > 0.0)
                if len(there):
                    new, confidence = refiner(maps.features, maps.local, xy[there, points])
                    xy[there, points] = new
                    score[there, points] *= confidence
            refined = bool(self._refiners)
        for part in self._refined_parts if refined else ():
            points = skeleton.REGIONS[part.name]
            is_face = points == skeleton.FACE
            least = self.options.part_threshold
            kernels.drop_unsure(xy, score, face, points.start, points.stop, least, is_face)
        if refined and self._refines_hands:
            left, right = skeleton.LEFT_HAND, skeleton.RIGHT_HAND
            kernels.doubt_same_hand(xy, score, left.start, right.start, right.stop - right.start)
