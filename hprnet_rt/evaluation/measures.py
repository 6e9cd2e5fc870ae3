"""Errors in plain units, for sets too small for average precision: matched people, OKS, PCK, NME, sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import UsageError
from hprnet_rt.evaluation.coco import Annotations, Results
from hprnet_rt.evaluation.oks import oks
from hprnet_rt.evaluation.parts import PART_TYPES, box_of_points, named_parts
from hprnet_rt.grouping.assignment import assign

__all__ = [
    "MATCH_BY",
    "SIZES_PX2",
    "Measures",
    "PartMeasures",
    "box_iou",
    "inter_ocular",
    "match_people",
    "measure",
    "nme",
    "pck",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

MATCH_BY: Final = ("oks", "box")
"""What pairs people: the OKS of the body, or the intersection over union of the boxes."""

SIZES_PX2: Final[dict[str, tuple[float, float]]] = {
    "all": (0.0, math.inf),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, math.inf),
}
"""Classes of a person's area: from (inclusive), below."""

_OUTER_EYE_CORNERS = (36, 45)  # of the 68 points


def match_people(similarity: FloatArray, least: float = 0.0) -> IntArray:
    """Pairs of people found and true ones, none twice, with the greatest sum of similarities.

    Args:
        similarity: (D, G) in [0, 1].
        least: a pair has more than this.

    Returns:
        (P, 2) row and column of each pair, by row.
    """
    cost = np.where(similarity > least, 1.0 - similarity, 1.0).astype(np.float32)
    column = assign(cost)
    rows = np.flatnonzero(column >= 0)
    return np.stack((rows, column[rows]), axis=1)


def box_iou(first_xywh: FloatArray, second_xywh: FloatArray) -> FloatArray:
    """(D, G) intersection over union of boxes (D, 4) and (G, 4); 0 with a box that is NaN or empty."""
    first, second = first_xywh[:, None], second_xywh[None]
    low = np.maximum(first[..., :2], second[..., :2])
    high = np.minimum(first[..., :2] + first[..., 2:], second[..., :2] + second[..., 2:])
    common = np.clip(high - low, 0.0, None).prod(axis=2)
    union = first[..., 2:].prod(axis=2) + second[..., 2:].prod(axis=2) - common
    overlap: FloatArray = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return overlap


def inter_ocular(face_xy: FloatArray, labelled: BoolArray) -> FloatArray:
    """(N,) px between the outer corners of the eyes of (N, 68, 2); NaN where one is not labelled."""
    left, right = _OUTER_EYE_CORNERS
    distance = np.hypot(*(face_xy[:, left] - face_xy[:, right]).T)
    return np.where(labelled[:, left] & labelled[:, right], distance, np.nan)


def pck(
    found: FloatArray, true: FloatArray, labelled: BoolArray, scale_px: FloatArray, alpha: float
) -> FloatArray:
    """Share of each person's labelled points that were found within alpha times a length.

    Args:
        found, true: (N, P, 2) px of matched people; a point found as NaN is not within.
        labelled: (N, P).
        scale_px: (N,) the length, e.g. the longer side of the person's box.
        alpha: usually 0.05 to 0.2.

    Returns:
        (N,) in [0, 1]; NaN where no point is labelled or there is no length.

    Source: Yang and Ramanan, "Articulated Human Detection with Flexible Mixtures of Parts" (2013).
    """
    with np.errstate(invalid="ignore"):
        within = np.hypot(*np.moveaxis(found - true, -1, 0)) <= alpha * scale_px[:, None]
    count = labelled.sum(axis=1)
    share = np.divide(
        (within & labelled).sum(axis=1), count, out=np.full(len(count), np.nan), where=count > 0
    )
    return np.where(np.isnan(scale_px), np.nan, share)


def nme(found: FloatArray, true: FloatArray, labelled: BoolArray, scale_px: FloatArray) -> FloatArray:
    """Mean distance of each person's points, in units of a length.

    Args:
        found, true: (N, P, 2) px of matched people.
        labelled: (N, P).
        scale_px: (N,) the length: `inter_ocular` for faces, the hand's longer side for hands.

    Returns:
        (N,) over the points that are labelled and found; NaN where there are none, or no length.
    """
    distance = np.hypot(*np.moveaxis(found - true, -1, 0))
    counts = labelled & ~np.isnan(distance)
    total, count = np.where(counts, distance, 0.0).sum(axis=1), counts.sum(axis=1)
    known = (count > 0) & (scale_px > 0)
    error: FloatArray = np.divide(total, count * scale_px, out=np.full(len(count), np.nan), where=known)
    return error


@dataclass(frozen=True)
class PartMeasures:
    """One part of the matched people of one size.

    Attributes:
        part: of `PART_TYPES`.
        size: of `SIZES_PX2`, the person's.
        people: how many have a labelled point of the part.
        matched: how many of them were found, by the whole person.
        oks: mean OKS of the matched.
        pck: mean share of points within alpha of the length that `nme` uses.
        nme: mean normalised error. The length is the distance between the outer eye corners for faces,
            the longer side of the labelled points' box for hands and feet, and of the person's box otherwise.

    Means are None over nobody.
    """

    part: str
    size: str
    people: int
    matched: int
    oks: float | None
    pck: float | None
    nme: float | None


@dataclass(frozen=True)
class Measures:
    """How well a small set was understood.

    Attributes:
        people: true ones, without crowds.
        found: how many of them were matched.
        extra: detections that no true person was matched to.
        alpha: of the PCK.
        rows: by part, then by size.
    """

    people: int
    found: int
    extra: int
    alpha: float
    rows: tuple[PartMeasures, ...]


def measure(
    annotations: Annotations,
    results: Results,
    parts: Sequence[str] | None = None,
    *,
    match_by: str = "oks",
    least_similarity: float = 0.0,
    least_score: float = 0.0,
    alpha: float = 0.1,
) -> Measures:
    """Match the people of each image one-to-one, and measure each part of the matched.

    Args:
        annotations, results: of the same images.
        parts: of `PART_TYPES`; None for those that both have.
        match_by: "oks" of the body or "box", see `MATCH_BY`. A person without labelled body points is
            matched by the box either way.
        least_similarity: matched people agree better than this.
        least_score: detections with less are left out.
        alpha: see `pck`.

    Raises:
        UsageError: there is no such part or way of matching.
    """
    if match_by not in MATCH_BY:
        raise UsageError(f"match_by is {' or '.join(map(repr, MATCH_BY))}, got {match_by!r}")
    both = annotations.fields & results.fields
    known = [name for name, part in PART_TYPES.items() if both.issuperset(part.fields)]
    wanted = named_parts(known if parts is None else parts)
    unmeasured = [part for part in wanted if part not in known]
    if unmeasured:
        raise UsageError(f"{unmeasured[0]} cannot be measured; choose among the parts {', '.join(known)}")
    used = np.flatnonzero(results.scores["score"] >= least_score)
    true = np.flatnonzero(~annotations.crowd)
    partner = partners(annotations, results, used, match_by=match_by, least=least_similarity)
    found = int(np.count_nonzero(partner[true] >= 0))
    rows = [
        row
        for part in wanted
        for row in _part_rows(annotations, results, part, true[partner[true] >= 0], partner, alpha)
    ]
    return Measures(len(true), found, len(used) - found, alpha, tuple(rows))


def partners(
    annotations: Annotations,
    results: Results,
    used: IntArray,
    *,
    match_by: str = MATCH_BY[0],
    least: float = 0.0,
) -> IntArray:
    """The detection of each true person of the same images, none twice.

    Args:
        used: rows of the results that may be taken.
        match_by, least: see `measure`.

    Returns:
        (N,) rows of the results, -1 for a person without one and for crowds.
    """
    body = PART_TYPES["body"].points
    partner = np.full(len(annotations), -1, np.int64)
    around = box_of_points(results.xy[:, body], results.visible[:, body])
    boxes = np.where(np.isnan(results.box_xywh), around, results.box_xywh)
    for image in np.unique(annotations.image):
        true = np.flatnonzero((annotations.image == image) & ~annotations.crowd)
        found = used[results.image_id[used] == annotations.image_ids[image]]
        if not len(true) or not len(found):
            continue
        similarity = box_iou(boxes[found], annotations.box_xywh[true])
        labelled = annotations.labelled[true, body]
        if match_by == "oks":
            by_oks = oks(
                results.xy[found, body],
                annotations.xy[true, body],
                labelled,
                annotations.area[true],
                annotations.box_xywh[true],
                PART_TYPES["body"].sigmas,
            )
            similarity = np.where(labelled.any(axis=1), by_oks, similarity)
        for row, column in match_people(similarity, least):
            partner[true[column]] = found[row]
    return partner


def _part_rows(
    annotations: Annotations, results: Results, part: str, matched: IntArray, partner: IntArray, alpha: float
) -> list[PartMeasures]:
    """A row for each size; `matched` are the true people who have a partner."""
    points, sigmas = PART_TYPES[part].points, PART_TYPES[part].sigmas
    has: BoolArray = np.asarray(annotations.labelled[:, points].any(axis=1))
    mine = matched[has[matched]]
    true, labelled = annotations.xy[mine, points], annotations.labelled[mine, points]
    visible = results.visible[partner[mine], points]
    found = np.where(visible[..., None], results.xy[partner[mine], points], np.nan)
    if part == "face":
        scale = inter_ocular(true, labelled)
    elif part in ("body", "whole_body"):
        scale = annotations.box_xywh[mine, 2:].max(axis=1, initial=0.0)
    else:
        scale = box_of_points(true, labelled)[:, 2:].max(axis=1, initial=0.0)
    agreement = np.array(
        [
            oks(
                found[[n]],
                true[[n]],
                labelled[[n]],
                annotations.area[mine[[n]]],
                annotations.box_xywh[mine[[n]]],
                sigmas,
            )[0, 0]
            for n in range(len(mine))
        ]
    )
    share, error = pck(found, true, labelled, scale, alpha), nme(found, true, labelled, scale)
    rows = []
    for size, (low, high) in SIZES_PX2.items():
        sized = (annotations.area >= low) & (annotations.area < high)
        everyone = np.flatnonzero(has & ~annotations.crowd & sized)
        here = np.isin(mine, everyone)
        rows.append(
            PartMeasures(
                part,
                size,
                len(everyone),
                int(np.count_nonzero(here)),
                *(_mean(values[here]) for values in (agreement, share, error)),
            )
        )
    return rows


def _mean(values: FloatArray) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None
