"""Where OpenPose looks for the hands and the face of a person, and what it finds there.

Source: Simon et al., "Hand Keypoint Detection in Single Images using Multiview Bootstrapping" (2017); the
rules of Hzzone's pytorch-openpose (hands) and of controlnet_aux (faces). Here each point keeps its place
among the others where one is not found; in the original all later ones of a face move up.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from hprnet_rt.grouping.compiled import kernel
from hprnet_rt.grouping.rivals.body18 import smoothed

__all__ = ["FACE_POINTS", "HAND_POINTS", "Crop", "face_crops", "face_points", "hand_crops", "hand_points"]

FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]

HAND_POINTS: Final = 21
FACE_POINTS: Final = 68  # of 70; the last two are the pupils
_ARMS: Final = ((7, 6, 5, True), (4, 3, 2, False))  # wrist, elbow, shoulder; left
_NOSE: Final = 0
_EYES, _EARS = (14, 15), (16, 17)
_BEYOND: Final = 0.33  # how far a hand's centre lies behind the wrist, in forearms
_HAND_SIZE, _UPPER_ARM = 1.5, 0.9
_EYE_SIZE, _EAR_SIZE = 3.0, 1.5
_SMALLEST_PX: Final = 20
_VALUE: Final = 0.05  # least value of a point


class Crop(NamedTuple):
    """A square of an image, in px.

    Attributes:
        x, y, side: of the square.
        is_left: of a hand: it is the left one.
    """

    x: int
    y: int
    side: int
    is_left: bool = False


def hand_crops(body: DoubleArray, image_hw: tuple[int, int]) -> list[Crop]:
    """Return the squares of a person's hands whose arms were found, the left one first.

    Args:
        body: (18, 2) in px, NaN where absent.
        image_hw: of the image, in which the squares lie.
    """
    height, width = image_hw
    found = []
    for wrist, elbow, shoulder, is_left in _ARMS:
        arm = body[[wrist, elbow, shoulder]]
        if not np.isfinite(arm).all():
            continue
        centre = arm[0] + _BEYOND * (arm[0] - arm[1])
        forearm, upper = np.linalg.norm(arm[0] - arm[1]), np.linalg.norm(arm[1] - arm[2])
        side = _HAND_SIZE * max(forearm, _UPPER_ARM * upper)
        x, y = np.maximum(centre - side / 2, 0)
        fits = (width - x if x + side > width else side, height - y if y + side > height else side)
        if min(fits) >= _SMALLEST_PX:
            found.append(Crop(int(x), int(y), int(min(fits)), is_left))
    return found


def face_crops(body: DoubleArray, image_hw: tuple[int, int]) -> list[Crop]:
    """Return the square of a person's face, if the nose and an eye or ear were found; see `hand_crops`."""
    height, width = image_hw
    if not np.isfinite(body[_NOSE]).all():
        return []
    reach = 0.0
    for parts, size in ((_EYES, _EYE_SIZE), (_EARS, _EAR_SIZE)):
        for part in parts:
            away = np.abs(body[_NOSE] - body[part]).max()
            if np.isfinite(away):
                reach = max(reach, size * float(away))
    if reach == 0.0:
        return []
    x, y = np.maximum(body[_NOSE] - reach, 0)
    fits = (
        width - x if x + reach > width else 2 * reach,
        height - y if y + reach > height else 2 * reach,
    )
    if min(fits) < _SMALLEST_PX:
        return []
    return [Crop(int(x), int(y), int(min(fits)))]


def hand_points(heat: npt.NDArray[Any]) -> DoubleArray:
    """Return the points (21, 3) of a hand in heat-maps (21 or more, H, W): x, y, value; NaN where absent.

    A point is the strongest pixel of the region, among those above a threshold after smoothing, whose values
    have the largest sum.
    """
    points = np.full((HAND_POINTS, 3), np.nan)
    for part, values in enumerate(heat[:HAND_POINTS]):
        mask = (smoothed(values) > _VALUE).astype(np.uint8)
        count, regions = cv2.connectedComponents(mask, connectivity=8)
        if count < 2:
            continue
        sums = np.bincount(regions.ravel(), np.asarray(values, np.float64).ravel(), count)
        strongest = 1 + int(np.argmax(sums[1:]))
        y, x = np.unravel_index(np.argmax(np.where(regions == strongest, values, 0)), values.shape)
        points[part] = x, y, values[y, x]
    return points


@kernel
def _face_points(low: FloatArray, height: int, width: int) -> DoubleArray:
    """Return the strongest pixel (C, 3) of each map enlarged to (height, width), corner to corner."""
    rows, columns = low.shape[1:]
    found = np.full((len(low), 3), np.nan)
    step_y = (rows - 1) / max(height - 1, 1)
    step_x = (columns - 1) / max(width - 1, 1)
    for part in range(len(low)):
        best = _VALUE
        for y in range(height):
            row = min(int(y * step_y), max(rows - 2, 0))
            below, v = min(row + 1, rows - 1), y * step_y - row
            for x in range(width):
                column = min(int(x * step_x), max(columns - 2, 0))
                right, u = min(column + 1, columns - 1), x * step_x - column
                value = (1 - v) * ((1 - u) * low[part, row, column] + u * low[part, row, right]) + v * (
                    (1 - u) * low[part, below, column] + u * low[part, below, right]
                )
                if value > best:
                    best = value
                    found[part, 0], found[part, 1], found[part, 2] = x, y, value
    return found


def face_points(low: FloatArray, crop_hw: tuple[int, int]) -> DoubleArray:
    """Return the points (C, 3) of a face in heat-maps (C, h, w): x, y in the crop, value; NaN if absent."""
    return _face_points(np.ascontiguousarray(low), *crop_hw)
