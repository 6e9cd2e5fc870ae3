"""Pictures of the people with the worst results: labels in white, detections in colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from hprnet_rt import skeleton
from hprnet_rt.evaluation.coco import Annotations, Results
from hprnet_rt.evaluation.oks import oks
from hprnet_rt.evaluation.pairs import partners
from hprnet_rt.evaluation.parts import PART_TYPES
from hprnet_rt.render import Overlay
from hprnet_rt.types import Poses
from hprnet_rt.types.coco import ABSENT_PX

__all__ = ["Case", "draw_case", "worst_people"]

ImageArray = npt.NDArray[np.uint8]
_LEAST_POINTS = 5  # labelled; fewer say little
_MARGIN = 0.2  # around the person, of the longer side
_HEIGHT_PX = 640
_WHITE = (255, 255, 255)


@dataclass(frozen=True)
class Case:
    """A true person and the detection.

    Attributes:
        image_id: id of the image in the annotations.
        file_name: of the image.
        person: row of the annotations.
        detection: row of the results; -1 if the person was missed.
        oks: of the body; 0 if the person was missed.
    """

    image_id: int
    file_name: str
    person: int
    detection: int
    oks: float


def worst_people(
    annotations: Annotations, results: Results, count: int, *, least_score: float = 0.0
) -> list[Case]:
    """Return the people with the lowest OKS of the body; among equals the largest come first.

    Args:
        annotations, results: of the same images.
        count: largest number of people.
        least_score: detections with a lower score are left out.
    """
    body = PART_TYPES["body"]
    used = np.flatnonzero(results.scores["score"] >= least_score)
    partner = partners(annotations, results, used)
    cases = []
    for n in np.flatnonzero(~annotations.crowd):
        if np.count_nonzero(annotations.labelled[n, body.points]) < _LEAST_POINTS:
            continue
        found, agreement = int(partner[n]), 0.0
        if found >= 0:
            agreement = oks(
                results.xy[[found], body.points],
                annotations.xy[[n], body.points],
                annotations.labelled[[n], body.points],
                annotations.area[[n]],
                annotations.box_xywh[[n]],
                body.sigmas,
            )[0, 0]
        image = annotations.image[n]
        cases.append(
            Case(
                int(annotations.image_ids[image]),
                annotations.file_names[image],
                int(n),
                found,
                float(agreement),
            )
        )
    return sorted(cases, key=lambda case: (case.oks, -annotations.area[case.person]))[:count]


def _poses(results: Results, rows: Sequence[int]) -> Poses:
    chosen = np.array(rows, np.int64)
    xy = results.xy[chosen].astype(np.float32)
    there = results.visible[chosen] & (xy > ABSENT_PX / 2).all(axis=2)
    xy[~there] = np.nan
    box = np.nan_to_num(results.box_xywh[chosen]).astype(np.float32)
    box[:, 2:] += box[:, :2]
    people = len(chosen)
    return Poses(
        xy,
        there.astype(np.float32),
        box,
        np.full((people, 4), np.nan, np.float32),
        np.ones(people, np.float32),
        np.full(people, -1, np.int64),
    )


def draw_case(image: ImageArray, case: Case, annotations: Annotations, results: Results) -> ImageArray:
    """Cut the person out of the image (H, W, 3) BGR, enlarge the crop, and draw labels and detection on it.

    The caption gives the OKS, or says that the person was missed.
    """
    x, y, width, height = annotations.box_xywh[case.person]
    margin = _MARGIN * max(width, height)
    left, top = (int(max(0, low - margin)) for low in (x, y))
    right = int(min(image.shape[1], x + width + margin))
    bottom = int(min(image.shape[0], y + height + margin))
    scale = _HEIGHT_PX / max(1, bottom - top)
    size = (max(1, round((right - left) * scale)), _HEIGHT_PX)
    cut = np.asarray(cv2.resize(image[top:bottom, left:right], size, interpolation=cv2.INTER_CUBIC), np.uint8)
    if case.detection >= 0:
        poses = _poses(results, [case.detection])
        poses.xy[:] = (poses.xy - (left, top)) * scale
        poses.box_xyxy[:] = poses.box_xyxy * scale
        Overlay().draw(cut, poses)
    xy = (annotations.xy[case.person] - (left, top)) * scale
    labelled = annotations.labelled[case.person]
    for start, end in skeleton.SKELETON:
        if labelled[start] and labelled[end]:
            ends = [(int(xy[k, 0]), int(xy[k, 1])) for k in (start, end)]
            cv2.line(cut, ends[0], ends[1], _WHITE, 1, cv2.LINE_AA)
    for point in np.flatnonzero(labelled):
        cv2.circle(cut, tuple(map(int, xy[point])), 4, _WHITE, 1, cv2.LINE_AA)
    caption = f"OKS {case.oks:.2f}" if case.detection >= 0 else "missed"
    for color, thickness in (((0, 0, 0), 4), (_WHITE, 1)):
        cv2.putText(cut, caption, (8, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.7, color, thickness, cv2.LINE_AA)
    return cut
