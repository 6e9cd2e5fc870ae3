"""COCO's matching and averaging by faster-coco-eval, with similarities that are computed here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import BackendError
from hprnet_rt.evaluation.coco import Annotations, Results
from hprnet_rt.evaluation.oks import oks
from hprnet_rt.evaluation.parts import BOX_METRICS, FACE_BOXES, KEYPOINT_METRICS, PART_TYPES, box_of_points
from hprnet_rt.skeleton import FACE
from hprnet_rt.types.coco import FACE_BOX_SCORE

__all__ = ["library", "score_part"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_AREAS: Final = {  # px^2 of the person
    "all": [0.0, 1e5**2],
    "small": [0.0, 32.0**2],
    "medium": [32.0**2, 96.0**2],
    "large": [96.0**2, 1e5**2],
}


class _Keypoints:
    """The points of a part, compared by OKS."""

    areas: Final = ("all", "medium", "large")
    max_dets: Final = (20,)

    def __init__(self, annotations: Annotations, results: Results, part: str) -> None:
        self._true, self._found, self._part = annotations, results, PART_TYPES[part]
        self.score_field = self._part.score_field
        self._sigmas = self._part.sigmas
        self.labelled = annotations.labelled[:, self._part.points].any(axis=1)

    def similarity(self, found: IntArray, true: slice) -> FloatArray:
        """Return the similarity (D, G) of these rows of results and annotations."""
        points = self._part.points
        return oks(
            self._found.xy[found, points],
            self._true.xy[true, points],
            self._true.labelled[true, points],
            self._true.area[true],
            self._true.box_xywh[true],
            self._sigmas,
        )

    def metrics(self, precision: FloatArray, recall: FloatArray) -> dict[str, float | None]:
        """Return `KEYPOINT_METRICS`.

        Args:
            precision: (threshold, recall level, category, area, detections), the library's table.
            recall: (threshold, category, area, detections), likewise.
        """
        values = []
        for table in (precision, recall):
            table = np.moveaxis(table, -2, 0)  # area first
            values += [table[0], table[0][[0]], table[0][[5]], table[1], table[2]]  # thresholds .5 and .75
        return dict(zip(KEYPOINT_METRICS, map(_mean, values), strict=True))


class _FaceBoxes:
    """Face boxes, compared by intersection over union. Sizes are the person's, as for points."""

    areas: Final = ("all", "small", "medium", "large")
    max_dets: Final = (1, 10, 100)
    score_field: Final = FACE_BOX_SCORE

    def __init__(self, annotations: Annotations, results: Results, part: str) -> None:
        boxes = results.face_box_xywh
        if part == "face_points_box":
            boxes = box_of_points(results.xy[:, FACE], results.visible[:, FACE])
        self._found = np.nan_to_num(boxes)  # a missing box becomes an empty one, which overlaps no other
        self._true, self._crowd = np.nan_to_num(annotations.face_box_xywh), annotations.crowd
        self.labelled = annotations.labelled[:, FACE].any(axis=1)

    def similarity(self, found: IntArray, true: slice) -> FloatArray:
        """Return the similarity (D, G) of these rows of results and annotations."""
        from faster_coco_eval.core import mask

        crowd = self._crowd[true].astype(int).tolist()
        return np.asarray(mask.iou(self._found[found].tolist(), self._true[true].tolist(), crowd), np.float64)

    def metrics(self, precision: FloatArray, recall: FloatArray) -> dict[str, float | None]:
        """Return `BOX_METRICS`; the tables are those of `_Keypoints.metrics`."""
        p = np.moveaxis(precision[..., -1], -1, 0)
        r = np.moveaxis(recall, (-2, -1), (0, 1))
        values = [p[0], p[0][[0]], p[0][[5]], p[1], p[2], p[3]]
        values += [r[0, 0], r[0, 1], r[0, 2], r[1, -1], r[2, -1], r[3, -1]]
        return dict(zip(BOX_METRICS, map(_mean, values), strict=True))


def score_part(
    part: str, annotations: Annotations, results: Results, image: IntArray, by_person: bool
) -> dict[str, float | None]:
    """Compute precision and recall of one part.

    Args:
        part: of `PART_TYPES` or `FACE_BOXES`.
        annotations, results: both have the part's fields.
        image: (D,) index of each detection's image in the annotations.
        by_person: rank detections by `score`, not by the part's own score.

    Returns:
        `KEYPOINT_METRICS` or `BOX_METRICS` in [0, 1]; None where no labelled person counts.

    Raises:
        BackendError: faster-coco-eval is not installed.
    """
    dataset, evaluator_of = library()
    kind = (_FaceBoxes if part in FACE_BOXES else _Keypoints)(annotations, results, part)
    rank = results.rank("score" if by_person else kind.score_field)
    images = len(annotations.image_ids)
    starts = np.searchsorted(annotations.image, np.arange(images + 1))
    by_image = np.lexsort((np.arange(len(image)), -rank, image))  # ties keep the file's order
    found_starts = np.searchsorted(image[by_image], np.arange(images + 1))

    def similarity(image_id: int, _category_id: int) -> FloatArray | list[FloatArray]:
        found = by_image[found_starts[image_id] : found_starts[image_id + 1]][: kind.max_dets[-1]]
        true = slice(starts[image_id], starts[image_id + 1])
        return kind.similarity(found, true) if len(found) and true.start < true.stop else []

    true = _entries(
        annotations.image,
        area=annotations.area.tolist(),
        iscrowd=annotations.crowd.astype(int).tolist(),
        num_keypoints=kind.labelled.astype(int).tolist(),  # 0 is ignored
    )
    found = _entries(image, area=results.area.tolist(), score=rank.tolist())
    evaluator = evaluator_of(dataset(true, images), dataset(found, images), iouType="keypoints")
    evaluator.computeOks = similarity
    evaluator.params.catIds = [1]
    evaluator.params.maxDets = list(kind.max_dets)
    evaluator.params.areaRng = [_AREAS[area] for area in kind.areas]
    evaluator.params.areaRngLbl = list(kind.areas)
    evaluator.evaluate()
    evaluator.accumulate()
    return kind.metrics(*(np.asarray(evaluator.eval[table]) for table in ("precision", "recall")))


def _entries(image: IntArray, **columns: Iterable[Any]) -> list[dict[str, Any]]:
    """Return one entry per person, as the library reads them, with these columns."""
    rows = zip(*columns.values(), strict=True)
    return [
        {"id": n, "image_id": i, "category_id": 1, **dict(zip(columns, row, strict=True))}
        for n, (i, row) in enumerate(zip(image.tolist(), rows, strict=True), start=1)
    ]


def library() -> tuple[Callable[[list[dict[str, Any]], int], Any], Callable[..., Any]]:
    """Return functions that make the library's data set and its evaluator.

    Raises:
        BackendError: the library is not installed.
    """
    try:
        from faster_coco_eval.core.coco import COCO
        from faster_coco_eval.core.faster_eval_api import COCOeval_faster
    except ImportError as error:
        raise BackendError(
            'evaluation needs the package faster-coco-eval: pip install "hprnet-rt[eval]"'
        ) from error

    def dataset(entries: list[dict[str, Any]], images: int) -> Any:
        categories = [{"id": 1, "name": "person"}]
        return COCO(
            {"images": [{"id": i} for i in range(images)], "annotations": entries, "categories": categories}
        )

    return dataset, COCOeval_faster


def _mean(values: FloatArray) -> float | None:
    """Return the mean of the defined values; the library marks undefined ones by -1."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else None
