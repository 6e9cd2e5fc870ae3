"""Skeletons on pictures: anti-aliased, in COCO-WholeBody's palette, as wide as the person needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from hprnet_rt import skeleton
from hprnet_rt.types import Person, Poses

__all__ = ["Overlay", "OverlayStyle"]

Color = tuple[int, int, int]
IntArray = npt.NDArray[np.int64]

_SHIFT: Final = 4  # OpenCV takes positions as integers with this many fractional bits
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_BLACK: Final = (0, 0, 0)
_WHITE: Final = (255, 255, 255)
_FAR: Final = 1 << 14  # a point farther out than this is not drawn (fixed-point range)


@dataclass(frozen=True)
class OverlayStyle:
    """How skeletons look.

    Attributes:
        point_threshold: points that score less are not drawn.
        line_of_size: width of a body line in units of the person's longer side.
        max_line_px: widest body line.
        ids: people who have an id get it written above the upper left corner of their box.
        body, face, hands: whether these are drawn; feet belong to the body.
    """

    point_threshold: float = 0.2
    line_of_size: float = 1 / 160
    max_line_px: int = 8
    ids: bool = True
    body: bool = True
    face: bool = True
    hands: bool = True


@dataclass(frozen=True)
class _Strokes:
    """Limbs and points of one colour and one relative width."""

    color_bgr: Color
    limbs: IntArray  # (L, 2) keypoint indices
    points: IntArray  # (P,)
    relative_width: float


def _strokes() -> tuple[_Strokes, ...]:
    """Everything drawn for a person, grouped so that one call draws one group."""
    limbs: dict[tuple[Color, float], list[tuple[int, int]]] = {}
    points: dict[tuple[Color, float], list[int]] = {}
    for limb, color in zip(skeleton.LIMBS, skeleton.LIMB_COLORS_RGB, strict=True):
        limbs.setdefault((color, _relative_width(limb[1])), []).append(limb)
    for index, color in enumerate(skeleton.KEYPOINT_COLORS_RGB):
        points.setdefault((color, _relative_width(index)), []).append(index)
    groups = list(dict.fromkeys([*limbs, *points]))
    return tuple(
        _Strokes(
            (color[2], color[1], color[0]),
            np.array(limbs.get((color, width), []), np.int64).reshape(-1, 2),
            np.array(points.get((color, width), []), np.int64),
            width,
        )
        for color, width in groups
    )


def _relative_width(keypoint: int) -> float:
    """Faces and hands have many points close together: thinner lines."""
    return 1.0 if keypoint < skeleton.FACE.start else 0.5


class Overlay:
    """Draws people onto images. Made once, then called for every frame.

    Args:
        style: how skeletons look; may be replaced between frames, from any thread.
    """

    def __init__(self, style: OverlayStyle | None = None) -> None:
        self.style = style or OverlayStyle()
        self._strokes = _strokes()

    def draw(self, image: npt.NDArray[np.uint8], poses: Poses) -> None:
        """Draw everyone onto `image` (H, W, 3) uint8 BGR, in place; the strongest person comes out on top."""
        style = self.style
        for index in range(len(poses) - 1, -1, -1):
            self._draw_person(image, poses[index], style)

    def _draw_person(self, image: npt.NDArray[np.uint8], person: Person, style: OverlayStyle) -> None:
        shown = person.score >= style.point_threshold
        for parts, wanted in (
            (("body", "feet"), style.body),
            (("face",), style.face),
            (("left_hand", "right_hand"), style.hands),
        ):
            for part in parts:
                shown[skeleton.PARTS[part]] &= wanted
        xy = np.nan_to_num(person.xy, nan=2 * _FAR)
        shown &= (np.abs(xy) < _FAR).all(axis=1)
        if not shown.any():
            return
        # pixel i covers [i, i + 1), while OpenCV puts its centre at i
        fixed = np.round((np.clip(xy, -_FAR, _FAR) - 0.5) * (1 << _SHIFT)).astype(np.int32)
        x1, y1, x2, y2 = person.box_xyxy
        size = float(max(x2 - x1, y2 - y1))
        body_line = min(style.max_line_px, max(1.0, size * style.line_of_size))
        for stroke in self._strokes:
            line = max(1, round(body_line * stroke.relative_width))
            limbs = stroke.limbs[shown[stroke.limbs].all(axis=1)]
            if len(limbs):
                cv2.polylines(image, list(fixed[limbs]), False, stroke.color_bgr, line, cv2.LINE_AA, _SHIFT)
        for stroke in self._strokes:
            dot = max(2, round(2.2 * body_line * stroke.relative_width))
            points = stroke.points[shown[stroke.points]]
            if len(points):  # a line without length is a dot
                ends = np.repeat(fixed[points][:, None], 2, axis=1)
                cv2.polylines(image, list(ends), False, stroke.color_bgr, dot, cv2.LINE_AA, _SHIFT)
        if style.ids and person.track_id is not None:
            _write_id(image, person.track_id, (float(x1), float(y1)), size)


def _write_id(image: npt.NDArray[np.uint8], track_id: int, corner: tuple[float, float], size: float) -> None:
    """White on black, inside the image, as large as the person allows."""
    height, width = image.shape[:2]
    text, scale = str(track_id), min(1.0, max(0.4, size / 400))
    (text_width, text_height), _ = cv2.getTextSize(text, _FONT, scale, 1)
    x = round(min(max(corner[0], 0.0), max(width - text_width, 0)))
    y = round(min(max(corner[1], text_height), height))
    for color, line in ((_BLACK, 4), (_WHITE, 1)):
        cv2.putText(image, text, (x, y), _FONT, scale, color, line, cv2.LINE_AA)
