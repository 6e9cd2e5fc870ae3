"""One evaluator for every part."""

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
"""Which score ranks the detections of a part."""

_ORDER: Final = (
    *("body", "foot", "face", "left_hand", "right_hand", "hand", "whole_body", "wholebody_mean"),
    *FACE_BOXES,
)


@dataclass(frozen=True)
class Evaluation:
    """How well some results agree with the annotations.

    Attributes:
        name: what was evaluated.
        images, people, detections: how many there were; people without crowds.
        ranking: which score ranked the detections of a part, see `evaluate`.
        scores: by part, in the order of reports, and metric: `KEYPOINT_METRICS`, for face boxes
            `BOX_METRICS`. In [0, 1]; None where no labelled person is of that part and size. "hand" and
            "wholebody_mean" are there when all that they are means of is.
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
    """Average precision and recall of each part, as COCO-WholeBody counts them.

    Args:
        annotations: see `read_annotations`.
        results: see `read_results`.
        parts: of `PART_TYPES` and `FACE_BOXES`, or "hand" for both hands; None for the part types that the
            annotations have.
        ranking: "part" ranks feet, faces, hands and whole bodies by their own score (`foot_score` ...)
            where a detection has one, and else by `score`, as COCO-WholeBody's code does; "person" ranks all
            by `score`, as HPRNet's released results did, which have no scores of their own.
        name: what to call it; None for the results' name.

    Raises:
        DataError: a file is not what it must be, or the results are of other images.
        UsageError: no such part or ranking, or the files lack a field of a part.
        BackendError: faster-coco-eval is not installed.

    An image's detections beyond the 20 strongest (100 for face boxes) do not count. People who are crowds or
    have no labelled point of a part are ignored there, with whatever was found on them. The area that
    scales OKS and sorts people into medium (32^2 to 96^2 px^2) and large is the whole person's; that of a
    detection is its `bbox`'s, or that of the box around its body points. `*_valid` flags do not count.
    """
    if ranking not in RANKINGS:
        raise UsageError(f"ranking is {' or '.join(map(repr, RANKINGS))}, got {ranking!r}")
    library()  # before files are read for it in vain
    if not isinstance(annotations, Annotations):
        annotations = read_annotations(annotations)
    if not isinstance(results, Results):
        results = read_results(results)
    wanted = _evaluable(annotations, results, parts)
    image = _image_index(annotations, results)
    people = int(np.count_nonzero(~annotations.crowd))
    if not people:
        _log.warning("%s has no people (crowds do not count): there are no numbers", annotations.name)
    elif not len(results):
        _log.warning("%s has no detections: every number is 0", results.name)
    by_person = ranking == "person"
    scores = {part: score_part(part, annotations, results, image, by_person) for part in wanted}
    return Evaluation(
        name or results.name,
        len(annotations.image_ids),
        people,
        len(results),
        ranking,
        _with_means(scores),
    )


def _fields_of(part: str) -> tuple[str, ...]:
    """Fields of the results that a part is read from."""
    if part in FACE_BOXES:
        return ("face_box",) if part == "face_box" else ("face_kpts",)
    return PART_TYPES[part].fields


def _evaluable(annotations: Annotations, results: Results, parts: Sequence[str] | None) -> tuple[str, ...]:
    """The parts that are asked for, for which both sides have the fields."""
    true_fields = {part: PART_TYPES[part].fields for part in PART_TYPES}
    true_fields |= dict.fromkeys(FACE_BOXES, ("face_kpts", "face_box"))
    known = [part for part in PART_TYPES if annotations.fields.issuperset(true_fields[part])]
    if parts is None and not known:
        raise DataError(f"{annotations.name} has no keypoints, so there is nothing to evaluate")
    wanted = named_parts(known if parts is None else parts)
    for part in wanted:
        for side, needed in ((annotations, true_fields[part]), (results, _fields_of(part))):
            missing = [field for field in needed if field not in side.fields]
            if missing:
                able = [p for p in known if results.fields.issuperset(_fields_of(p))]
                instead = f"; choose among the parts {', '.join(able)}" if able else ""
                raise UsageError(
                    f"{side.name} has no {' and no '.join(missing)}, so {part} cannot be evaluated{instead}"
                )
    return wanted


def _image_index(annotations: Annotations, results: Results) -> IntArray:
    """(D,) index into the annotations' images of each detection's."""
    unknown = np.setdiff1d(results.image_id, annotations.image_ids)
    if len(unknown):
        more = f" and {len(unknown) - 1} other images" if len(unknown) > 1 else ""
        raise DataError(
            f"{results.name} has detections in image {unknown[0]}{more}, which {annotations.name} does not "
            "list; evaluate results with the annotations of their own images"
        )
    return np.searchsorted(annotations.image_ids, results.image_id)


def _with_means(scores: Mapping[str, Mapping[str, float | None]]) -> dict[str, Mapping[str, float | None]]:
    """The rows, and those that are means of them, in the order of reports."""
    rows = dict(scores)
    for name, of in DERIVED.items():
        if all(part in rows for part in of):
            rows[name] = {
                metric: None if None in values else float(np.mean([v for v in values if v is not None]))
                for metric in KEYPOINT_METRICS
                for values in [[rows[part][metric] for part in of]]
            }
    return {part: rows[part] for part in _ORDER if part in rows}
