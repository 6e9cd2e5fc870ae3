"""The frozen values that travel through the pipeline: Frame, Peaks, Poses, Person and others."""

from __future__ import annotations

import functools
import operator
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt

from hprnet_rt import skeleton
from hprnet_rt.errors import ShapeError, UsageError
from hprnet_rt.geometry import Letterbox
from hprnet_rt.spec import PeakLayout

__all__ = [
    "HAND_THRESHOLD",
    "JUDGED_WHOLE",
    "POINT_THRESHOLD",
    "Frame",
    "FramePoses",
    "Inferred",
    "Maps",
    "Peaks",
    "Person",
    "Poses",
    "Prepared",
    "least_scores",
    "sure_scores",
    "unseen_frame",
]

POINT_THRESHOLD: Final = 0.2
"""Least score of a point that is drawn."""
HAND_THRESHOLD: Final = 0.08
"""Least score of a point of a hand that is drawn. It is lower because such a score is that of the hand's
centre times the point's confidence. On pictures that the shipped model had not seen, 94 of 100 labelled hands
have a mean score of at least this."""

JUDGED_WHOLE: Final = ("face", "left_hand", "right_hand")
"""Parts of which no point is drawn where their mean score is too low."""

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
ImageArray = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a source.

    Attributes:
        sequence: 0 for the first frame of the source, without gaps.
        image: (H, W, 3) uint8 BGR, upright.
        captured_s: `time.perf_counter()` when the picture arrived.
        pts: media timestamp in units of `time_base`; None for stills.
        time_base: seconds per unit of `pts`.
        duration: how long it is shown, in the same units; 0 where that is not known.
    """

    sequence: int
    image: ImageArray
    captured_s: float
    pts: int | None = None
    time_base: Fraction = Fraction(1, 1)
    duration: int = 0

    @property
    def pts_s(self) -> float | None:
        """Media time in seconds, None when the source has no clock."""
        return None if self.pts is None else float(self.pts * self.time_base)


@functools.lru_cache(maxsize=8)
def least_scores(
    point_threshold: float, hand_threshold: float, *, body: bool = True, face: bool = True, hands: bool = True
) -> FloatArray:
    """Return the least score (133,) of a point that is drawn. It is shared: do not change it.

    Args:
        point_threshold: of a point of the body, the feet or the face.
        hand_threshold: of a point of a hand.
        body, face, hands: whether these are drawn; where not, the least score is infinite. Feet belong to
            the body.
    """
    least = np.full(skeleton.NUM_KEYPOINTS, np.inf, np.float32)
    for parts, drawn, threshold in (
        (("body", "feet"), body, point_threshold),
        (("face",), face, point_threshold),
        (("left_hand", "right_hand"), hands, hand_threshold),
    ):
        for part in parts if drawn else ():
            least[skeleton.PARTS[part]] = threshold
    return least


def sure_scores(score: FloatArray, least: FloatArray) -> FloatArray:
    """Return the scores (N, 133) with those of unsure faces and hands made 0.

    A face or hand is unsure when the mean score of its points is below `least` (133,).
    """
    sure = score
    for part in JUDGED_WHOLE:
        points = skeleton.PARTS[part]
        present = np.maximum(np.count_nonzero(score[:, points], axis=1), 1)
        unsure = score[:, points].sum(axis=1) < least[points.start] * present
        if unsure.any():
            sure = score.copy() if sure is score else sure
            sure[unsure, points] = 0.0
    return sure


def unseen_frame(sequence: int, pts: int | None, time_base: Fraction) -> Frame:
    """Return a frame without its picture: the image is empty."""
    return Frame(sequence, np.zeros((0, 0, 3), np.uint8), time.perf_counter(), pts, time_base)


@dataclass(frozen=True, eq=False)
class Maps:
    """The maps on which the points of one image are refined; channels last.

    Attributes:
        features: (H / 4, W / 4, C) float32, the feature map.
        local: (H / 4, W / 4, n) float32 logits, one map for each point of the parts that read them.
    """

    features: FloatArray
    local: FloatArray


@dataclass(frozen=True, eq=False)
class Peaks:
    """What an engine returns for one image, before grouping.

    Attributes:
        packed: (K, layout.width) float32; see `PeakLayout`.
        layout: the meaning of the columns.
        letterbox: how the image was placed in the input.
        maps: on which points are refined after grouping; None where the engine has refined them, or the
            network has no refinement.
    """

    packed: FloatArray
    layout: PeakLayout
    letterbox: Letterbox
    maps: Maps | None = None

    def __post_init__(self) -> None:
        if self.packed.ndim != 2 or self.packed.shape[1] != self.layout.width:
            raise ShapeError(f"peaks are (K, {self.layout.width}), got {self.packed.shape}")


@dataclass(frozen=True, eq=False)
class Person:
    """One person: a view into `Poses`; `face_xyxy` is NaN where unknown."""

    xy: FloatArray
    score: FloatArray
    box_xyxy: FloatArray
    face_xyxy: FloatArray
    person_score: float
    track_id: int | None

    def part(self, name: str) -> tuple[FloatArray, FloatArray]:
        """Return xy (P, 2) and score (P,) of "body", "feet", "face", "left_hand" or "right_hand".

        Raises:
            UsageError: there is no such part.
        """
        if name not in skeleton.PARTS:
            raise UsageError(f"there is no part {name!r}; use one of: {', '.join(skeleton.PARTS)}")
        points = skeleton.PARTS[name]
        return self.xy[points], self.score[points]


@dataclass(frozen=True, eq=False)
class Poses:
    """Everyone in one image, strongest first, in source pixels unless stated otherwise.

    Attributes:
        xy: (N, 133, 2) float32 px; NaN where a point is absent.
        score: (N, 133) float32 in [0, 1]; 0 exactly where a point is absent. Of a face or hand it is the
            score of the part's centre, times the point's own confidence where the model gives one.
        box_xyxy: (N, 4) float32 px.
        face_xyxy: (N, 4) float32 px, box of the face; NaN where unknown.
        person_score: (N,) float32 in [0, 1].
        track_id: (N,) int64, -1 while unknown.
    """

    xy: FloatArray
    score: FloatArray
    box_xyxy: FloatArray
    face_xyxy: FloatArray
    person_score: FloatArray
    track_id: IntArray

    def __post_init__(self) -> None:
        people = len(self.person_score)
        for name, shape in (
            ("xy", (people, skeleton.NUM_KEYPOINTS, 2)),
            ("score", (people, skeleton.NUM_KEYPOINTS)),
            ("box_xyxy", (people, 4)),
            ("face_xyxy", (people, 4)),
            ("track_id", (people,)),
        ):
            if getattr(self, name).shape != shape:
                raise ShapeError(f"poses: {name} is {shape}, got {getattr(self, name).shape}")

    @classmethod
    def empty(cls) -> Poses:
        """Return the poses of nobody."""
        return cls(
            np.zeros((0, skeleton.NUM_KEYPOINTS, 2), np.float32),
            np.zeros((0, skeleton.NUM_KEYPOINTS), np.float32),
            np.zeros((0, 4), np.float32),
            np.zeros((0, 4), np.float32),
            np.zeros(0, np.float32),
            np.zeros(0, np.int64),
        )

    def shown(
        self, point_threshold: float = POINT_THRESHOLD, hand_threshold: float = HAND_THRESHOLD
    ) -> BoolArray:
        """Return which points are sure enough to be drawn, (N, 133); `xy` holds the others too.

        No point of a face or hand is, whose mean score is below the threshold.

        Args:
            point_threshold: least score of a point, and mean score of a face.
            hand_threshold: least score of a hand's point, and mean score of a hand.
        """
        least = least_scores(point_threshold, hand_threshold)
        score = sure_scores(self.score, least)
        return (score >= least) & (score > 0)

    def __len__(self) -> int:
        return len(self.person_score)

    def __getitem__(self, index: int) -> Person:
        """Return one person; for several people slice the arrays, as in `poses.xy[1:3]`."""
        try:
            index = operator.index(index)
        except TypeError as error:
            raise TypeError(
                f"poses are indexed by one whole number, got {index!r}; for several people use the arrays, "
                "as in poses.xy[1:3]"
            ) from error
        track_id = int(self.track_id[index])
        return Person(
            self.xy[index],
            self.score[index],
            self.box_xyxy[index],
            self.face_xyxy[index],
            float(self.person_score[index]),
            None if track_id < 0 else track_id,
        )

    def __iter__(self) -> Iterator[Person]:
        return (self[i] for i in range(len(self)))


@dataclass(frozen=True, eq=False)
class Prepared:
    """A frame, or a region of it, scaled to the network's input: `batch` is (1, h, w, 3) uint8 BGR."""

    frame: Frame
    batch: ImageArray
    letterbox: Letterbox


@dataclass(frozen=True, eq=False)
class Inferred:
    """A frame and the peaks of it, or of a region of it."""

    frame: Frame
    peaks: Peaks


@dataclass(frozen=True, eq=False)
class FramePoses:
    """A frame and everyone in it."""

    frame: Frame
    poses: Poses
