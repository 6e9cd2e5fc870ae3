"""Skeletons on pictures: anti-aliased, in COCO-WholeBody's palette, as wide as the person needs."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hprnet_rt import skeleton
from hprnet_rt.errors import ShapeError, UsageError
from hprnet_rt.render.labels import draw_digits, draw_ids
from hprnet_rt.render.lanes import lane_colors
from hprnet_rt.render.strokes import draw_people
from hprnet_rt.types import HAND_THRESHOLD, POINT_THRESHOLD, Poses, sure_scores

__all__ = ["Overlay", "OverlayStyle"]

Color = tuple[int, int, int]

_UNREFINED_HAND: Final = 0.3


@dataclass(frozen=True)
class OverlayStyle:
    """How skeletons look.

    Attributes:
        point_threshold: points that score less are not drawn, nor is a face whose points do in the mean.
        hand_threshold: the same for hands and their points.
        line_of_size: width of a body line in units of the person's longer side.
        max_line_px: widest body line.
        ids: people who have an id get it written above the upper left corner of their box.
        body, face, hands: whether these are drawn; feet belong to the body.
    """

    point_threshold: float = POINT_THRESHOLD
    hand_threshold: float = HAND_THRESHOLD
    line_of_size: float = 1 / 160
    max_line_px: int = 8
    ids: bool = True
    body: bool = True
    face: bool = True
    hands: bool = True

    @classmethod
    def of_model(cls, *, refined: bool, point_threshold: float | None = None) -> OverlayStyle:
        """Return the style for a model.

        Args:
            refined: the model's points have a confidence each. Without, a point of a hand scores what the
                hand's centre does, which is sometimes guessed where it is hidden: on 512 photographs 0.3 left
                out half of those in wrong places, and 5% of the good ones.
            point_threshold: for all points, those of hands too, in place of the usual ones.

        Raises:
            UsageError: the threshold is not from 0 to 1.
        """
        if point_threshold is not None:
            if not 0.0 <= point_threshold <= 1.0:
                raise UsageError(f"the point threshold is a score from 0 to 1, got {point_threshold}")
            return cls(point_threshold=point_threshold, hand_threshold=point_threshold)
        return cls() if refined else cls(hand_threshold=_UNREFINED_HAND)


def _relative_width(keypoint: int) -> float:
    """Faces and hands have many points close together: thinner lines."""
    return 1.0 if keypoint < skeleton.FACE.start else 0.5


@functools.lru_cache(maxsize=8)
def _least_scores(style: OverlayStyle) -> npt.NDArray[np.float32]:
    """(133,) score from which a point is drawn; infinite where its part is not wanted."""
    least = np.full(skeleton.NUM_KEYPOINTS, np.inf, np.float32)
    for parts, wanted, score in (
        (("body", "feet"), style.body, style.point_threshold),
        (("face",), style.face, style.point_threshold),
        (("left_hand", "right_hand"), style.hands, style.hand_threshold),
    ):
        for part in parts if wanted else ():
            least[skeleton.PARTS[part]] = score
    return least


def _lanes(colors_rgb: Sequence[Color]) -> npt.NDArray[np.uint8]:
    return lane_colors(np.array(colors_rgb, np.uint8)[:, ::-1])


class Overlay:
    """Draws people onto images. Made once, then called for every frame.

    It compiles its kernels when it is made, so that no frame waits for that.

    Args:
        style: how skeletons look; may be replaced between frames, from any thread.
    """

    def __init__(self, style: OverlayStyle | None = None) -> None:
        self.style = style or OverlayStyle()
        self._table = (
            np.array(skeleton.LIMBS, np.int64),
            _lanes(skeleton.LIMB_COLORS_RGB),
            np.array([_relative_width(end) for _, end in skeleton.LIMBS], np.float32),
            _lanes(skeleton.KEYPOINT_COLORS_RGB),
            np.array([_relative_width(p) for p in range(skeleton.NUM_KEYPOINTS)], np.float32),
        )
        self._digits = draw_digits()
        self.draw(np.zeros((1, 1, 3), np.uint8), Poses.empty())

    def draw(self, image: npt.NDArray[np.uint8], poses: Poses) -> None:
        """Draw everyone onto `image` (H, W, 3) uint8 BGR, in place; the strongest person comes out on top.

        Ids are above all skeletons.

        Raises:
            ShapeError: the image is of another shape or type; its memory is written without further checks.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ShapeError(f"drawing is on (H, W, 3) uint8, got {image.shape} {image.dtype}")
        if not image.flags.c_contiguous:
            whole = np.ascontiguousarray(image)
            self.draw(whole, poses)
            image[...] = whole
            return
        style = self.style
        least = _least_scores(style)
        visible = draw_people(
            image,
            poses.xy,
            sure_scores(poses.score, least),
            poses.box_xyxy,
            least,
            style.line_of_size,
            float(style.max_line_px),
            *self._table,
        )
        if style.ids:
            draw_ids(image, poses.track_id, poses.box_xyxy, visible, self._digits)
