"""One person in one image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hprnet_rt import skeleton

__all__ = ["Person"]

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Person:
    """One person: a view into `Poses`, in pixels of the image.

    Attributes:
        xy: (133, 2) float32 px; NaN where a point is absent.
        score: (133,) float32 in [0, 1]; 0 where a point is absent.
        box_xyxy: (4,) float32 px, left, top, right, bottom.
        face_xyxy: (4,) float32 px, box of the face; NaN where unknown.
        person_score: in [0, 1].
        track_id: the person's id from frame to frame of a video; None in a single image.

    Examples:
        >>> person = model(image)[0]
        >>> x, y, score = person["nose"]
        >>> x1, y1, x2, y2 = person.box_xyxy
        >>> bool(x1 < x < x2 and score > 0.5)
        True
    """

    xy: FloatArray
    score: FloatArray
    box_xyxy: FloatArray
    face_xyxy: FloatArray
    person_score: float
    track_id: int | None

    def __getitem__(self, name: str) -> tuple[float, float, float]:
        """Return x and y in px and the score of a point: NaN, NaN and 0 where it is absent.

        Raises:
            UsageError: no point has this name; `KEYPOINT_NAMES` has all.
        """
        point = skeleton.index(name)
        x, y = self.xy[point].tolist()
        return x, y, float(self.score[point])

    def part(self, name: str) -> tuple[FloatArray, FloatArray]:
        """Return xy (P, 2) and score (P,) of "body", "feet", "face", "left_hand" or "right_hand".

        Raises:
            UsageError: there is no such part.
        """
        points = skeleton.part_points(name)
        return self.xy[points], self.score[points]

    def angle(self, first: str, middle: str, last: str) -> float:
        """Return the angle at the middle one of three points in the picture, 0 to 180 degrees.

        It is NaN where one is absent, or lies upon the middle one. Guessed points give guessed angles: take
        people from `Poses.confident`.

        Raises:
            UsageError: no point has such a name.

        Examples:
            >>> for person in model(image).confident():
            ...     degrees = person.angle("left_hip", "left_knee", "left_ankle")
        """
        corners = [self.xy[skeleton.index(name)].astype(np.float64) for name in (first, middle, last)]
        one, other = corners[0] - corners[1], corners[2] - corners[1]
        lengths = np.linalg.norm(one) * np.linalg.norm(other)
        if not lengths > 0.0:
            return float("nan")
        return float(np.degrees(np.arccos(np.clip(one @ other / lengths, -1.0, 1.0))))
