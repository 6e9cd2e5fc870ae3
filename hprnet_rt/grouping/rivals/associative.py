"""People of associative embedding: points with like tags are one person's.

Source: Newell et al., "Associative Embedding" (2017); the rules of MMPose 0.x, but that SciPy assigns points
to people: many assignments cost the same, and MMPose's solver may choose another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from hprnet_rt import skeleton
from hprnet_rt.errors import BackendError
from hprnet_rt.grouping.compiled import kernel

__all__ = ["Candidates", "adjust", "find_candidates", "match", "refine", "require_solver", "to_input_size"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

_MOST: Final = 30  # candidates of a point
_VALUE: Final = 0.1  # least value of a candidate
_NEAR: Final = 1.0  # tags nearer than this may be one person's
_STEP: Final = 100.0  # cost of a step of the distance, against a value of at most 1
_NOBODY: Final = 1e10  # cost of a column for which there is no person
_REACH: Final = 2  # px around a candidate in which nothing is stronger
_QUARTER, _HALF = 0.25, 0.5


class Candidates(NamedTuple):
    """The strongest peaks of every point, point after point, strongest first.

    Attributes:
        xy: (n, 2) whole px.
        value: (n,) of the heat-map.
        tag: (n, L), one for each run of the network.
        first: (points + 1,) where each point's begin.
    """

    xy: FloatArray
    value: FloatArray
    tag: FloatArray
    first: IntArray


def require_solver() -> None:
    """Check that SciPy is installed.

    Raises:
        BackendError: it is not.
    """
    try:
        import scipy.optimize  # noqa: F401
    except ImportError as error:
        raise BackendError(
            'associative embedding assigns points to people with SciPy: pip install "hprnet-rt[rivals]"'
        ) from error


def _enlarged(maps: FloatArray, size_hw: tuple[int, int]) -> FloatArray:
    large = np.empty((len(maps), *size_hw), np.float32)
    for source, target in zip(maps, large, strict=True):
        cv2.resize(source, size_hw[::-1], target, interpolation=cv2.INTER_LINEAR)
    return large


def to_input_size(
    runs: Sequence[Sequence[FloatArray]], input_hw: tuple[int, int]
) -> tuple[FloatArray, FloatArray]:
    """Enlarge what the network returns to its input.

    Args:
        runs: the maps of the heads of the image, and where there was a flip test of the mirrored one:
            heat-maps with tags (2 * points, h, w), and of HigherHRNet finer heat-maps (points, 2 h, 2 w).
        input_hw: height and width of the input.

    Returns:
        heat-maps (points, H, W), averaged, and tags (points, H, W, runs).
    """
    heats, tags = [], []
    for mirrored, (coarse, *fine) in enumerate(runs):
        if mirrored:
            swapped = np.array(skeleton.FLIP_INDEX)
            both = np.concatenate((swapped, len(swapped) + swapped))[: len(coarse)]
            coarse = np.ascontiguousarray(coarse[both][..., ::-1])
            fine = [np.ascontiguousarray(each[swapped][..., ::-1]) for each in fine]
        points = len(coarse) // 2
        heat = _enlarged(coarse[:points], input_hw)
        for finer in fine:
            heat += _enlarged(finer, input_hw)
            heat *= np.float32(_HALF)
        heats.append(heat)
        tags.append(_enlarged(coarse[points:], input_hw))
    heat = heats[0] if len(heats) == 1 else np.mean(heats, axis=0, dtype=np.float32)
    return heat, tags[0][..., None] if len(tags) == 1 else np.stack(tags, axis=-1)


@kernel
def _candidates_of(heat: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return x and y (n, 2) and values (n,) of the strongest peaks of a map; equal ones row by row."""
    height, width = heat.shape
    xy = np.empty((height * width // 4 + 1, 2), np.float32)
    value = np.empty(len(xy), np.float32)
    count = 0
    for y in range(height):
        for x in range(width):
            here = heat[y, x]
            if here <= _VALUE:
                continue
            is_peak = True
            for v in range(max(y - _REACH, 0), min(y + _REACH + 1, height)):
                for u in range(max(x - _REACH, 0), min(x + _REACH + 1, width)):
                    is_peak = is_peak and heat[v, u] <= here
            if is_peak and count < len(xy):
                xy[count, 0], xy[count, 1], value[count] = x, y, here
                count += 1
    order = np.argsort(-value[:count], kind="mergesort")[:_MOST]
    return xy[order], value[order]


def find_candidates(heat: FloatArray, tags: FloatArray) -> Candidates:
    """Return the strongest peaks of heat-maps (points, H, W), with their tags from (points, H, W, L)."""
    found = [_candidates_of(each) for each in heat]
    first = np.concatenate(([0], np.cumsum([len(value) for _, value in found])))
    xy = np.concatenate([xy for xy, _ in found])
    at = xy.astype(np.int64)
    tag = tags[np.repeat(np.arange(len(heat)), np.diff(first)), at[:, 1], at[:, 0]]
    return Candidates(xy, np.concatenate([value for _, value in found]), tag, first)


def match(candidates: Candidates) -> FloatArray:
    """Give candidates to people, one point after the other, by their tags.

    Returns:
        (N, points, 3 + L): x, y, value, tags; zeros where absent.
    """
    from scipy.optimize import linear_sum_assignment  # an extra

    points = len(candidates.first) - 1
    joints = np.concatenate(
        (candidates.xy, candidates.value[:, None], candidates.tag), axis=1, dtype=np.float64
    )
    people: dict[float, Any] = {}
    tags: dict[float, list[FloatArray]] = {}

    def found(point: int, row: int) -> None:
        """Let a candidate be a person, or take the place of the point of whoever has exactly its tag."""
        key = float(candidates.tag[row, 0])
        people.setdefault(key, np.zeros((points, joints.shape[1])))[point] = joints[row]
        tags[key] = [candidates.tag[row]]

    for point in range(points):
        rows = range(candidates.first[point], candidates.first[point + 1])
        if not people or not rows:
            for row in rows:
                found(point, row)
            continue
        keys = list(people)
        means = np.array([np.mean(tags[key], axis=0) for key in keys])
        away = np.linalg.norm(joints[rows, None, 3:] - means, axis=2)
        cost = np.round(away) * _STEP - joints[rows, 2:3]
        if len(rows) > len(keys):
            cost = np.pad(cost, ((0, 0), (0, len(rows) - len(keys))), constant_values=_NOBODY)
        for n, who in zip(*linear_sum_assignment(cost), strict=True):
            row = rows[n]
            if who < len(keys) and away[n, who] < _NEAR:
                people[keys[who]][point] = joints[row]
                tags[keys[who]].append(candidates.tag[row])
            else:
                found(point, row)
    made = np.array(list(people.values()), np.float32)
    return made.reshape(-1, points, joints.shape[1])


@kernel
def _shifted(heat: FloatArray, x: int, y: int) -> tuple[float, float]:
    """Return the middle of a pixel, moved by a quarter to its stronger neighbours."""
    height, width = heat.shape
    right, left = heat[y, min(x + 1, width - 1)], heat[y, max(x - 1, 0)]
    below, above = heat[min(y + 1, height - 1), x], heat[max(y - 1, 0), x]
    return (
        x + _HALF + (_QUARTER if right > left else -_QUARTER),
        y + _HALF + (_QUARTER if below > above else -_QUARTER),
    )


@kernel
def adjust(people: FloatArray, heat: FloatArray) -> FloatArray:
    """Return people (N, points, 3 + L) with their points moved by a quarter of a pixel towards the peak."""
    moved = people.copy()
    for who in range(len(people)):
        for point in range(people.shape[1]):
            if people[who, point, 2] > 0:
                x, y = int(people[who, point, 0]), int(people[who, point, 1])
                moved[who, point, 0], moved[who, point, 1] = _shifted(heat[point], x, y)
    return moved


@kernel
def refine(people: FloatArray, heat: FloatArray, tags: FloatArray) -> FloatArray:
    """Return people with the points that they lack, where a value with a like tag is found.

    A missing point is the pixel where the heat-map less the rounded distance of the tag is largest; this
    looks at every pixel, for every missing point of every person.

    Args:
        people: (N, points, 3 + L), from `adjust`.
        heat: (points, H, W).
        tags: (points, H, W, L).
    """
    whole = people.copy()
    points, height, width, runs = tags.shape
    for who in range(len(people)):
        mean = np.zeros(runs, np.float32)
        count = 0
        for point in range(points):
            if people[who, point, 2] > 0:
                x = min(max(int(people[who, point, 0]), 0), width - 1)
                y = min(max(int(people[who, point, 1]), 0), height - 1)
                mean += tags[point, y, x]
                count += 1
        mean /= np.float32(max(count, 1))
        for point in range(points):
            if people[who, point, 2] > 0:
                continue
            best, best_x, best_y = -np.inf, 0, 0
            for y in range(height):
                for x in range(width):
                    if heat[point, y, x] <= best:
                        continue  # no distance makes it better
                    total = np.float32(0)
                    for run in range(runs):
                        total += (tags[point, y, x, run] - mean[run]) ** 2
                    value = heat[point, y, x] - np.rint(np.sqrt(total))
                    if value > best:
                        best, best_x, best_y = value, x, y
            if heat[point, best_y, best_x] > 0:
                x, y = _shifted(heat[point], best_x, best_y)
                whole[who, point, 0], whole[who, point, 1] = x, y
                whole[who, point, 2] = heat[point, best_y, best_x]
    return whole
