"""Errors in plain units, for sets too small for average precision: OKS, PCK and NME of paired people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import UsageError
from hprnet_rt.evaluation.certainty import Drawn, Reliability, count_drawn, part_scores, reliability
from hprnet_rt.evaluation.coco import Annotations, Results
from hprnet_rt.evaluation.counting import (
    VALID_COLUMN,
    MeasureOptions,
    counted_people,
    longer_side,
    people_with_valid_part,
)
from hprnet_rt.evaluation.oks import oks
from hprnet_rt.evaluation.pairs import partners
from hprnet_rt.evaluation.parts import DERIVED, PART_TYPES, named_parts

__all__ = [
    "SIZES_PX2",
    "Measures",
    "PartMeasures",
    "inter_ocular",
    "measure",
    "nme",
    "partners",
    "pck",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

SIZES_PX2: Final[dict[str, tuple[float, float]]] = {
    "all": (0.0, math.inf),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, math.inf),
}
"""Classes of a person's area: (low, high), with low <= area < high."""

_OUTER_EYE_CORNERS = (36, 45)  # of the 68 points


def inter_ocular(face_xy: FloatArray, labelled: BoolArray) -> FloatArray:
    """Return the distance (N,) in px between the outer corners of the eyes; NaN where one is not labelled.

    Args:
        face_xy: (N, 68, 2) px.
        labelled: (N, 68).
    """
    left, right = _OUTER_EYE_CORNERS
    distance = np.hypot(*(face_xy[:, left] - face_xy[:, right]).T)
    return np.where(labelled[:, left] & labelled[:, right], distance, np.nan)


def pck(
    found: FloatArray, true: FloatArray, labelled: BoolArray, scale_px: FloatArray, alpha: float
) -> FloatArray:
    """Return the share of each person's labelled points whose error is at most alpha times a length (PCK).

    Args:
        found, true: (N, P, 2) px of paired people; a point found as NaN counts as wrong.
        labelled: (N, P).
        scale_px: (N,) the length, e.g. the longer side of the person's box.
        alpha: usually 0.05 to 0.2.

    Returns:
        (N,) in [0, 1]; NaN where no point is labelled or the length is NaN.

    Source: Yang and Ramanan, "Articulated Human Detection with Flexible Mixtures of Parts" (2013).
    """
    with np.errstate(invalid="ignore"):
        within = np.hypot(*np.moveaxis(found - true, -1, 0)) <= alpha * scale_px[:, None]
    count = labelled.sum(axis=1)
    share = np.divide(
        (within & labelled).sum(axis=1), count, out=np.full(len(count), np.nan), where=count > 0
    )
    return np.where(np.isnan(scale_px), np.nan, share)


def nme(
    found: FloatArray,
    true: FloatArray,
    labelled: BoolArray,
    scale_px: FloatArray,
    *,
    missing_wrong: bool = False,
) -> FloatArray:
    """Return the mean error of each person's points, in units of a length (NME).

    Args:
        found, true: (N, P, 2) px of paired people.
        labelled: (N, P).
        scale_px: (N,) the length: `inter_ocular` for faces, the hand's longer side for hands.
        missing_wrong: a point found as NaN counts with an error of one length; otherwise it does not count.

    Returns:
        (N,); NaN where no labelled point counts, or there is no length.
    """
    distance = np.hypot(*np.moveaxis(found - true, -1, 0))
    if missing_wrong:
        distance = np.where(np.isnan(distance), scale_px[:, None], distance)
    counts = labelled & ~np.isnan(distance)
    total, count = np.where(counts, distance, 0.0).sum(axis=1), counts.sum(axis=1)
    known = (count > 0) & (scale_px > 0)
    error: FloatArray = np.divide(total, count * scale_px, out=np.full(len(count), np.nan), where=known)
    return error


@dataclass(frozen=True)
class PartMeasures:
    """The errors in one part, of people of one size.

    Attributes:
        part: of `PART_TYPES`, or "hand" for the hands of both sides.
        size: of `SIZES_PX2`, by the person's area.
        people: number of people whose part counts; for "hand" the number of hands.
        matched: number of them whose person was found.
        missing: number of them whose person was not found, or was found with none of the labelled points.
        oks: mean OKS.
        pck: mean PCK, with the length of `nme`.
        nme: mean normalised error. The length is the distance between the outer eye corners for faces, the
            longer side of the box around the labelled points for hands and feet, and the longer side of the
            person's box otherwise.
        nme_median: the median in place of the mean.

    The last four cover the people who were found, or all, see `MeasureOptions.missing_wrong`. They are None
    if nobody counts.
    """

    part: str
    size: str
    people: int
    matched: int
    missing: int
    oks: float | None
    pck: float | None
    nme: float | None
    nme_median: float | None


@dataclass(frozen=True)
class Measures:
    """The errors in a small set of images.

    Attributes:
        options: what counts.
        people: number of true people, without crowds.
        found: number of them with a detection.
        extra: number of detections without a true person.
        rows: by part, then by size.
        drawn: of faces and hands; empty if the results have no scores of points.
        reliability: by part, then by score; empty likewise.
    """

    options: MeasureOptions
    people: int
    found: int
    extra: int
    rows: tuple[PartMeasures, ...]
    drawn: tuple[Drawn, ...]
    reliability: tuple[Reliability, ...]


def measure(
    annotations: Annotations,
    results: Results,
    parts: Sequence[str] | None = None,
    options: MeasureOptions | None = None,
) -> Measures:
    """Pair the people of each image with detections, and measure the errors of each part.

    Args:
        annotations, results: of the same images.
        parts: of `PART_TYPES`; None for those that both have.
        options: what counts; None for the defaults.

    Raises:
        UsageError: a part is unknown, or a file does not have it.

    If both hands are measured, there are also rows for the hands of both sides together.
    """
    options = options or MeasureOptions()
    both = annotations.fields & results.fields
    known = [name for name, part in PART_TYPES.items() if both.issuperset(part.fields)]
    measured = named_parts(known if parts is None else parts)
    unmeasured = [part for part in measured if part not in known]
    if unmeasured:
        raise UsageError(f"{unmeasured[0]} cannot be measured; choose among the parts {', '.join(known)}")
    used = np.flatnonzero(results.scores["score"] >= options.least_score)
    partner = partners(annotations, results, used, pair_by=options.pair_by)
    errors = {part: _errors(annotations, results, part, partner, options) for part in measured}
    rows = [row for part, part_errors in _with_hands(errors) for row in _part_rows(part, part_errors)]
    scored = [part for part in measured if part in VALID_COLUMN] if results.has_point_scores else []
    people = np.flatnonzero(~annotations.crowd)
    met = partner[partner >= 0]
    return Measures(
        options=options,
        people=len(people),
        found=len(met),
        extra=len(used) - len(np.unique(met)),
        rows=tuple(rows),
        drawn=tuple(_drawn_rows(annotations, results, scored, partner, options)),
        reliability=tuple(
            row
            for part in scored
            for row in reliability(annotations, results, part, errors[part].people, partner)
        ),
    )


@dataclass(frozen=True, eq=False)
class _Errors:
    """The errors in one part of the n people of whom it counts.

    Attributes:
        people: (n,) rows of the annotations.
        area: (n,) px^2 of the person.
        matched: (n,) the person was found.
        missing: (n,) none of the part's labelled points was found.
        oks, pck, nme: (n,) NaN where the person does not count.
    """

    people: IntArray
    area: FloatArray
    matched: BoolArray
    missing: BoolArray
    oks: FloatArray
    pck: FloatArray
    nme: FloatArray


def _errors(
    annotations: Annotations, results: Results, part: str, partner: IntArray, options: MeasureOptions
) -> _Errors:
    points, sigmas = PART_TYPES[part].points, PART_TYPES[part].sigmas
    people = np.flatnonzero(counted_people(annotations, part, options))
    true, labelled = annotations.xy[people, points], annotations.labelled[people, points]
    matched = partner[people] >= 0
    detections = partner[people[matched]]
    seen = results.visible[detections, points][..., None]
    found = np.full(true.shape, np.nan)
    found[matched] = np.where(seen, results.xy[detections, points], np.nan)
    if part == "face":
        scale = inter_ocular(true, labelled)
    elif part in ("body", "whole_body"):
        scale = annotations.box_xywh[people, 2:].max(axis=1, initial=0.0)
    else:
        scale = longer_side(true, labelled)
    agreement = np.array(
        [
            oks(
                found[[n]],
                true[[n]],
                labelled[[n]],
                annotations.area[people[[n]]],
                annotations.box_xywh[people[[n]]],
                sigmas,
            )[0, 0]
            for n in range(len(people))
        ]
    )
    share = pck(found, true, labelled, scale, options.alpha)
    error = nme(found, true, labelled, scale, missing_wrong=options.missing_wrong)
    if not options.missing_wrong:
        for values in (agreement, share, error):
            values[~matched] = np.nan
    missing = ~(labelled & ~np.isnan(found[..., 0])).any(axis=1)
    return _Errors(
        people=people,
        area=annotations.area[people],
        matched=matched,
        missing=missing,
        oks=agreement,
        pck=share,
        nme=error,
    )


def _with_hands(errors: dict[str, _Errors]) -> list[tuple[str, _Errors]]:
    """Return the errors by part, and after the two hands those of both hands together."""
    rows = list(errors.items())
    if errors.keys() >= set(DERIVED["hand"]):
        sides = [errors[side] for side in DERIVED["hand"]]
        columns = zip(*(vars(side).values() for side in sides), strict=True)
        behind = list(errors).index(DERIVED["hand"][-1]) + 1
        rows.insert(behind, ("hand", _Errors(*map(np.concatenate, columns))))
    return rows


def _part_rows(part: str, errors: _Errors) -> list[PartMeasures]:
    """Return one row for each size."""
    rows = []
    for size, (low, high) in SIZES_PX2.items():
        here = (errors.area >= low) & (errors.area < high)
        known = {
            name: values[here & ~np.isnan(values)]
            for name, values in (("oks", errors.oks), ("pck", errors.pck), ("nme", errors.nme))
        }
        means = {name: float(values.mean()) if values.size else None for name, values in known.items()}
        rows.append(
            PartMeasures(
                part=part,
                size=size,
                people=int(np.count_nonzero(here)),
                matched=int(np.count_nonzero(here & errors.matched)),
                missing=int(np.count_nonzero(here & errors.missing)),
                **means,
                nme_median=float(np.median(known["nme"])) if known["nme"].size else None,
            )
        )
    return rows


def _drawn_rows(
    annotations: Annotations,
    results: Results,
    parts: Sequence[str],
    partner: IntArray,
    options: MeasureOptions,
) -> list[Drawn]:
    """Return one row for each of these faces and hands, and one for the hands of both sides."""
    columns = {}
    for part in parts:
        scores = part_scores(results, partner, part)
        labelled = counted_people(annotations, part, options)
        invalid = ~people_with_valid_part(annotations, part) & ~annotations.crowd & ~annotations.body_only
        columns[part] = (scores, labelled, invalid)
    rows = []
    if "face" in columns:
        rows.append(count_drawn("face", *columns["face"], options.face_drawn))
    hands = {side: columns[side] for side in DERIVED["hand"] if side in columns}
    rows += [count_drawn(side, *column, options.hand_drawn) for side, column in hands.items()]
    if len(hands) > 1:
        scores, labelled, invalid = (np.concatenate(columns) for columns in zip(*hands.values(), strict=True))
        rows.append(count_drawn("hand", scores, labelled, invalid, options.hand_drawn))
    return rows
