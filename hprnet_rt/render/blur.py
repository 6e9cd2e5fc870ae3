"""Faces made unrecognisable. Where that is in doubt, too much is blurred."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from hprnet_rt import skeleton
from hprnet_rt.types import POINT_THRESHOLD, Frame, Planes, Poses

__all__ = ["FaceBlur", "head_boxes"]

FloatArray = npt.NDArray[np.float32]
ByteArray = npt.NDArray[np.uint8]

_HEAD: Final = slice(0, 5)  # nose, eyes and ears
_SHOULDERS: Final = [skeleton.index("left_shoulder"), skeleton.index("right_shoulder")]
_LEAST_JOINTS: Final = 2  # sure ones, of which a head is made
_MARGIN: Final = 0.35  # of a head's size, on each side of its points
_OF_SHOULDERS: Final = 0.7  # a head's height in widths of the shoulders
_OF_PERSON: Final = 0.16  # a head's least height in units of the person's box
_UPPER: Final = 1 / 3  # of a person's box, where a head is when nothing of it is known
_CELLS: Final = 6  # that are left of a face along its longer side
_HOLD_S: Final = 1.0


class FaceBlur:
    """Blurs the face of everyone who is found, onto the frame's own image. Use one for each video.

    A face is blurred where the model sees one or not: a head that looks away too, and the upper part of a
    person of whose head nothing is sure. Where a person is lost, the place stays blurred for a second. Who is
    not found is not blurred, nor is somebody in the frames before they are found: look at the result before
    you show it, and load the model with a lower `threshold` to find more people.

    Args:
        hold_s: how long a place stays blurred after its person was seen last.

    Examples:
        >>> blur = hprnet_rt.FaceBlur()
        >>> with hprnet_rt.stream("video.mp4") as video:
        ...     for frame, poses in video:
        ...         blur(frame, poses)
    """

    def __init__(self, hold_s: float = _HOLD_S) -> None:
        self._hold_s = hold_s
        self._held: list[tuple[float, int, FloatArray]] = []  # when it was seen, the person's id, the box

    def __call__(self, frame: Frame, poses: Poses) -> None:
        """Blur everyone's face in `frame.image`, (H, W, 3) uint8."""
        for box in self._boxes(frame.captured_s if frame.pts_s is None else frame.pts_s, poses):
            _blur(frame.image, box)

    def draw_planes(self, planes: Planes, at_s: float, poses: Poses, /) -> None:
        """Blur everyone's face in a frame's planes; see `draws_planes`."""
        for box in self._boxes(at_s, poses):
            _blur(planes.y, box)
            outward = np.concatenate((np.floor(box[:2] / 2), np.ceil(box[2:] / 2)))
            _blur(planes.u, outward)
            _blur(planes.v, outward)

    def _boxes(self, now_s: float, poses: Poses) -> list[FloatArray]:
        """Return what is blurred at this time."""
        ids = poses.track_id.tolist()
        seen = set(ids) - {-1}
        self._held = [
            each for each in self._held if 0.0 <= now_s - each[0] <= self._hold_s and each[1] not in seen
        ]
        self._held += [(now_s, track_id, box) for track_id, box in zip(ids, head_boxes(poses), strict=True)]
        return [box for _, _, box in self._held]


def head_boxes(poses: Poses) -> FloatArray:
    """Return a box (N, 4) xyxy px around each person's head, rather too large than too small."""
    boxes = np.empty((len(poses), 4), np.float32)
    for n in range(len(poses)):
        boxes[n] = _head_box(poses, n)
    return boxes


def _head_box(poses: Poses, n: int) -> FloatArray:
    x1, y1, x2, y2 = poses.box_xyxy[n]
    xy, score = poses.xy[n], poses.score[n]
    sure = score[_HEAD] >= POINT_THRESHOLD
    points = [xy[_HEAD][score[_HEAD] > 0]]
    face = score[skeleton.FACE]
    if face.mean() >= POINT_THRESHOLD:
        points.append(xy[skeleton.FACE][face > 0])
    if np.isfinite(poses.face_xyxy[n]).all():
        points.append(poses.face_xyxy[n].reshape(2, 2))
    if np.count_nonzero(sure) < _LEAST_JOINTS:
        points.append(np.array([(x1, y1), (x2, y1 + _UPPER * (y2 - y1))], np.float32))
    every = np.concatenate(points)
    low, high = every.min(axis=0), every.max(axis=0)
    least = _OF_PERSON * max(x2 - x1, y2 - y1)
    if (score[_SHOULDERS] >= POINT_THRESHOLD).all():
        least = max(least, _OF_SHOULDERS * np.hypot(*(xy[_SHOULDERS[0]] - xy[_SHOULDERS[1]])))
    size = max(least, *(high - low))
    middle, half = (low + high) / 2, np.maximum(high - low, size) / 2 + _MARGIN * size
    return np.concatenate((middle - half, middle + half)).astype(np.float32)


def _blur(image: ByteArray, box: FloatArray) -> None:
    """Leave of a rectangle what a few cells hold; nothing where it lies outside the image."""
    height, width = image.shape[:2]
    x1, y1 = np.clip(np.floor(box[:2]), 0, (width, height)).astype(int)
    x2, y2 = np.clip(np.ceil(box[2:]), 0, (width, height)).astype(int)
    if x1 >= x2 or y1 >= y2:
        return
    region = image[y1:y2, x1:x2]
    longer = max(region.shape[:2])
    cells = [max(1, round(_CELLS * side / longer)) for side in (x2 - x1, y2 - y1)]
    small = cv2.resize(region, cells, interpolation=cv2.INTER_AREA)
    image[y1:y2, x1:x2] = cv2.resize(small, (x2 - x1, y2 - y1), interpolation=cv2.INTER_LINEAR)
