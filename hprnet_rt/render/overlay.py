"""Skeletons on pictures: anti-aliased, in COCO-WholeBody's palette, with wider lines for larger people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from hprnet_rt import skeleton
from hprnet_rt.errors import ShapeError, UsageError
from hprnet_rt.render.dots import draw_stamps
from hprnet_rt.render.labels import draw_digits, draw_ids
from hprnet_rt.render.lanes import lane_colors
from hprnet_rt.render.plane_canvas import plane_canvas, to_shades
from hprnet_rt.render.plane_dots import draw_plane_stamps
from hprnet_rt.render.plane_labels import draw_ids_on_planes, plane_digits
from hprnet_rt.render.plane_strokes import PlanePalette, draw_people_on_planes
from hprnet_rt.render.strokes import LineWidth, Palette, draw_people
from hprnet_rt.types import (
    HAND_THRESHOLD,
    JUDGED_WHOLE,
    POINT_THRESHOLD,
    UNREFINED_HAND_THRESHOLD,
    Frame,
    ImageArray,
    Planes,
    Poses,
    least_scores,
    require_threshold,
)

__all__ = ["HIDEABLE", "Overlay", "OverlayStyle"]

Color = tuple[int, int, int]

HIDEABLE: Final = ("body", "face", "hands", "ids")
"""What need not be drawn: fields of `OverlayStyle`."""


@dataclass(frozen=True)
class OverlayStyle:
    """The look of skeletons.

    Attributes:
        point_threshold: points with a lower score are not drawn, nor is a face with a lower mean score.
        hand_threshold: points of hands with a lower score are not drawn, nor is a hand with a lower mean
            score.
        line_of_size: width of a body line in units of the person's longer side.
        max_line_px: widest body line.
        ids: people who have an id get it written above the upper left corner of their box.
        body, face, hands: whether these are drawn; feet belong to the body.

    Examples:
        >>> hprnet_rt.OverlayStyle(ids=False, hands=False).point_threshold
        0.2
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
            refined: each point has a confidence of its own. Otherwise a point of a hand has the score of the
                hand's centre, and hands take `UNREFINED_HAND_THRESHOLD`.
            point_threshold: replaces both thresholds.

        Raises:
            UsageError: the threshold is not from 0 to 1.
        """
        if point_threshold is not None:
            require_threshold(point_threshold)
            return cls(point_threshold=point_threshold, hand_threshold=point_threshold)
        return cls() if refined else cls(hand_threshold=UNREFINED_HAND_THRESHOLD)

    def without(self, hidden: Sequence[str]) -> OverlayStyle:
        """Return the style without some of `HIDEABLE`.

        Raises:
            UsageError: there is nothing of such a name.
        """
        for name in hidden:
            if name not in HIDEABLE:
                raise UsageError(f"what can be hidden is {', '.join(HIDEABLE)}, got {name!r}")
        return replace(self, **dict.fromkeys(hidden, False))


def _relative_width(keypoint: int) -> float:
    """Return the relative width of a keypoint's lines: less for faces and hands, whose points are dense."""
    return 1.0 if keypoint < skeleton.FACE.start else 0.5


def _lanes(colors_rgb: Sequence[Color]) -> npt.NDArray[np.uint8]:
    return lane_colors(np.array(colors_rgb, np.uint8)[:, ::-1])


class Overlay:
    """Draws people onto images. Made once, then called for every frame.

    Compiles its kernels when it is made, so that no frame waits for that.

    Args:
        style: how skeletons look; may be replaced between frames, from any thread.

    Examples:
        >>> overlay = hprnet_rt.Overlay(hprnet_rt.OverlayStyle(face=False, ids=False))
        >>> black = np.zeros_like(image)
        >>> overlay.draw(black, model(image))
        >>> bool(black.any())
        True
    """

    def __init__(self, style: OverlayStyle | None = None) -> None:
        self.style = style or OverlayStyle()
        judged = [skeleton.PARTS[name] for name in JUDGED_WHOLE]
        self._palette = Palette(
            limbs=np.array(skeleton.SKELETON, np.int64),
            limb_colors=_lanes(skeleton.LIMB_COLORS_RGB),
            limb_widths=np.array([_relative_width(end) for _, end in skeleton.SKELETON], np.float32),
            point_colors=_lanes(skeleton.KEYPOINT_COLORS_RGB),
            point_widths=np.array([_relative_width(p) for p in range(skeleton.NUM_KEYPOINTS)], np.float32),
            judged=np.array([(part.start, part.stop) for part in judged], np.int64),
        )
        self._stamps = draw_stamps()
        self._plane_stamps = draw_plane_stamps()
        self._digits = draw_digits()
        self._plane_digits = plane_digits(self._digits)
        self._shades: dict[tuple[tuple[float, float], bool], PlanePalette] = {}
        self.draw(np.zeros((1, 1, 3), np.uint8), Poses.empty())
        gray = np.zeros((1, 1), np.uint8)
        self.draw(Planes(gray, gray, gray, (0.299, 0.114)), Poses.empty())

    def draw(self, picture: ImageArray | Planes, poses: Poses) -> None:
        """Draw everyone onto an image or planes, in place; the strongest person comes out on top.

        Ids are drawn above all skeletons.

        Args:
            picture: (H, W, 3) uint8 BGR, or `Planes`, on which colours are at half the resolution.
            poses: in pixels of the picture.

        Raises:
            ShapeError: the picture is of another shape or type, or read-only; its memory is written without
                further checks.
            UsageError: these are no Poses, but a person or others.
        """
        if not isinstance(poses, Poses):
            raise UsageError(
                f"drawn are Poses, got {type(poses).__name__}; of one person use poses.select([number])"
            )
        if isinstance(picture, Planes):
            self._draw_on_planes(picture, poses)
        else:
            self._draw_on_image(picture, poses)

    def _draw_on_image(self, image: ImageArray, poses: Poses) -> None:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ShapeError(f"drawing is on (H, W, 3) uint8, got {image.shape} {image.dtype}")
        if not image.flags.writeable:
            raise ShapeError("drawing changes the image, and this one is read-only; draw on image.copy()")
        if not image.flags.c_contiguous:
            whole = np.ascontiguousarray(image)
            self._draw_on_image(whole, poses)
            image[...] = whole
            return
        visible = draw_people(
            image,
            poses.xy,
            poses.score,
            poses.box_xyxy,
            self._least(),
            self._line_width(),
            self._palette,
            self._stamps,
        )
        if self.style.ids:
            draw_ids(image, poses.track_id, poses.box_xyxy, visible, self._digits)

    def _draw_on_planes(self, planes: Planes, poses: Poses) -> None:
        canvas = plane_canvas(planes)
        shades = self._shades_of(planes.luma, planes.is_full)
        visible = draw_people_on_planes(
            canvas,
            poses.xy,
            poses.score,
            poses.box_xyxy,
            self._least(),
            self._line_width(),
            self._palette,
            shades,
            self._plane_stamps,
        )
        if self.style.ids:
            draw_ids_on_planes(
                canvas, poses.track_id, poses.box_xyxy, visible, self._digits, self._plane_digits, shades.ends
            )

    def _least(self) -> npt.NDArray[np.float32]:
        style = self.style
        return least_scores(
            style.point_threshold, style.hand_threshold, body=style.body, face=style.face, hands=style.hands
        )

    def _line_width(self) -> LineWidth:
        return LineWidth(float(self.style.line_of_size), float(self.style.max_line_px))

    def _shades_of(self, luma: tuple[float, float], is_full: bool) -> PlanePalette:
        """Return the colours as planes of this matrix and range have them."""
        if (luma, is_full) not in self._shades:
            limbs, points, ends = (
                to_shades(colors, luma, is_full=is_full)
                for colors in (
                    skeleton.LIMB_COLORS_RGB,
                    skeleton.KEYPOINT_COLORS_RGB,
                    ((0, 0, 0), (255, 255, 255)),
                )
            )
            lanes, end_lanes = (
                np.repeat(each.astype(np.uint8), (16, 8, 8), axis=1) for each in (points, ends)
            )
            tints = points @ (1 << 16, 1 << 8, 1)
            self._shades[luma, is_full] = PlanePalette(limbs, points, tints, lanes, end_lanes)
        return self._shades[luma, is_full]

    def __call__(self, frame: Frame, poses: Poses) -> None:
        """Draw everyone onto a frame's own image; so an overlay is a `Drawing`."""
        self.draw(frame.image, poses)

    def draw_planes(self, planes: Planes, _at_s: float, poses: Poses, /) -> None:
        """Draw everyone onto a frame's planes; see `draws_planes`."""
        self.draw(planes, poses)
