"""Average precision and recall of every part."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import DataError, UsageError
from hprnet_rt.evaluation.coco import Annotations, Results, read_annotations, read_results
from hprnet_rt.evaluation.matching import library, score_part
from hprnet_rt.evaluation.parts import DERIVED, FACE_BOXES, KEYPOINT_METRICS, PART_TYPES, named_parts

__all__ = ["RANKINGS", "Evaluation", "evaluate"]

_log = logging.getLogger(__name__)

IntArray = npt.NDArray[np.int64]

RANKINGS: Final = ("part", "person")
"""The scores that can rank the detections of a part, see `evaluate`."""

_ORDER: Final = (
    "body",
    "foot",
    "face",
    "left_hand",
    "right_hand",
    "hand",
    "whole_body",
    "wholebody_mean",
    *FACE_BOXES,
)


@dataclass(frozen=True)
class Evaluation:
    """How well results agree with the annotations.

    Attributes:
        name: name of the results.
        images, people, detections: their numbers; people without crowds.
        ranking: the score that ranked the detections of a part, see `evaluate`.
        scores: by part, in the order of reports, and by metric: `KEYPOINT_METRICS`, for face boxes
            `BOX_METRICS`. In [0, 1]; None where nobody of that size has a labelled part. The means "hand" and
            "wholebody_mean" are there if all parts that they are means of were evaluated.
    """

    name: str
    images: int
    people: int
    detections: int
    ranking: str
    scores: Mapping[str, Mapping[str, float | None]]

    def __getitem__(self, part: str) -> Mapping[str, float | None]:
        return self.scores[part]


def evaluate(
    annotations: Annotations | str | Path | Mapping[str, Any],
    results: Results | str | Path | Sequence[Mapping[str, Any]],
    parts: Sequence[str] | None = None,
    *,
    ranking: str = "part",
    name: str | None = None,
) -> Evaluation:
    """Compute average precision and recall of each part, as COCO-WholeBody defines them.

    Args:
        annotations: see `read_annotations`.
        results: see `read_results`.
        parts: of `PART_TYPES` and `FACE_BOXES`, or "hand" for both hands; None for the part types that the
            annotations have.
        ranking: "part" ranks the detections of feet, faces, hands and whole bodies by their own score
            (`foot_score` ...), or by `score` where they have none, as COCO-WholeBody's code does. "person"
            ranks all by `score`, as in HPRNet's released results, which have no other scores.
        name: of the evaluation; None for the results' name.

    Raises:
        DataError: a file does not hold what it should, or the results are of other images.
        UsageError: the part or ranking is unknown, or the files lack a field of a part.
        BackendError: faster-coco-eval is not installed.

    Only the 20 strongest detections of an image count (100 for face boxes). Crowds, and people without a
    labelled point of a part, are ignored for this part, together with the detections on them. The area that
    scales OKS and that divides people into medium (32^2 to 96^2 px^2) and large is the whole person's; that
    of a detection is the area of its `bbox`, or of the box around its body points. `*_valid` flags are not
    used.
    """
    if ranking not in RANKINGS:
        raise UsageError(f"ranking is {' or '.join(map(repr, RANKINGS))}, got {ranking!r}")
    library()  # fail before large files are read
    if not isinstance(annotations, Annotations):
        annotations = read_annotations(annotations)
    if not isinstance(results, Results):
        results = read_results(results)
    evaluated = _evaluable(annotations, results, parts)
    image = _image_index(annotations, results)
    people = int(np.count_nonzero(~annotations.crowd))
    if not people:
        _log.warning("%s has no people (crowds do not count): there are no numbers", annotations.name)
    elif not len(results):
        _log.warning("%s has no detections: every number is 0", results.name)
    by_person = ranking == "person"
    scores = {part: score_part(part, annotations, results, image, by_person) for part in evaluated}
    return Evaluation(
        name=name or results.name,
        images=len(annotations.image_ids),
        people=people,
        detections=len(results),
        ranking=ranking,
        scores=_with_means(scores),
    )


def _fields_of(part: str) -> tuple[str, ...]:
    """Return the fields of the results that hold a part."""
    if part in FACE_BOXES:
        return ("face_box",) if part == "face_box" else ("face_kpts",)
    return PART_TYPES[part].fields


def _evaluable(annotations: Annotations, results: Results, parts: Sequence[str] | None) -> tuple[str, ...]:
    """Return the requested parts, and check that annotations and results have their fields."""
    true_fields = {part: PART_TYPES[part].fields for part in PART_TYPES}
    true_fields |= dict.fromkeys(FACE_BOXES, ("face_kpts", "face_box"))
    known = [part for part in PART_TYPES if annotations.fields.issuperset(true_fields[part])]
    if parts is None and not known:
        raise DataError(f"{annotations.name} has no keypoints, so there is nothing to evaluate")
    requested = named_parts(known if parts is None else parts)
    for part in requested:
        for side, needed in ((annotations, true_fields[part]), (results, _fields_of(part))):
            missing = [field for field in needed if field not in side.fields]
            if missing:
                able = [p for p in known if results.fields.issuperset(_fields_of(p))]
                instead = f"; choose among the parts {', '.join(able)}" if able else ""
                raise UsageError(
                    f"{side.name} has no {' and no '.join(missing)}, so {part} cannot be evaluated{instead}"
                )
    return requested


def _image_index(annotations: Annotations, results: Results) -> IntArray:
    """Return the index (D,) of each detection's image in the annotations."""
    unknown = np.setdiff1d(results.image_id, annotations.image_ids)
    if len(unknown):
        more = f" and {len(unknown) - 1} other images" if len(unknown) > 1 else ""
        raise DataError(
            f"{results.name} has detections in image {unknown[0]}{more}, which {annotations.name} does not "
            "list; evaluate results with the annotations of their own images"
        )
    return np.searchsorted(annotations.image_ids, results.image_id)


def _with_means(scores: Mapping[str, Mapping[str, float | None]]) -> dict[str, Mapping[str, float | None]]:
    """Add the rows that are means of others, and sort all in the order of reports."""
    rows = dict(scores)
    for name, of in DERIVED.items():
        if all(part in rows for part in of):
            rows[name] = {
                metric: None if None in values else float(np.mean([v for v in values if v is not None]))
                for metric in KEYPOINT_METRICS
                for values in [[rows[part][metric] for part in of]]
            }
    return {part: rows[part] for part in _ORDER if part in rows}
