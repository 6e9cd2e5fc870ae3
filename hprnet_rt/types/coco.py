"""People to and from COCO-WholeBody's results format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hprnet_rt import skeleton
from hprnet_rt.errors import DataError
from hprnet_rt.types.poses import Poses

__all__ = [
    "ABSENT_PX",
    "COCO_PARTS",
    "FACE_BOX_SCORE",
    "SINGLE_PARTS",
    "CocoPart",
    "from_results",
    "from_results_of_an_image",
    "to_results",
    "to_results_with_ids",
]

ABSENT_PX: Final = -1e5
"""x and y of a point that was not found."""

FACE_BOX_SCORE: Final = "facebox_score"
"""The field of a result that ranks face boxes; `score` does where a detection has no such field."""


@dataclass(frozen=True)
class CocoPart:
    """A part in the JSON of results.

    Attributes:
        points: their range among the 133.
        field: holds x, y and the score of each.
        score_field: ranks detections of this part.
    """

    points: slice
    field: str
    score_field: str


COCO_PARTS: Final[dict[str, CocoPart]] = {
    "body": CocoPart(skeleton.BODY, "keypoints", "score"),
    "foot": CocoPart(skeleton.FEET, "foot_kpts", "foot_score"),
    "face": CocoPart(skeleton.FACE, "face_kpts", "face_score"),
    "left_hand": CocoPart(skeleton.LEFT_HAND, "lefthand_kpts", "lefthand_score"),
    "right_hand": CocoPart(skeleton.RIGHT_HAND, "righthand_kpts", "righthand_score"),
}
"""The parts by their names in COCO-WholeBody's evaluation; bodies are ranked by `score`, not `body_score`."""

SINGLE_PARTS: Final = tuple(COCO_PARTS)
"""Parts such that each point is in exactly one of them."""

_DECIMALS: Final = 3  # of positions in px
_POINT_DIGITS: Final = 6  # of a score; enough that comparing the mean of 68 with a threshold gives the same
_UNKNOWN_BOX: Final = (np.nan,) * 4


def to_results(image_id: int, poses: Poses, parts: Sequence[str] = SINGLE_PARTS) -> list[dict[str, Any]]:
    """Convert everyone in one image to detections of COCO-WholeBody.

    Args:
        image_id: the image's id in the annotations.
        poses: in px of that image.
        parts: the parts to write, of `SINGLE_PARTS`; ("body",) for a network that finds bodies only.

    Returns:
        a dict for each person, in the order of the poses: image_id, category_id 1, bbox (x, y, width, height
        in px), score, and for each part x, y, score of every point. Feet, face and hands also have a score
        that ranks them: the person's score times the mean score of the points, with 0 for absent ones. A face
        with a box has `face_box` and `facebox_score`, which equals the face's score.

    An absent point is at (-100000, -100000) with score 0. COCO's evaluation counts every labelled point,
    whatever v the detection has, so an absent point needs a place with a similarity of 0. At (0, 0) it could
    score on large people in the upper left corner, and NaN is not JSON. This far away it adds less than
    1e-200 in any image up to 20,000 px wide. As there is a bbox, no evaluator takes the detection's area from
    the points.
    """
    xy = np.where(np.isnan(poses.xy), ABSENT_PX, poses.xy.astype(np.float64)).round(_DECIMALS)
    boxes = _xywh(poses.box_xyxy)
    faces = _xywh(poses.face_xyxy)
    results = []
    for n in range(len(poses)):
        person_score = float(poses.person_score[n])
        detection: dict[str, Any] = {
            "image_id": int(image_id),
            "category_id": 1,
            "bbox": boxes[n].tolist(),
            "score": _digits(person_score, 9),
        }
        for part in (COCO_PARTS[name] for name in parts):
            scores = poses.score[n, part.points]
            detection[part.field] = _triples(xy[n], scores, part)
            if part.score_field != "score":
                detection[part.score_field] = _digits(person_score * float(scores.mean()), 9)
        if "face" in parts and not np.isnan(faces[n]).any():
            detection["face_box"] = faces[n].tolist()
            detection[FACE_BOX_SCORE] = detection[COCO_PARTS["face"].score_field]
        results.append(detection)
    return results


def to_results_with_ids(image_id: int, poses: Poses) -> list[dict[str, Any]]:
    """Return what `to_results` does, with a `track_id` for who has an id."""
    people = to_results(image_id, poses)
    ids = poses.track_id.tolist()
    return [one if each < 0 else {**one, "track_id": each} for one, each in zip(people, ids, strict=True)]


def _xywh(xyxy: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Convert boxes (N, 4) from corners to x, y, width, height; sizes below 0 become 0."""
    corners = xyxy.astype(np.float64)
    sizes = np.maximum(corners[:, 2:] - corners[:, :2], 0.0)
    return np.concatenate((corners[:, :2], sizes), axis=1).round(_DECIMALS)


def _digits(value: float, count: int) -> float:
    """Round a value to `count` significant digits; a value above 0 stays above 0."""
    return float(f"{value:.{count}g}")


def _triples(
    xy: np.ndarray[Any, np.dtype[np.float64]],
    scores: np.ndarray[Any, np.dtype[np.float32]],
    part: CocoPart,
) -> list[float]:
    points = zip(xy[part.points].tolist(), scores.tolist(), strict=True)
    return [number for (x, y), score in points for number in (x, y, _digits(score, _POINT_DIGITS))]


def from_results(people: Sequence[Mapping[str, Any]]) -> Poses:
    """Return the people of results of one image; parts that they do not have are absent.

    Values that make no sense raise what NumPy raises over them.
    """
    points = np.full((len(people), skeleton.NUM_KEYPOINTS, 3), np.nan)
    for n, person in enumerate(people):
        for part in COCO_PARTS.values():
            if part.field in person:
                points[n, part.points] = np.reshape(person[part.field], (-1, 3))
    points[(points[..., 0] <= ABSENT_PX) | ~points.any(axis=2)] = np.nan
    return Poses(
        points[..., :2].astype(np.float32),
        np.where(np.isnan(points[..., 2]), 0.0, points[..., 2]).astype(np.float32),
        _xyxy([person["bbox"] for person in people]),
        _xyxy([person.get("face_box", _UNKNOWN_BOX) for person in people]),
        np.array([person["score"] for person in people], np.float32),
        np.array([person.get("track_id", -1) for person in people], np.int64),
    )


def from_results_of_an_image(people: Sequence[Mapping[str, Any]]) -> Poses:
    """Return the people of results, which are looked at first; see `Poses.from_coco`.

    Raises:
        DataError: they are no results, or of several images.
    """
    if not people:
        return Poses.empty()
    try:
        if len({person.get("image_id") for person in people}) > 1:
            raise DataError("the results are of several images; make poses of those of one image_id")
        return from_results(people)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"these are no COCO-WholeBody results: {error!r}") from error


def _xyxy(boxes: Sequence[Sequence[float]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the boxes (N, 4) of x, y, width, height as x1, y1, x2, y2."""
    xywh = np.array(boxes, np.float64)
    return np.concatenate((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), axis=1).astype(np.float32)
