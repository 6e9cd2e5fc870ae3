"""Skeletons on pictures: anti-aliased, in COCO-WholeBody's palette, as wide as the person needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from hprnet_rt import skeleton
from hprnet_rt.render.strokes import draw_people
from hprnet_rt.types import Poses

__all__ = ["Overlay", "OverlayStyle"]

Color = tuple[int, int, int]

_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_BLACK: Final = (0, 0, 0)
_WHITE: Final = (255, 255, 255)
_FAR: Final = 1 << 14  # px; a point farther out than this is not drawn


@dataclass(frozen=True)
class OverlayStyle:
    """How skeletons look.

    Attributes:
        point_threshold: points that score less are not drawn.
        hand_threshold: the same for hands, which are sometimes guessed where they are hidden: on 512
            photographs 0.3 left out half of those in wrong places, and 5% of the good ones.
        line_of_size: width of a body line in units of the person's longer side.
        max_line_px: widest body line.
        ids: people who have an id get it written above the upper left corner of their box.
        body, face, hands: whether these are drawn; feet belong to the body.
    """

    point_threshold: float = 0.2
    hand_threshold: float = 0.3
    line_of_size: float = 1 / 160
    max_line_px: int = 8
    ids: bool = True
    body: bool = True
    face: bool = True
    hands: bool = True


def _relative_width(keypoint: int) -> float:
    """Faces and hands have many points close together: thinner lines."""
    return 1.0 if keypoint < skeleton.FACE.start else 0.5


def _bgr(colors_rgb: Sequence[Color]) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(np.array(colors_rgb, np.uint8)[:, ::-1])


class Overlay:
    """Draws people onto images. Made once, then called for every frame.

    It compiles its kernel when it is made, so that no frame waits for that.

    Args:
        style: how skeletons look; may be replaced between frames, from any thread.
    """

    def __init__(self, style: OverlayStyle | None = None) -> None:
        self.style = style or OverlayStyle()
        self._table = (
            np.array(skeleton.LIMBS, np.int64),
            _bgr(skeleton.LIMB_COLORS_RGB),
            np.array([_relative_width(end) for _, end in skeleton.LIMBS], np.float32),
            _bgr(skeleton.KEYPOINT_COLORS_RGB),
            np.array([_relative_width(p) for p in range(skeleton.NUM_KEYPOINTS)], np.float32),
        )
        self.draw(np.zeros((1, 1, 3), np.uint8), Poses.empty())

    def draw(self, image: npt.NDArray[np.uint8], poses: Poses) -> None:
        """Draw everyone onto `image` (H, W, 3) uint8 BGR, in place; the strongest person comes out on top.

        Ids are above all skeletons.
        """
        style = self.style
        shown = np.zeros(poses.score.shape, np.bool_)
        for parts, wanted, least in (
            (("body", "feet"), style.body, style.point_threshold),
            (("face",), style.face, style.point_threshold),
            (("left_hand", "right_hand"), style.hands, style.hand_threshold),
        ):
            for part in map(skeleton.PARTS.__getitem__, parts):
                shown[:, part] = wanted & (poses.score[:, part] >= least)
        shown &= (np.abs(poses.xy) < _FAR).all(axis=2)  # NaN is not
        box = poses.box_xyxy
        size = np.maximum(box[:, 2] - box[:, 0], box[:, 3] - box[:, 1])
        line_px = np.clip(size * np.float32(style.line_of_size), 1.0, style.max_line_px).astype(np.float32)
        # pixel i covers [i, i + 1), while its centre is drawn at i
        draw_people(image, poses.xy - np.float32(0.5), shown, line_px, *self._table)
        if style.ids:
            for n in np.flatnonzero(shown.any(axis=1) & (poses.track_id >= 0))[::-1]:
                _write_id(image, int(poses.track_id[n]), (float(box[n, 0]), float(box[n, 1])), float(size[n]))


def _write_id(image: npt.NDArray[np.uint8], track_id: int, corner: tuple[float, float], size: float) -> None:
    """White on black, inside the image, as large as the person allows."""
    height, width = image.shape[:2]
    text, scale = str(track_id), min(1.0, max(0.4, size / 400))
    (text_width, text_height), _ = cv2.getTextSize(text, _FONT, scale, 1)
    x = round(min(max(corner[0], 0.0), max(width - text_width, 0)))
    y = round(min(max(corner[1], text_height), height))
    for color, line in ((_BLACK, 4), (_WHITE, 1)):
        cv2.putText(image, text, (x, y), _FONT, scale, color, line, cv2.LINE_AA)
