"""The 133 points of COCO-WholeBody: names, parts, mirror partners, limbs, OKS constants, colours.

Order (Jin et al., "Whole-Body Human Pose Estimation in the Wild", 2020): body 0-16, feet 17-22,
face 23-90, left hand 91-111, right hand 112-132. Left and right are the person's own.
"""

from __future__ import annotations

import difflib
from itertools import pairwise
from typing import Final

from hprnet_rt.errors import UsageError

__all__ = [
    "BODY",
    "FACE",
    "FEET",
    "FLIP_INDEX",
    "KEYPOINT_COLORS_RGB",
    "KEYPOINT_NAMES",
    "LEFT_FOOT",
    "LEFT_HAND",
    "LIMB_COLORS_RGB",
    "NUM_KEYPOINTS",
    "PARTS",
    "REGIONS",
    "RIGHT_FOOT",
    "RIGHT_HAND",
    "SIGMAS",
    "SKELETON",
    "index",
    "num_points",
    "part_points",
]

BODY: Final = slice(0, 17)
FEET: Final = slice(17, 23)
FACE: Final = slice(23, 91)
LEFT_HAND: Final = slice(91, 112)
RIGHT_HAND: Final = slice(112, 133)

PARTS: Final[dict[str, slice]] = {
    "body": BODY,
    "feet": FEET,
    "face": FACE,
    "left_hand": LEFT_HAND,
    "right_hand": RIGHT_HAND,
}
"""The points of each part, as a slice of the 133; every point is in exactly one."""

LEFT_FOOT: Final = slice(17, 20)
RIGHT_FOOT: Final = slice(20, 23)
REGIONS: Final[dict[str, slice]] = {**PARTS, "left_foot": LEFT_FOOT, "right_foot": RIGHT_FOOT}
"""The parts, and each foot by itself."""


def num_points(region: str) -> int:
    """Return the number of points of a region, a key of `REGIONS`."""
    points = REGIONS[region]
    return int(points.stop) - int(points.start)


_BODY_NAMES = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)
_FOOT_NAMES = tuple(
    f"{side}_{point}" for side in ("left", "right") for point in ("big_toe", "small_toe", "heel")
)
_FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")


def _hand_names(side: str) -> tuple[str, ...]:
    """Return the root of the hand, then four points a finger from the palm to the tip, thumb first."""
    tips = (f"{side}_{finger}_{joint}" for finger in _FINGERS for joint in range(1, 5))
    return (f"{side}_hand_root", *tips)


KEYPOINT_NAMES: Final[tuple[str, ...]] = (
    *_BODY_NAMES,
    *_FOOT_NAMES,
    *(f"face_{i}" for i in range(68)),
    *_hand_names("left"),
    *_hand_names("right"),
)
"""The 133 names, in the order of `Poses.xy`."""
NUM_KEYPOINTS: Final = len(KEYPOINT_NAMES)
_INDICES: Final = {name: index for index, name in enumerate(KEYPOINT_NAMES)}


def index(name: str) -> int:
    """Return the number of a point, 0 to 132, by its name.

    Raises:
        UsageError: no point has this name.

    Examples:
        >>> hprnet_rt.index("left_knee")
        13
        >>> [hprnet_rt.index(f"left_{joint}") for joint in ("hip", "knee", "ankle")]
        [11, 13, 15]
    """
    number = _INDICES.get(name)
    if number is None:
        close = difflib.get_close_matches(str(name), KEYPOINT_NAMES, n=3)
        advice = f"did you mean {', '.join(close)}?" if close else "hprnet_rt.KEYPOINT_NAMES has all names"
        raise UsageError(f"there is no point {name!r}; {advice}")
    return number


def part_points(name: str) -> slice:
    """Return the points of a part, a slice of the 133.

    Raises:
        UsageError: there is no such part.
    """
    if name not in PARTS:
        raise UsageError(f"there is no part {name!r}; use one of: {', '.join(PARTS)}")
    return PARTS[name]


def _face_flip(i: int) -> int:
    """Return the mirror partner of point i of the 68-point face mark-up (iBUG 300-W)."""
    eyes = {36: 45, 37: 44, 38: 43, 39: 42, 40: 47, 41: 46}
    mouth = {48: 54, 49: 53, 50: 52, 55: 59, 56: 58, 60: 64, 61: 63, 65: 67}
    pairs = eyes | mouth
    pairs |= {right: left for left, right in pairs.items()}
    if i < 17:  # jaw
        return 16 - i
    if i < 27:  # brows
        return 43 - i
    if 31 <= i < 36:  # nostrils
        return 66 - i
    return pairs.get(i, i)


def _flip_index() -> tuple[int, ...]:
    """Return for each keypoint the index of its mirror partner (itself on the middle line)."""
    partner = []
    for index, name in enumerate(KEYPOINT_NAMES):
        if FACE.start <= index < FACE.stop:
            partner.append(FACE.start + _face_flip(index - FACE.start))
            continue
        side, _, rest = name.partition("_")
        other = {"left": "right", "right": "left"}.get(side)
        partner.append(KEYPOINT_NAMES.index(f"{other}_{rest}") if other else index)
    return tuple(partner)


FLIP_INDEX: Final[tuple[int, ...]] = _flip_index()

# fmt: off
_HAND_SIGMAS = (
    .029, .022, .035, .037, .047, .026, .025, .024, .035, .018, .024,
    .022, .026, .017, .021, .021, .032, .020, .019, .022, .031,
)
SIGMAS: Final[tuple[float, ...]] = (
    # body
    .026, .025, .025, .035, .035, .079, .079, .072, .072, .062, .062, .107, .107, .087, .087, .089, .089,
    # feet
    .068, .066, .066, .092, .094, .094,
    # face
    .042, .043, .044, .043, .040, .035, .031, .025, .020, .023, .029, .032, .037, .038, .043, .041, .045,
    .013, .012, .011, .011, .012, .012, .011, .011, .013, .015, .009, .007, .007, .007, .012, .009, .008,
    .016, .010, .017, .011, .009, .011, .009, .007, .013, .008, .011, .012, .010, .034, .008, .008, .009,
    .008, .008, .007, .010, .008, .009, .009, .009, .007, .007, .008, .011, .008, .008, .008, .010, .008,
    *_HAND_SIGMAS, *_HAND_SIGMAS,
)
"""OKS constant of each point, from the COCO-WholeBody evaluation code."""
# fmt: on

_LEFT: Final = (0, 255, 0)
_RIGHT: Final = (255, 128, 0)
_CENTER: Final = (51, 153, 255)
_FACE_COLOR: Final = (255, 255, 255)
_FINGER_COLORS: Final = ((255, 128, 0), (255, 153, 255), (102, 178, 255), (255, 51, 51), (0, 255, 0))


def _body_limbs() -> list[tuple[str, str]]:
    limbs = [("left_hip", "right_hip"), ("left_shoulder", "right_shoulder")]
    limbs += [("left_eye", "right_eye")]
    for side in ("left", "right"):
        limbs += [
            (f"{side}_ankle", f"{side}_knee"),
            (f"{side}_knee", f"{side}_hip"),
            (f"{side}_shoulder", f"{side}_hip"),
            (f"{side}_shoulder", f"{side}_elbow"),
            (f"{side}_elbow", f"{side}_wrist"),
            ("nose", f"{side}_eye"),
            (f"{side}_eye", f"{side}_ear"),
            (f"{side}_ear", f"{side}_shoulder"),
            (f"{side}_ankle", f"{side}_big_toe"),
            (f"{side}_ankle", f"{side}_small_toe"),
            (f"{side}_ankle", f"{side}_heel"),
        ]
    return limbs


def _face_limbs() -> list[tuple[int, int]]:
    """Return the contours of the 68-point face: open lines, then the closed eyes and lips."""
    limbs = []
    for first, last in ((0, 16), (17, 21), (22, 26), (27, 30), (31, 35)):
        limbs += [(i, i + 1) for i in range(first, last)]
    for first, last in ((36, 41), (42, 47), (48, 59), (60, 67)):
        limbs += [(i, i + 1) for i in range(first, last)] + [(last, first)]
    return [(FACE.start + a, FACE.start + b) for a, b in limbs]


def _limbs_with_colors() -> tuple[list[tuple[int, int]], list[tuple[int, int, int]]]:
    limbs: list[tuple[int, int]] = []
    colors: list[tuple[int, int, int]] = []
    for a, b in _body_limbs():
        sides = {name.split("_")[0] for name in (a, b)} - {"nose"}
        limbs.append((KEYPOINT_NAMES.index(a), KEYPOINT_NAMES.index(b)))
        on_head = {a, b} <= {"nose", "left_eye", "right_eye", "left_ear", "right_ear"}
        if len(sides) > 1 or on_head:
            colors.append(_CENTER)
        else:
            colors.append(_LEFT if sides == {"left"} else _RIGHT)
    face = _face_limbs()
    limbs += face
    colors += [_FACE_COLOR] * len(face)
    for hand in (LEFT_HAND, RIGHT_HAND):
        for finger, color in enumerate(_FINGER_COLORS):
            chain = [hand.start, *range(hand.start + 1 + 4 * finger, hand.start + 5 + 4 * finger)]
            limbs += list(pairwise(chain))
            colors += [color] * 4
    return limbs, colors


_limb_list, _limb_color_list = _limbs_with_colors()
SKELETON: Final[tuple[tuple[int, int], ...]] = tuple(_limb_list)
"""Pairs of points that a line joins: the limbs, as numbers of `KEYPOINT_NAMES`."""
LIMB_COLORS_RGB: Final[tuple[tuple[int, int, int], ...]] = tuple(_limb_color_list)


def _keypoint_color(index: int) -> tuple[int, int, int]:
    name = KEYPOINT_NAMES[index]
    if FACE.start <= index < FACE.stop:
        return _FACE_COLOR
    for hand in (LEFT_HAND, RIGHT_HAND):
        if hand.start < index < hand.stop:
            return _FINGER_COLORS[(index - hand.start - 1) // 4]
    if index < 5:
        return _CENTER
    return _LEFT if name.startswith("left") else _RIGHT


KEYPOINT_COLORS_RGB: Final[tuple[tuple[int, int, int], ...]] = tuple(
    _keypoint_color(i) for i in range(NUM_KEYPOINTS)
)
