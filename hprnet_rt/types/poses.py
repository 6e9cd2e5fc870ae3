"""Everyone in one image, as arrays; choosing people and points of them."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hprnet_rt import skeleton
from hprnet_rt.errors import ShapeError, UsageError
from hprnet_rt.types.frame import Frame
from hprnet_rt.types.person import Person
from hprnet_rt.types.trust import (
    HAND_THRESHOLD,
    POINT_THRESHOLD,
    least_scores,
    require_threshold,
    sure_scores,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FramePoses", "Poses"]

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Poses:
    """Everyone in one image, strongest first, in source pixels unless stated otherwise.

    Attributes:
        xy: (N, 133, 2) float32 px; NaN where a point is absent.
        score: (N, 133) float32 in [0, 1]; 0 exactly where a point is absent. Of a face or hand it is the
            score of the part's centre, times the point's own confidence where the model gives one; of the
            weaker of two hands that are one in the image 0.3 of that.
        box_xyxy: (N, 4) float32 px.
        face_xyxy: (N, 4) float32 px, box of the face; NaN where unknown.
        person_score: (N,) float32 in [0, 1].
        track_id: (N,) int64, -1 while unknown.

    Every point that the network gives is in the arrays, guesses too: `confident` leaves out those that are
    not to be trusted, as drawing does.

    Examples:
        >>> poses = model(image)
        >>> len(poses), poses.xy.shape
        (3, (3, 133, 2))
        >>> for person in poses.confident():
        ...     x, y, score = person["left_wrist"]
        >>> poses.largest(1).only("face", "left_hand").to_numpy().shape
        (1, 133, 3)
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

    def __len__(self) -> int:
        return len(self.person_score)

    def __getitem__(self, index: int) -> Person:
        """Return one person; `select` returns several."""
        try:
            index = operator.index(index)
        except TypeError as error:
            raise TypeError(
                f"poses are indexed by one whole number, got {index!r}; for several people use "
                "poses.select([1, 2]), or the arrays, as in poses.xy[1:3]"
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

    def confident(self, threshold: float | None = None) -> Poses:
        """Return the same people without the points that are not to be trusted; these become absent.

        Args:
            threshold: least score of a point, and mean score of a face or hand. None takes what drawing takes
                of each part: 0.2, and 0.08 for hands, whose scores are lower. For a network without
                refinement, such as `hprnet-dla34`, take 0.3 for hands.

        Raises:
            UsageError: the threshold is not from 0 to 1.
        """
        if threshold is None:
            return self._with_points(self.shown())
        require_threshold(threshold)
        return self._with_points(self.shown(threshold, threshold))

    def only(self, *parts: str) -> Poses:
        """Return the same people with the points of these parts alone; the others become absent.

        Args:
            parts: of "body", "feet", "face", "left_hand" and "right_hand". Boxes of faces go with "face".

        Raises:
            UsageError: there is no such part.
        """
        kept = np.zeros(skeleton.NUM_KEYPOINTS, np.bool_)
        for part in parts:
            kept[skeleton.part_points(part)] = True
        chosen = self._with_points(np.broadcast_to(kept, self.score.shape))
        return chosen if "face" in parts else replace(chosen, face_xyxy=np.full_like(self.face_xyxy, np.nan))

    def _with_points(self, kept: BoolArray) -> Poses:
        xy = np.where(kept[..., None], self.xy, np.float32(np.nan))
        return replace(self, xy=xy, score=np.where(kept, self.score, np.float32(0)))

    def select(self, people: npt.ArrayLike | slice) -> Poses:
        """Return some of the people: a slice, their numbers, one number, or a mask (N,) of true and false.

        They come in the order of the numbers.
        """
        chosen = people if isinstance(people, slice) else np.atleast_1d(people)
        if not isinstance(chosen, slice) and not chosen.size:
            chosen = slice(0)
        return Poses(*(getattr(self, each.name)[chosen] for each in fields(self)))

    def largest(self, count: int) -> Poses:
        """Return the people with the largest boxes, at most `count`, strongest first.

        Raises:
            UsageError: the count is below 0.
        """
        if count < 0:
            raise UsageError(f"the number of people is at least 0, got {count}")
        width, height = (self.box_xyxy[:, 2:] - self.box_xyxy[:, :2]).T
        return self.select(np.sort(np.argsort(-width * height, kind="stable")[:count]))

    def inside(self, box_xyxy: npt.ArrayLike, least: float = 0.5) -> Poses:
        """Return the people who are in a rectangle of the image.

        Args:
            box_xyxy: left, top, right, bottom in px.
            least: the share of a person's own box that lies in it, at least.

        Raises:
            ShapeError: the rectangle is not of four numbers.
        """
        box = np.asarray(box_xyxy, np.float32)
        if box.shape != (4,):
            raise ShapeError(f"a rectangle is left, top, right and bottom, got {box_xyxy!r:.80}")
        low, high = np.maximum(self.box_xyxy[:, :2], box[:2]), np.minimum(self.box_xyxy[:, 2:], box[2:])
        both = np.clip(high - low, 0.0, None).prod(axis=1)
        own = (self.box_xyxy[:, 2:] - self.box_xyxy[:, :2]).prod(axis=1)
        return self.select(both >= least * np.maximum(own, np.finfo(np.float32).tiny))

    def to_numpy(self) -> FloatArray:
        """Return the points (N, 133, 3): x and y in px and the score; NaN, NaN and 0 where absent."""
        return np.concatenate((self.xy, self.score[..., None]), axis=2)

    @classmethod
    def from_numpy(
        cls,
        points: npt.ArrayLike,
        *,
        box_xyxy: npt.ArrayLike | None = None,
        face_xyxy: npt.ArrayLike | None = None,
        person_score: npt.ArrayLike | None = None,
        track_id: npt.ArrayLike | None = None,
    ) -> Poses:
        """Return the people of an array.

        Args:
            points: (N, 133, 3), x and y in px and the score. A point is absent where x or y is NaN.
            box_xyxy: (N, 4) px; the box around each person's points when None.
            face_xyxy: (N, 4) px, NaN where unknown; unknown when None.
            person_score: (N,); the mean score of each person's points when None.
            track_id: (N,), -1 for none; none when None.

        Raises:
            ShapeError: an array has another shape, or there is neither a box nor a point of a person.
        """
        from hprnet_rt.types import exchange

        return exchange.from_numpy(points, box_xyxy, face_xyxy, person_score, track_id)

    def to_pandas(self, frame: Frame | None = None) -> pd.DataFrame:
        """Return a table with a row for each person, with the columns of `hprnet-rt convert --to csv`.

        Columns are frame, pts_s, person (0 is the strongest), track_id, score, box_x1 ... box_y2, face_x1 ...
        face_y2, and x, y and score of every point, such as left_knee_x; NaN where absent. Needs the package
        pandas (`pip install "hprnet-rt[pandas]"`).

        Args:
            frame: of which the number and the time are; None leaves them unknown.

        Raises:
            BackendError: pandas is not installed.
        """
        from hprnet_rt.types import exchange

        return exchange.to_pandas(self, frame)

    @classmethod
    def from_pandas(cls, table: pd.DataFrame) -> Poses:
        """Return the people of one frame of a table as `to_pandas` makes it.

        Raises:
            UsageError: columns are missing, or the rows are of several frames.
        """
        from hprnet_rt.types import exchange

        return exchange.from_pandas(table)

    def to_coco(self, image_id: int = 0) -> list[dict[str, Any]]:
        """Return a COCO-WholeBody result for each person, ready for JSON; absent points are at -100000.

        Args:
            image_id: of the image in the annotations.
        """
        from hprnet_rt.types import coco

        return coco.to_results_with_ids(image_id, self)

    @classmethod
    def from_coco(cls, people: Sequence[Mapping[str, Any]]) -> Poses:
        """Return the people of COCO-WholeBody results of one image; parts that they lack are absent.

        Raises:
            DataError: they are no such results, or of several images.
        """
        from hprnet_rt.types import coco

        return coco.from_results_of_an_image(people)


@dataclass(frozen=True, eq=False)
class FramePoses:
    """A frame and everyone in it."""

    frame: Frame
    poses: Poses
