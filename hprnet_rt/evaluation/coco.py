"""Annotations and results in COCO-WholeBody's JSON, checked when they are read."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import DataError
from hprnet_rt.evaluation.checks import Item, boxes, flags, load, numbers, objects, points, whole_numbers
from hprnet_rt.evaluation.parts import PART_TYPES, box_of_points
from hprnet_rt.skeleton import BODY
from hprnet_rt.types.coco import FACE_BOX_SCORE

__all__ = ["Annotations", "Results", "read_annotations", "read_results"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_PERSON = 1  # category_id
_HANDS = ("lefthand", "righthand")
_BODY_ONLY = "body"  # label
_SCORE_FIELDS = (*dict.fromkeys(part.score_field for part in PART_TYPES.values()), FACE_BOX_SCORE)


@dataclass(frozen=True, eq=False)
class Annotations:
    """The true people of a set of images, sorted by image, otherwise in the file's order.

    Attributes:
        name: the file's name, for messages.
        image_ids: (M,) ids of all images, ascending, also of those without people.
        file_names: (M,) of the images; "" where the file has none.
        image_hw: (M, 2) height and width of the images in px; 0 where the file has none.
        image_weight: (M,) how often training is to show each image, relative to others; 1 where the file says
            nothing (`weight`; not of COCO-WholeBody).
        image: (N,) index into `image_ids` of each person's image, ascending.
        area: (N,) px^2.
        box_xywh: (N, 4) px.
        crowd: (N,) True for a group that is not annotated person by person.
        xy: (N, 133, 2) px.
        labelled: (N, 133) True where v > 0.
        face_box_xywh: (N, 4) px; NaN where the file has none.
        hand_box_xywh: (N, 2, 4) px, left and right; NaN where the file has none.
        part_valid: (N, 3) True where the file marks the face, the left and the right hand as valid. Average
            precision ignores it.
        part_absent: (N, 3) True where the file marks the face, the left or the right hand as absent: hidden,
            turned away, or out of the image (`face_absent`, `lefthand_absent`, `righthand_absent`; not of
            COCO-WholeBody, where a part without labels may still be visible).
        body_only: (N,) True where only the body was annotated (`label` is "body"); nothing is known of the
            other parts.
        fields: the fields of COCO-WholeBody that the file has.
    """

    name: str
    image_ids: IntArray
    file_names: tuple[str, ...]
    image_hw: IntArray
    image_weight: FloatArray
    image: IntArray
    area: FloatArray
    box_xywh: FloatArray
    crowd: BoolArray
    xy: FloatArray
    labelled: BoolArray
    face_box_xywh: FloatArray
    hand_box_xywh: FloatArray
    part_valid: BoolArray
    part_absent: BoolArray
    body_only: BoolArray
    fields: frozenset[str]

    def __len__(self) -> int:
        return len(self.image)


@dataclass(frozen=True, eq=False)
class Results:
    """The people found in a set of images, in the file's order.

    Attributes:
        name: the file's name, for messages.
        image_id: (D,) id of each detection's image.
        scores: (D,) by score field; NaN where a detection has none. "score" is always there.
        area: (D,) px^2 of `bbox`, or of the box around the 17 body points where there is none.
        box_xywh: (D, 4) px; NaN where there is none.
        xy: (D, 133, 2) px.
        point_score: (D, 133) v: the point's score in most result files, a flag in some.
        face_box_xywh: (D, 4) px; NaN where there is none.
        fields: the fields of COCO-WholeBody that the file has; all of them if it has no detections.
    """

    name: str
    image_id: IntArray
    scores: Mapping[str, FloatArray]
    area: FloatArray
    box_xywh: FloatArray
    xy: FloatArray
    point_score: FloatArray
    face_box_xywh: FloatArray
    fields: frozenset[str]

    def __len__(self) -> int:
        return len(self.image_id)

    @functools.cached_property
    def visible(self) -> BoolArray:
        """(D, 133) True where v > 0."""
        return self.point_score > 0

    @property
    def has_point_scores(self) -> bool:
        """Whether v holds scores; if all values are whole numbers, they are flags as in annotations."""
        return not len(self) or bool((self.point_score % 1 != 0).any())

    def rank(self, score_field: str) -> FloatArray:
        """Return each detection's value (D,) of a score field, or its `score` where it has no such field."""
        own = self.scores[score_field]
        return np.where(np.isnan(own), self.scores["score"], own)


def read_annotations(source: str | Path | Item) -> Annotations:
    """Read COCO-WholeBody annotations, or plain COCO ones with the 17 body points.

    Args:
        source: a JSON file, or its content. Only people (category 1) are read. The fields of feet, face and
            hands may be missing, if they are missing from all people.

    Raises:
        DataError: the file is missing, or does not hold annotations.
    """
    name, data = load(source, "the set of annotations")
    if isinstance(data, list):
        raise DataError(f"{name} is a list, not an annotations file; is it a results file?")
    for key in ("images", "annotations"):
        if not isinstance(data, Mapping) or not isinstance(data.get(key), list):
            raise DataError(f"{name} has no list of {key}, so it is not a COCO annotations file")
    images = objects(data["images"], f"{name}: an image")
    image_ids = whole_numbers(images, "id", f"{name}: the id of an image")
    sides = [
        numbers(images, side, lambda n: f"{name}: image {image_ids[n]}", 0.0).astype(np.int64)
        for side in ("height", "width")
    ]
    weight = numbers(images, "weight", lambda n: f"{name}: image {image_ids[n]}", 1.0)
    if (weight < 0).any():
        raise DataError(f"{name}: image {image_ids[int(np.argmin(weight))]} has a weight below 0")
    order = np.argsort(image_ids)
    image_ids = image_ids[order]
    repeated = np.flatnonzero(np.diff(image_ids) == 0)
    if len(repeated):
        raise DataError(f"{name}: two images have the id {image_ids[repeated[0]]}; give each its own")
    people = _people(objects(data["annotations"], f"{name}: an annotation"))
    own_id = whole_numbers(people, "id", f"{name}: the id of an annotation")
    unique, count = np.unique(own_id, return_counts=True)
    if len(unique) < len(own_id):
        shared = unique[count.argmax()]
        raise DataError(f"{name}: {count.max()} annotations have the id {shared}; give each its own")

    def item_name(n: int) -> str:
        return f"{name}: annotation {own_id[n]}"

    image_of = whole_numbers(people, "image_id", f"{name}: the image_id of an annotation")
    image = np.searchsorted(image_ids, image_of)
    lost = np.flatnonzero(np.append(image_ids, -1)[np.minimum(image, len(image_ids))] != image_of)
    if len(lost):
        raise DataError(
            f"{item_name(lost[0])} is of image {image_of[lost[0]]}, which the list of images lacks"
        )
    crowd = numbers(people, "iscrowd", item_name, 0) != 0
    area = numbers(people, "area", item_name)
    if (area < 0).any():
        raise DataError(f"{item_name(int(np.argmin(area)))} has an area below 0")
    box, has_box = boxes(people, "bbox", item_name)
    if not has_box.all():
        raise DataError(f"{item_name(int(np.argmin(has_box)))} has no bbox")
    negative = (box[:, 2:] < 0).any(axis=1)
    if negative.any():
        first = item_name(int(np.argmax(negative)))
        raise DataError(f"{first} has a bbox of negative size; it is x, y, width, height")
    face_box, has_face_box = boxes(people, "face_box", item_name)
    hand_box = np.stack([boxes(people, f"{side}_box", item_name)[0] for side in _HANDS], axis=1)
    valid, absent = (
        np.stack([flags(people, f"{part}_{flag}", item_name) for part in ("face", *_HANDS)], axis=1)
        for flag in ("valid", "absent")
    )
    body_only = np.array([person.get("label") == _BODY_ONLY for person in people], np.bool_)
    xy, v, fields = points(people, item_name, crowd)
    by_image = np.argsort(image, kind="stable")
    return Annotations(
        name=name,
        image_ids=image_ids,
        file_names=tuple(str(images[n].get("file_name", "")) for n in order),
        image_hw=np.stack(sides, axis=1)[order],
        image_weight=weight[order],
        image=image[by_image],
        area=area[by_image],
        box_xywh=box[by_image],
        crowd=crowd[by_image],
        xy=xy[by_image],
        labelled=(v > 0)[by_image],
        face_box_xywh=face_box[by_image],
        hand_box_xywh=hand_box[by_image],
        part_valid=valid[by_image],
        part_absent=absent[by_image],
        body_only=body_only[by_image],
        fields=fields | ({"face_box"} if has_face_box.any() else set()),
    )


def read_results(source: str | Path | Sequence[Item]) -> Results:
    """Read detections in COCO-WholeBody's results format.

    Args:
        source: a JSON file, or the list in it. Only people (category 1) are read. Fields of points may be
            missing, if they are missing from all people.

    Raises:
        DataError: the file is missing, or does not hold results.
    """
    name, data = load(source, "the list of results")
    if not isinstance(data, Sequence) or isinstance(data, str):
        hint = "; is it an annotations file?" if isinstance(data, Mapping) and "annotations" in data else ""
        raise DataError(f"{name} is not a list of detections, as COCO's results are{hint}")
    people = _people(objects(data, f"{name}: a detection"))
    image_id = whole_numbers(people, "image_id", f"{name}: the image_id of a detection")

    def item_name(n: int) -> str:
        return f"{name}: detection {n + 1}, of image {image_id[n]},"

    scores = {"score": numbers(people, "score", item_name)}
    for field in _SCORE_FIELDS[1:]:
        has = np.array([person.get(field) is not None for person in people], np.bool_)
        scores[field] = np.where(has, numbers(people, field, item_name, 0.0), np.nan)
    box, has_box = boxes(people, "bbox", item_name)
    face_box, has_face_box = boxes(people, "face_box", item_name)
    xy, point_score, fields = points(people, item_name)
    if "keypoints" not in fields and not has_box.all():
        first = item_name(int(np.argmin(has_box)))
        raise DataError(f"{first} has neither bbox nor keypoints, so its size is unknown")
    around = box_of_points(xy[:, BODY], np.ones((len(xy), BODY.stop), np.bool_))
    size = np.where(has_box[:, None], box, around)[:, 2:]
    return Results(
        name=name,
        image_id=image_id,
        scores=scores,
        area=size[:, 0] * size[:, 1],
        box_xywh=box,
        xy=xy,
        point_score=point_score,
        face_box_xywh=face_box,
        fields=fields | ({"face_box"} if has_face_box.any() or not people else set()),
    )


def _people(items: list[Item]) -> list[Item]:
    return [item for item in items if item.get("category_id", _PERSON) == _PERSON]
