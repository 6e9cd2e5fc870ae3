"""Transform image, points and boxes together by one affine map.

Positions are continuous, as in `hprnet_rt.geometry`: pixel i covers [i, i + 1). A map is a (2, 3) float64
matrix from image positions to output positions: xy_out = matrix @ (x, y, 1).
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

__all__ = ["PART_POINTS", "Matrix", "clip_sample", "placement_matrix", "transform_sample", "warp_image"]

Matrix = npt.NDArray[np.float64]
ImageArray = npt.NDArray[np.uint8]

PART_POINTS: Final[npt.NDArray[np.bool_]] = np.array(
    [[PARTS[part].start <= i < PARTS[part].stop for i in range(len(FLIP_INDEX))] for part in BOXED_PARTS]
)
"""(3, 133) True where the point belongs to the part, in the order of `BOXED_PARTS`."""

_MIRRORED_PARTS: Final = [BOXED_PARTS.index(part) for part in ("face", "right_hand", "left_hand")]
_MIN_SIDE_PX: Final = 1.0
_MAX_SHRINK: Final = 2.0  # bilinear interpolation skips source pixels when it shrinks by more


def placement_matrix(
    center_xy: tuple[float, float],
    zoom: float,
    output_hw: tuple[int, int],
    *,
    mirror: bool = False,
    turn_deg: float = 0.0,
) -> Matrix:
    """Return the (2, 3) map that puts a point of the image at the centre of the output.

    Args:
        center_xy: the point, in px of the image.
        zoom: output pixels per image pixel.
        output_hw: height and width of the output in px.
        mirror: swap left and right.
        turn_deg: rotation, clockwise as seen (x right, y down), after mirroring.
    """
    turn = math.radians(turn_deg)
    cos, sin = zoom * math.cos(turn), zoom * math.sin(turn)
    sign = -1.0 if mirror else 1.0
    linear = np.array([[sign * cos, -sin], [sign * sin, cos]])
    middle = np.array([output_hw[1] / 2, output_hw[0] / 2])
    return np.column_stack((linear, middle - linear @ np.asarray(center_xy, np.float64)))


def warp_image(image: ImageArray, matrix: Matrix, output_hw: tuple[int, int], *, smooth: bool) -> ImageArray:
    """Warp an image by bilinear interpolation, on a black background.

    Args:
        image: (H, W, 3).
        matrix: (2, 3) map from image to output.
        output_hw: height and width of the output in px.
        smooth: average over areas first when the image shrinks more than twofold; otherwise pixels are
            skipped.
    """
    zoom = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    shrink = int(1 / (zoom * _MAX_SHRINK)) + 1 if smooth and zoom * _MAX_SHRINK < 1 else 1
    if shrink > 1:
        height, width = image.shape[:2]
        small_wh = (max(1, width // shrink), max(1, height // shrink))
        image = np.asarray(cv2.resize(image, small_wh, interpolation=cv2.INTER_AREA), np.uint8)
        matrix = matrix @ np.diag([width / small_wh[0], height / small_wh[1], 1.0])
    # OpenCV counts pixel centres 0, 1, 2 ..., which are 0.5, 1.5, 2.5 ... here
    centers = matrix.copy()
    centers[:, 2] += matrix[:, :2].sum(axis=1) / 2 - 0.5
    return np.asarray(cv2.warpAffine(image, centers, output_hw[::-1], flags=cv2.INTER_LINEAR), np.uint8)


def transform_sample(
    sample: Sample,
    matrix: Matrix,
    output_hw: tuple[int, int],
    *,
    smooth: bool = False,
    least_share: float = 0.0,
) -> Sample:
    """Transform a sample by the map and clip it to the output.

    Args:
        sample: in px of its image.
        matrix: (2, 3) map. If it mirrors, left and right points and hands are exchanged. If it rotates, each
            box becomes an upright box around the rotated box and, for people and valid parts, around their
            labelled points.
        output_hw: height and width of the output in px.
        smooth: see `warp_image`.
        least_share: see `clip_sample`.

    Returns:
        the sample in px of the output, clipped by `clip_sample`.
    """
    xy = (sample.xy @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    box, part_box = _bounding_boxes(sample.box_xyxy, matrix), _bounding_boxes(sample.part_box_xyxy, matrix)
    if matrix[0, 1] or matrix[1, 0]:
        box = _widen_boxes(box, xy, sample.labelled)
        for part, points in enumerate(PART_POINTS):
            seen = sample.labelled & points & sample.part_valid[:, part, None]
            part_box[:, part] = _widen_boxes(part_box[:, part], xy, seen)
    labelled, valid, absent = sample.labelled, sample.part_valid, sample.part_absent
    if np.linalg.det(matrix[:, :2]) < 0:
        flip = np.array(FLIP_INDEX)
        xy, labelled = xy[:, flip], labelled[:, flip]
        part_box = part_box[:, _MIRRORED_PARTS]
        valid, absent = valid[:, _MIRRORED_PARTS], absent[:, _MIRRORED_PARTS]
    return clip_sample(
        Sample(
            image_id=sample.image_id,
            image=warp_image(sample.image, matrix, output_hw, smooth=smooth),
            xy=xy,
            labelled=labelled,
            box_xyxy=box,
            ignore=sample.ignore,
            part_box_xyxy=part_box,
            part_valid=valid,
            part_absent=absent,
        ),
        least_share=least_share,
    )


def clip_sample(sample: Sample, *, least_share: float = 0.0) -> Sample:
    """Clip a sample's points and boxes to its image.

    Args:
        sample: its points and boxes may lie outside the image.
        least_share: a person is marked as ignored if a smaller share of the box's area is inside.

    Points outside the image become unlabelled, and boxes end at its edge. If a box is then less than a pixel
    wide or high, a person is removed, and a part becomes invalid and its points unlabelled. An ignored box of
    any size stays, unless it lies entirely outside.
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
        part_absent=(sample.part_absent & ~ignore[:, None])[keep],
    )


def _bounding_boxes(box_xyxy: FloatArray, matrix: Matrix) -> FloatArray:
    """Return upright boxes (..., 4) around the transformed ellipses inscribed in the boxes (..., 4).

    A body fills the middle of its box, not the corners: a box around the rotated corners would be up to
    twice too wide. For rotations by multiples of 90 degrees both give the same box.
    """
    center = (box_xyxy[..., :2] + box_xyxy[..., 2:]) / 2 @ matrix[:, :2].T + matrix[:, 2]
    half = (box_xyxy[..., 2:] - box_xyxy[..., :2]) / 2
    reach = np.sqrt(np.square(half) @ np.square(matrix[:, :2]).T)
    return np.concatenate((center - reach, center + reach), axis=-1).astype(np.float32)


def _widen_boxes(box_xyxy: FloatArray, xy: FloatArray, seen: BoolArray) -> FloatArray:
    """Widen the boxes (N, 4) so that they contain the points (N, P, 2) where `seen` (N, P) is True."""
    low = np.where(seen[..., None], xy, np.inf).min(axis=1)
    high = np.where(seen[..., None], xy, -np.inf).max(axis=1)
    widened = (np.minimum(box_xyxy[:, :2], low), np.maximum(box_xyxy[:, 2:], high))
    return np.concatenate(widened, axis=1).astype(np.float32)
