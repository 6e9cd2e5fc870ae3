"""Points of the parts that were found, corrected where they are: `hprnet_rt.model.refine` without torch.

All parts of a kind in one call. Positions are in output cells, x before y; maps have their channels last, so
that what is read at a place lies together. Every kernel has a slow plain twin in tests/oracles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import ModelError, ShapeError
from hprnet_rt.grouping.compiled import fused_kernel
from hprnet_rt.refinement import RefinedPart, Refinement

__all__ = ["PartRefiner", "RefinerWeights"]

FloatArray = npt.NDArray[np.float32]
HalfArray = npt.NDArray[np.uint16]

_LEAST_SIZE = 2.0  # cells; a part is never taken for smaller
_LEAST_REACH = 1.5  # cells around a point that the local maps are read in at least
_SIDE = 7  # places along a side of the square that is read there
_SHIFT_SCALE, _STRENGTH_SCALE = 4.0, 0.25
_ROWS = 16  # of a matrix that are used for all parts before the next ones: they stay in the first cache
_HALF_EXPONENTS = np.float32(2.0**112)  # between the exponents' zeros of float16 and float32
_FAINT = -16.0  # a weight of exp(-16) of the strongest changes nothing

RefinerWeights = Mapping[str, FloatArray]
"""A `Refiner`'s state dict: "norm", "parts.face.0.mix.weight", ..."""


@fused_kernel
def _sample(maps: FloatArray, x: float, y: float, out: FloatArray) -> None:
    """What maps (H, W, C) hold at a place, bilinear, 0 outside, into `out` (C,)."""
    height, width, _ = maps.shape
    left, top = np.floor(x - 0.5), np.floor(y - 0.5)
    right_share, low_share = np.float32(x - 0.5 - left), np.float32(y - 0.5 - top)
    out[:] = 0.0
    if not (-1.0 <= left < width and -1.0 <= top < height):  # not so for NaN either
        return
    for row in range(2):
        at_y = int(top) + row
        if at_y < 0 or at_y >= height:
            continue
        share_y = low_share if row == 1 else np.float32(1.0) - low_share
        for column in range(2):
            at_x = int(left) + column
            if at_x < 0 or at_x >= width:
                continue
            share = share_y * (right_share if column == 1 else np.float32(1.0) - right_share)
            values = maps[at_y, at_x]
            for c in range(len(out)):
                out[c] += share * values[c]


@fused_kernel
def _add_product(rows: FloatArray, matrix: FloatArray, out: FloatArray) -> None:
    """Add rows (M, K) times a matrix (K, N) to `out` (M, N)."""
    count, inner = rows.shape
    for first in range(0, inner, _ROWS):
        end = min(first + _ROWS, inner)
        whole = first + (end - first) // 4 * 4
        for m in range(0, count - 1, 2):
            into, row, into2, row2 = out[m], rows[m], out[m + 1], rows[m + 1]
            for k in range(first, whole, 4):
                a, b, c, d = row[k], row[k + 1], row[k + 2], row[k + 3]
                e, f, g, h = row2[k], row2[k + 1], row2[k + 2], row2[k + 3]
                m0, m1, m2, m3 = matrix[k], matrix[k + 1], matrix[k + 2], matrix[k + 3]
                for n in range(len(into)):
                    p, q, r, s = m0[n], m1[n], m2[n], m3[n]
                    into[n] = a * p + (b * q + (c * r + (d * s + into[n])))
                    into2[n] = e * p + (f * q + (g * r + (h * s + into2[n])))
        if count % 2:
            into, row = out[count - 1], rows[count - 1]
            for k in range(first, whole, 4):
                a, b, c, d = row[k], row[k + 1], row[k + 2], row[k + 3]
                m0, m1, m2, m3 = matrix[k], matrix[k + 1], matrix[k + 2], matrix[k + 3]
                for n in range(len(into)):
                    into[n] = a * m0[n] + (b * m1[n] + (c * m2[n] + (d * m3[n] + into[n])))
        for k in range(whole, end):
            m0 = matrix[k]
            for m in range(count):
                into, a = out[m], rows[m, k]
                for n in range(len(into)):
                    into[n] += a * m0[n]


@fused_kernel
def _add_mixed(rows: FloatArray, matrix: FloatArray, halves: HalfArray, out: FloatArray) -> None:
    """The same for a large matrix, whose numbers come from memory: as halves, where it has none in float32.

    Args:
        matrix: (K, N), or (0, 0); halves: (K, N) the bits of float16, or (0, 0).
    """
    inner, width = rows.shape[1], out.shape[1]
    bits = np.empty((_ROWS, width), np.uint32)
    block = bits.view(np.float32)
    for first in range(0, inner, _ROWS):
        count = min(_ROWS, inner - first)
        if len(halves):
            for k in range(count):
                into, half = bits[k], halves[first + k]
                for n in range(width):
                    wide = np.uint32(half[n])
                    into[n] = (wide & np.uint32(0x7FFF)) << np.uint32(13) | (
                        wide & np.uint32(0x8000)
                    ) << np.uint32(16)
                grown = block[k]
                for n in range(width):
                    grown[n] *= _HALF_EXPONENTS
            _add_product(rows[:, first : first + count], block[:count], out)
        else:
            _add_product(rows[:, first : first + count], matrix[first : first + count], out)


@fused_kernel
def _between(place: float, count: int) -> tuple[int, int, np.float32, np.float32]:
    """The two cells of a row that a place lies between, and the share of each: none of those outside."""
    at = np.float32(place) - np.float32(0.5)
    low = np.floor(at)
    if not -1.0 <= low < count:  # NaN too
        return 0, 0, np.float32(0.0), np.float32(0.0)
    first, share = int(low), np.float32(at - low)
    if first < 0:
        return 0, 0, np.float32(0.0), share
    if first + 1 == count:
        return first, first, np.float32(1.0) - share, np.float32(0.0)
    return first, first + 1, np.float32(1.0) - share, share


@fused_kernel
def _evidence(
    local: FloatArray, j: int, x: float, y: float, size: float, reach: float, seen: FloatArray
) -> None:
    """What local map j (of (H, W, n)) says around a place, into `seen` (3,); see `model.refine`."""
    height, width, maps = local.shape
    radius = np.float32(max(reach * size, _LEAST_REACH))
    step = np.float32(2.0) / np.float32(_SIDE - 1)
    found = np.empty((_SIDE, _SIDE), np.float32)
    unit = np.empty(_SIDE, np.float32)
    left, right = np.empty(_SIDE, np.int64), np.empty(_SIDE, np.int64)
    left_share, right_share = np.empty(_SIDE, np.float32), np.empty(_SIDE, np.float32)
    for b in range(_SIDE):
        unit[b] = b * step - np.float32(1.0)
        first, second, left_share[b], right_share[b] = _between(x + unit[b] * radius, width)
        left[b], right[b] = first * maps + j, second * maps + j
    rows = local.reshape(height, width * maps)
    strongest, heaviest = np.float32(-np.inf), np.float32(-np.inf)
    for a in range(_SIDE):
        above, below, high, low = _between(y + unit[a] * radius, height)
        upper, lower = rows[above], rows[below]
        for b in range(_SIDE):
            value = high * (left_share[b] * upper[left[b]] + right_share[b] * upper[right[b]])
            value += low * (left_share[b] * lower[left[b]] + right_share[b] * lower[right[b]])
            strongest = max(strongest, value)
            found[a, b] = value - (unit[a] * unit[a] + unit[b] * unit[b])
            heaviest = max(heaviest, found[a, b])
    total, shift_x, shift_y = np.float32(0.0), np.float32(0.0), np.float32(0.0)
    for a in range(_SIDE):
        for b in range(_SIDE):
            faintness = found[a, b] - heaviest
            if faintness > _FAINT:
                weight = np.exp(faintness)
                total += weight
                shift_x += weight * unit[b]
                shift_y += weight * unit[a]
    scale = np.float32(_SHIFT_SCALE) * radius / np.float32(size)
    seen[0], seen[1] = scale * shift_x / total, scale * shift_y / total
    seen[2] = np.float32(_STRENGTH_SCALE) * strongest


@fused_kernel
def _refine(
    features: FloatArray,
    local: FloatArray,
    points: FloatArray,
    confidence: FloatArray,
    reach: FloatArray,
    read: FloatArray,
    who: FloatArray,
    mix: FloatArray,
    mix_halves: HalfArray,
    mix_bias: FloatArray,
    out: FloatArray,
    out_bias: FloatArray,
) -> None:
    """Correct the points of all parts of a kind, in place.

    Args:
        features: (H, W, C); local: (H, W, n), not looked at where `reach` is empty.
        points: (M, n, 2); confidence: (M, n), written.
        reach: (steps,) or empty.
        read: (steps, C, width), the norm in it; who: (steps, n, width), the bias in it.
        mix: (steps, n * (width + evidence) + 2 n, hidden), in float32 or in halves, see `_add_mixed`;
            mix_bias: (steps, hidden).
        out: (steps, hidden, 3 n); out_bias: (steps, 3 n).
    """
    count, each, _ = points.shape
    steps, channels, width = read.shape
    wide = width + (3 if len(reach) else 0)
    hidden = mix_bias.shape[1]
    at, sampled = np.empty((each, 2), np.float32), np.empty((each, channels), np.float32)
    seen = np.empty((each, width), np.float32)
    mixed_of = np.empty((count, each * (wide + 2)), np.float32)
    middle, moved = np.empty((count, hidden), np.float32), np.empty((count, 3 * each), np.float32)
    size = np.empty(count, np.float32)
    for m in range(count):
        size[m] = _LEAST_SIZE
        for axis in range(2):
            low, high = points[m, 0, axis], points[m, 0, axis]
            for i in range(each):
                low, high = min(low, points[m, i, axis]), max(high, points[m, i, axis])
            size[m] = max(size[m], high - low)
    for t in range(steps):
        for m in range(count):
            mean_x, mean_y = np.float32(0.0), np.float32(0.0)
            for i in range(each):
                at[i] = points[m, i]
                mean_x += at[i, 0]
                mean_y += at[i, 1]
                _sample(features, at[i, 0], at[i, 1], sampled[i])
            mean_x, mean_y = mean_x / np.float32(each), mean_y / np.float32(each)
            seen[:] = who[t]
            _add_product(sampled, read[t], seen)
            row = mixed_of[m]
            for i in range(each):
                for k in range(width):
                    row[i * wide + k] = max(seen[i, k], np.float32(0.0))
                if len(reach):
                    place = row[i * wide + width : (i + 1) * wide]
                    _evidence(local, i, at[i, 0], at[i, 1], size[m], reach[t], place)
                row[each * wide + 2 * i] = (at[i, 0] - mean_x) / size[m]
                row[each * wide + 2 * i + 1] = (at[i, 1] - mean_y) / size[m]
            middle[m] = mix_bias[t]
            moved[m] = out_bias[t]
        _add_mixed(mixed_of, mix[t], mix_halves[t], middle)
        for m in range(count):
            for k in range(hidden):
                middle[m, k] = max(middle[m, k], np.float32(0.0))
        _add_product(middle, out[t], moved)
        for m in range(count):
            for i in range(each):
                points[m, i, 0] += moved[m, 3 * i] * size[m]
                points[m, i, 1] += moved[m, 3 * i + 1] * size[m]
                confidence[m, i] = np.float32(1.0) / (np.float32(1.0) + np.exp(-moved[m, 3 * i + 2]))


def _in_halves(matrices: FloatArray) -> tuple[FloatArray, HalfArray]:
    """The matrices in float32, or as the bits of float16 if that changes no number; the other is empty."""
    with np.errstate(over="ignore"):
        halves = matrices.astype(np.float16)
    steps = len(matrices)
    if (halves == matrices).all():
        return np.zeros((steps, 0, 0), np.float32), halves.view(np.uint16)
    return matrices, np.zeros((steps, 0, 0), np.uint16)


@dataclass(frozen=True, eq=False)
class PartRefiner:
    """Corrects the points of one kind of part.

    Attributes:
        part: which.
        channels: of the feature map.
        arrays: the steps' weights, as the kernel wants them.
    """

    part: RefinedPart
    channels: int
    arrays: tuple[Any, ...]

    @classmethod
    def of(cls, part: RefinedPart, refinement: Refinement, weights: RefinerWeights) -> PartRefiner:
        """Take a part's weights.

        Raises:
            ModelError: they are missing or of another shape.
        """
        points, width, hidden = part.num_keypoints, part.width, refinement.hidden
        inputs = points * (width + part.evidence + 2)
        channels = refinement.features

        def get(name: str, *shape: int) -> FloatArray:
            found = weights.get(name)
            if found is None or found.shape != shape:
                has = "missing" if found is None else found.shape
                raise ModelError(f"the refinement's {name} is {has}, not {shape}")
            return found

        norm = get("norm", channels)
        steps = []
        for t in range(part.steps):
            at = f"parts.{part.name}.{t}"
            steps.append(
                (
                    get(f"{at}.read.weight", width, channels).T * norm[:, None],
                    get(f"{at}.who", points, width) + get(f"{at}.read.bias", width),
                    get(f"{at}.mix.weight", hidden, inputs).T,
                    get(f"{at}.mix.bias", hidden),
                    get(f"{at}.out.weight", 3 * points, hidden).T,
                    get(f"{at}.out.bias", 3 * points),
                )
            )
        read, who, mix, *rest = (
            np.ascontiguousarray(np.stack(each), np.float32) for each in zip(*steps, strict=True)
        )
        reach = np.array(part.reach, np.float32)
        return cls(part, channels, (reach, read, who, *_in_halves(mix), *rest))

    def __call__(
        self, features: FloatArray, local: FloatArray, points: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Correct the points of parts of this kind.

        Args:
            features: (H, W, C) float32, C-contiguous; local: (H, W, n) likewise.
            points: (M, n, 2) float32, without NaN.

        Returns:
            new points (M, n, 2), and the confidence of each (M, n) in [0, 1].

        Raises:
            ShapeError: an array is of another shape; they are read without further checks.
        """
        each = self.part.num_keypoints
        wrong = points.ndim != 3 or points.shape[1:] != (each, 2)
        wrong |= features.ndim != 3 or features.shape[2] != self.channels
        if self.part.reach:
            wrong |= local.shape != (*features.shape[:2], each)
        if wrong:
            raise ShapeError(
                f"{self.part.name} is {each} points on {self.channels} channels, got {points.shape} on "
                f"{features.shape} and local maps {local.shape}"
            )
        refined = points.astype(np.float32, order="C")
        confidence = np.zeros(points.shape[:2], np.float32)
        _refine(features, local, refined, confidence, *self.arrays)
        return refined, confidence
