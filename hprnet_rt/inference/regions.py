"""Regions: rectangles of a picture that the network looks at one by one; people found twice count once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from hprnet_rt import skeleton
from hprnet_rt.errors import UsageError
from hprnet_rt.tracking.kernels import similarity
from hprnet_rt.types import Poses

__all__ = ["Corners", "Region", "merged", "parse_region"]

FloatArray = npt.NDArray[np.float32]
Corners = tuple[int, int, int, int]
"""Left, top, right and bottom of a rectangle in pixels; the last two are just outside."""

_SAME: Final = 0.5
"""Similarity from which two people of different regions are one."""

_SAME_BOX: Final = 0.6
"""Intersection over union from which boxes of different regions are one person's, whatever the joints."""

_LEAST_JOINTS: Final = 4  # with fewer in common, boxes say who is the same
_COVERED: Final = 0.7
"""Least share of a box, cut by a region's edge, that lies in the box of the same person elsewhere."""

_AT_EDGE_PX: Final = 2.0


@dataclass(frozen=True)
class Region:
    """A rectangle of a picture.

    Attributes:
        text: as it was asked for.
        sides: x, y, width, height.
        relative: for each of the four, whether it is a part of the picture's width or height, 0 to 1, and not
            pixels.
    """

    text: str
    sides: tuple[float, float, float, float]
    relative: tuple[bool, bool, bool, bool]

    def corners(self, width: int, height: int) -> Corners:
        """Return where the region lies in a picture of this size.

        Raises:
            UsageError: it is empty there, or goes beyond the picture.
        """
        scale = (width, height, width, height)
        x, y, wide, high = (
            side * whole if part else side
            for side, part, whole in zip(self.sides, self.relative, scale, strict=True)
        )
        left, top, right, bottom = round(x), round(y), round(x + wide), round(y + high)
        if right > width or bottom > height:
            raise UsageError(
                f"the region {self.text} goes beyond the picture of {width} x {height}: it ends at {right}, "
                f"{bottom}"
            )
        if left >= right or top >= bottom:
            raise UsageError(f"the region {self.text} holds no pixel of the picture of {width} x {height}")
        return left, top, right, bottom


def parse_region(text: str) -> Region:
    """Parse a region as a user writes it: X,Y,W,H in pixels, or with % in parts of the picture.

    Raises:
        UsageError: it is none.
    """
    words = [word.strip() for word in text.split(",")]
    try:
        numbers = [float(word.removesuffix("%")) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
        raise UsageError(f"a region is X,Y,W,H in pixels or percent, such as 10%,0,50%,100%, got {text!r}")
    if min(numbers) < 0 or min(numbers[2:]) == 0:
        raise UsageError(f"the region {text} is empty or begins outside the picture")
    relative = [word.endswith("%") for word in words]
    x, y, wide, high = (n / 100 if part else n for n, part in zip(numbers, relative, strict=True))
    for begin, side, parts in ((x, wide, relative[::2]), (y, high, relative[1::2])):
        if all(parts) and begin + side > 1 + 1e-9:
            raise UsageError(
                f"the region {text} goes beyond the picture: it ends at {100 * (begin + side):g}%"
            )
    return Region(",".join(words), (x, y, wide, high), (relative[0], relative[1], relative[2], relative[3]))


def merged(found: Sequence[Poses], corners: Sequence[Corners], width: int, height: int) -> Poses:
    """Merge the people of several regions of one picture: each once, in its pixels, strongest first.

    Who is found in more than one is taken from the one with the higher score, but from where the region does
    not cut the person if there is such a one. Two people of one region are two.

    Args:
        found: of each region, in pixels of it, boxes ending at its edges.
        corners: of each region.
        width, height: of the picture.
    """
    everyone = [_moved(poses, *each[:2]) for poses, each in zip(found, corners, strict=True)]
    people = Poses(
        *(np.concatenate([getattr(poses, each.name) for poses in everyone]) for each in fields(Poses))
    )
    region = np.repeat(np.arange(len(found)), [len(poses) for poses in found])
    cut = _cut(people.box_xyxy, np.array(corners)[region], width, height)
    body = np.ascontiguousarray(people.xy[:, skeleton.BODY])
    away = np.zeros(len(people), np.float32)
    same = similarity(body, people.box_xyxy, body, people.box_xyxy, away, _LEAST_JOINTS, _SAME) >= _SAME
    shares = _shares(people.box_xyxy)
    same |= cut[:, None] & (shares >= _COVERED)
    same |= _unions(shares) >= _SAME_BOX
    same &= region[:, None] != region
    kept: list[int] = []
    for n in np.lexsort((-people.person_score, cut)).tolist():
        if not same[n, kept].any():
            kept.append(n)
    kept.sort(key=lambda n: -people.person_score[n])
    return Poses(*(getattr(people, each.name)[kept] for each in fields(Poses)))


def _moved(poses: Poses, x: int, y: int) -> Poses:
    """Return the people moved to the right and down by some pixels."""
    by = np.array((x, y), np.float32)
    corners = np.tile(by, 2)
    return replace(
        poses, xy=poses.xy + by, box_xyxy=poses.box_xyxy + corners, face_xyxy=poses.face_xyxy + corners
    )


def _cut(box: FloatArray, corners: npt.NDArray[np.int64], width: int, height: int) -> npt.NDArray[np.bool_]:
    """Which boxes (N, 4) end at an edge of their region (N, 4) that is not one of the picture."""
    at_edge = np.abs(box - corners.reshape(-1, 4)) < _AT_EDGE_PX
    inside = corners.reshape(-1, 4) != (0, 0, width, height)
    return np.asarray((at_edge & inside).any(axis=1))


def _shares(box: FloatArray) -> FloatArray:
    """Return the share of each box (N, 4) that lies in each other one: (N, N), 0 to 1."""
    low, high = np.maximum(box[:, None, :2], box[:, :2]), np.minimum(box[:, None, 2:], box[:, 2:])
    both = np.clip(high - low, 0, None).prod(axis=2)
    own = np.clip(box[:, 2:] - box[:, :2], 1, None).prod(axis=1)
    return np.asarray(both / own[:, None], np.float32)


def _unions(shares: FloatArray) -> FloatArray:
    """Return the intersection over union of boxes of which `_shares` are known: (N, N), 0 to 1."""
    with np.errstate(divide="ignore"):
        return np.asarray(1.0 / (1.0 / shares + 1.0 / shares.T - 1.0), np.float32)
