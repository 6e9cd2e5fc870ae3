"""Conversion of `Poses` to COCO-WholeBody's results format, for `read_results` and other evaluators."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TextIO

import numpy as np

from hprnet_rt.evaluation.coco import FACE_BOX_SCORE
from hprnet_rt.evaluation.parts import PART_TYPES, PartType
from hprnet_rt.files import PartialFile, output_errors
from hprnet_rt.types import Poses

__all__ = ["ABSENT_PX", "SINGLE_PARTS", "dump_results", "to_results", "write_results"]

ABSENT_PX: Final = -1e5
"""x and y of a point that was not found."""

SINGLE_PARTS: Final = ("body", "foot", "face", "left_hand", "right_hand")
"""Parts such that each point is in exactly one of them."""

_DECIMALS = 3  # of positions in px
_POINT_DIGITS = 6  # of a point's score; enough that comparing the mean of 68 with a threshold gives the same


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
        for part in (PART_TYPES[name] for name in parts):
            scores = poses.score[n, part.points]
            detection[part.fields[0]] = _triples(xy[n], scores, part)
            if part.score_field != "score":
                detection[part.score_field] = _digits(person_score * float(scores.mean()), 9)
        if "face" in parts and not np.isnan(faces[n]).any():
            detection["face_box"] = faces[n].tolist()
            detection[FACE_BOX_SCORE] = detection[PART_TYPES["face"].score_field]
        results.append(detection)
    return results


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
    part: PartType,
) -> list[float]:
    points = zip(xy[part.points].tolist(), scores.tolist(), strict=True)
    return [number for (x, y), score in points for number in (x, y, _digits(score, _POINT_DIGITS))]


def dump_results(out: TextIO, results: Iterable[Mapping[str, Any]]) -> int:
    """Write detections to an open file as `write_results` does, and return their number.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    count = 0
    out.write("[")
    for result in results:
        out.write(",\n" if count else "\n")
        out.write(json.dumps(result, allow_nan=False, separators=(",", ":")))
        count += 1
    out.write("\n]\n")
    return count


def write_results(path: str | Path, results: Iterable[Mapping[str, Any]]) -> int:
    """Write detections as a JSON list, one per line. The file appears when it is complete.

    Args:
        path: of the file, in an existing folder; an existing file is replaced.
        results: of any number of images, read one by one.

    Returns:
        the number of detections.

    Raises:
        OutputError: the file cannot be written.
        ValueError: a number is NaN or infinite.
    """
    file = PartialFile(Path(path))
    file.create()
    try:
        with output_errors(file.path), file.partial.open("w", encoding="utf-8") as out:
            count = dump_results(out, results)
    except BaseException:
        file.partial.unlink(missing_ok=True)
        raise
    file.commit()
    return count
