"""Image, points and boxes moved together by one affine map.

Positions are continuous as in `hprnet_rt.geometry`: a pixel i covers [i, i + 1). A map is a (2, 3) float64
matrix from image to output positions: xy_out = matrix @ (x, y, 1).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from hprnet_rt.skeleton import FLIP_INDEX, PARTS
from hprnet_rt.training.sample import BOXED_PARTS, BoolArray, FloatArray, Sample

__all__ = ["PART_POINTS", "Matrix", "clipped", "moved", "placed", "warped"]

Matrix = npt.NDArray[np.float64]
ImageArray = npt.NDArray[np.uint8]

PART_POINTS: Final[npt.NDArray[np.bool_]] = np.array(
    [[PARTS[part].start <= i < PARTS[part].stop for i in range(len(FLIP_INDEX))] for part in BOXED_PARTS]
)
"""(3, 133) which points each of the boxed parts has."""

_MIRRORED_PARTS: Final = [BOXED_PARTS.index(part) for part in ("face", "right_hand", "left_hand")]
_MIN_SIDE_PX: Final = 1.0
_MAX_SHRINK: Final = 2.0  # up to which bilinear interpolation looks at every source pixel


def placed(
    center_xy: tuple[float, float],
    zoom: float,
    output_hw: tuple[int, int],
    *,
    mirror: bool = False,
    turn_deg: float = 0.0,
) -> Matrix:
    """The map that puts a point of the image on the middle of the output.

    Args:
        center_xy: px of the image.
        zoom: output pixels per image pixel.
        output_hw: height and width of the output in px.
        mirror: swap left and right.
        turn_deg: clockwise as seen (x right, y down), after mirroring.
    """
    turn = math.radians(turn_deg)
    cos, sin = zoom * math.cos(turn), zoom * math.sin(turn)
    sign = -1.0 if mirror else 1.0
    linear = np.array([[sign * cos, -sin], [sign * sin, cos]])
    middle = np.array([output_hw[1] / 2, output_hw[0] / 2])
    return np.column_stack((linear, middle - linear @ np.asarray(center_xy, np.float64)))


def warped(image: ImageArray, matrix: Matrix, output_hw: tuple[int, int], *, smooth: bool) -> ImageArray:
    """The image under the map, bilinear, on black.

    Args:
        image: (H, W, 3).
        matrix: (2, 3).
        output_hw: height and width of the output in px.
        smooth: average over areas before shrinking more than twofold, which otherwise skips pixels.
    """
    zoom = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    shrink = int(1 / (zoom * _MAX_SHRINK)) + 1 if smooth and zoom * _MAX_SHRINK < 1 else 1
    if shrink > 1:
        height, width = image.shape[:2]
        small_wh = (max(1, width // shrink), max(1, height // shrink))
        image = np.asarray(cv2.resize(image, small_wh, interpolation=cv2.INTER_AREA), np.uint8)
        matrix = matrix @ np.diag([width / small_wh[0], height / small_wh[1], 1.0])
    # OpenCV numbers pixel centres 0, 1, 2 ..., which are our 0.5, 1.5, 2.5 ...
    centers = matrix.copy()
    centers[:, 2] += matrix[:, :2].sum(axis=1) / 2 - 0.5
    return np.asarray(cv2.warpAffine(image, centers, output_hw[::-1], flags=cv2.INTER_LINEAR), np.uint8)


def moved(
    sample: Sample,
    matrix: Matrix,
    output_hw: tuple[int, int],
    *,
    smooth: bool = False,
    least_share: float = 0.0,
) -> Sample:
    """The sample under the map, cut to the output.

    Args:
        sample: in px of its image.
        matrix: (2, 3). When it mirrors, left and right points and hands change places. When it turns, a box
            becomes the upright one around the turned box and, for people and valid parts, their labelled
            points.
        output_hw: height and width of the output in px.
        smooth: as in `warped`.
        least_share: as in `clipped`.

    Returns:
        in px of the output, as `clipped` leaves it.
    """
    xy = (sample.xy @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    box, part_box = _bound(sample.box_xyxy, matrix), _bound(sample.part_box_xyxy, matrix)
    if matrix[0, 1] or matrix[1, 0]:
        box = _around(box, xy, sample.labelled)
        for part, points in enumerate(PART_POINTS):
            seen = sample.labelled & points & sample.part_valid[:, part, None]
            part_box[:, part] = _around(part_box[:, part], xy, seen)
    labelled, valid = sample.labelled, sample.part_valid
    if np.linalg.det(matrix[:, :2]) < 0:
        flip = np.array(FLIP_INDEX)
        xy, labelled = xy[:, flip], labelled[:, flip]
        part_box, valid = part_box[:, _MIRRORED_PARTS], valid[:, _MIRRORED_PARTS]
    return clipped(
        Sample(
            image_id=sample.image_id,
            image=warped(sample.image, matrix, output_hw, smooth=smooth),
            xy=xy,
            labelled=labelled,
            box_xyxy=box,
            ignore=sample.ignore,
            part_box_xyxy=part_box,
            part_valid=valid,
        ),
        least_share=least_share,
    )


def clipped(sample: Sample, *, least_share: float = 0.0) -> Sample:
    """What is left of everyone inside the image.

    Args:
        sample: points and boxes may lie outside its image.
        least_share: people of whose box's area a smaller share is inside are to be ignored from now on.

    Points outside become unlabelled and boxes end at the image's edge. A person whose box is then narrower or
    lower than a pixel is gone, a part becomes invalid and its points unlabelled. An ignored box stays
    however small it is, unless it lies outside.
    """
    height, width = sample.image.shape[:2]
    inside = ((sample.xy >= 0) & (sample.xy < (width, height))).all(axis=2)
    limit = np.array([width, height, width, height], np.float32)
    box = np.clip(sample.box_xyxy, 0, limit)
    part_box = np.clip(sample.part_box_xyxy, 0, limit)
    size, whole = box[:, 2:] - box[:, :2], sample.box_xyxy[:, 2:] - sample.box_xyxy[:, :2]
    ignore = sample.ignore | (size.prod(axis=1) < least_share * whole.prod(axis=1))
    keep = np.where(ignore, (size > 0).all(axis=1), (size >= _MIN_SIDE_PX).all(axis=1))
    valid = sample.part_valid & (part_box[..., 2:] - part_box[..., :2] >= _MIN_SIDE_PX).all(axis=2)
    valid &= ~ignore[:, None]
    lost = np.asarray((sample.part_valid & ~valid) @ PART_POINTS) | ignore[:, None]
    return replace(
        sample,
        xy=sample.xy[keep],
        labelled=(sample.labelled & inside & ~lost)[keep],
        box_xyxy=box[keep],
        ignore=ignore[keep],
        part_box_xyxy=np.where(valid[..., None], part_box, np.float32(0))[keep],
        part_valid=valid[keep],
    )


def _bound(box_xyxy: FloatArray, matrix: Matrix) -> FloatArray:
    """Upright boxes (..., 4) around the ellipses that fill the boxes (..., 4), under the map.

    A body fills the middle of its box, not the corners: the bound of the turned corners would be up to
    twice too wide. Without a turn, and at right angles, the two are the same.
    """
    center = (box_xyxy[..., :2] + box_xyxy[..., 2:]) / 2 @ matrix[:, :2].T + matrix[:, 2]
    half = (box_xyxy[..., 2:] - box_xyxy[..., :2]) / 2
    reach = np.sqrt(np.square(half) @ np.square(matrix[:, :2]).T)
    return np.concatenate((center - reach, center + reach), axis=-1).astype(np.float32)


def _around(box_xyxy: FloatArray, xy: FloatArray, seen: BoolArray) -> FloatArray:
    """The boxes (N, 4) widened to hold the points (N, P, 2) that are seen (N, P)."""
    low = np.where(seen[..., None], xy, np.inf).min(axis=1)
    high = np.where(seen[..., None], xy, -np.inf).max(axis=1)
    widened = (np.minimum(box_xyxy[:, :2], low), np.maximum(box_xyxy[:, 2:], high))
    return np.concatenate(widened, axis=1).astype(np.float32)
