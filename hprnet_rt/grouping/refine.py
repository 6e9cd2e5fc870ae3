"""Points of the parts that were found, corrected where they are: `hprnet_rt.model.refine` without torch.

All parts of a kind are refined in one call. Positions are in output cells, x before y; maps have their
channels last, so that the numbers at one place lie together. tests/oracles has a slow plain version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import ModelError, ShapeError
from hprnet_rt.grouping.compiled import fused_kernel
from hprnet_rt.refinement import (
    EVIDENCE,
    EVIDENCE_SIDE,
    LEAST_REACH,
    LEAST_SIZE,
    SHIFT_SCALE,
    STRENGTH_SCALE,
    RefinedPart,
    Refinement,
)

__all__ = ["PartRefiner", "RefinerWeights"]

FloatArray = npt.NDArray[np.float32]
HalfArray = npt.NDArray[np.uint16]

_ROWS = 16  # of a matrix that all parts use before the next ones: these stay in the first-level cache
_HALF_EXPONENTS = np.float32(2.0**112)  # between the exponent biases of float16 and float32
_FAINT = -16.0  # exp(-16) of the strongest weight changes nothing

RefinerWeights = Mapping[str, FloatArray]
"""A `Refiner`'s state dict: "norm", "parts.face.0.mix.weight", ..."""


@fused_kernel
def _sample(maps: FloatArray, x: float, y: float, out: FloatArray) -> None:
    """Sample maps (H, W, C) at a place into `out` (C,), bilinear, 0 outside."""
    height, width, _ = maps.shape
    left, top = np.floor(x - 0.5), np.floor(y - 0.5)
    right_share, low_share = np.float32(x - 0.5 - left), np.float32(y - 0.5 - top)
    out[:] = 0.0
    if not (-1.0 <= left < width and -1.0 <= top < height):  # NaN fails both
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
    """Add rows (M, K) times a large matrix (K, N) to `out` (M, N).

    Reading such a matrix from memory takes the most time, which float16 halves.

    Args:
        matrix: (K, N), or (0, 0) where `halves` is given.
        halves: the bits of the matrix in float16, (K, N), or (0, 0).
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
    """Return the two cells of a row that a place lies between, and the share of each; 0 for one outside."""
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
    """Read local map j of (H, W, n) around a place into `seen` (3,); see `model.refine`."""
    height, width, maps = local.shape
    radius = np.float32(max(reach * size, LEAST_REACH))
    step = np.float32(2.0) / np.float32(EVIDENCE_SIDE - 1)
    found = np.empty((EVIDENCE_SIDE, EVIDENCE_SIDE), np.float32)
    unit = np.empty(EVIDENCE_SIDE, np.float32)
    left, right = np.empty(EVIDENCE_SIDE, np.int64), np.empty(EVIDENCE_SIDE, np.int64)
    left_share, right_share = np.empty(EVIDENCE_SIDE, np.float32), np.empty(EVIDENCE_SIDE, np.float32)
    for b in range(EVIDENCE_SIDE):
        unit[b] = b * step - np.float32(1.0)
        first, second, left_share[b], right_share[b] = _between(x + unit[b] * radius, width)
        left[b], right[b] = first * maps + j, second * maps + j
    rows = local.reshape(height, width * maps)
    strongest, heaviest = np.float32(-np.inf), np.float32(-np.inf)
    for a in range(EVIDENCE_SIDE):
        above, below, high, low = _between(y + unit[a] * radius, height)
        upper, lower = rows[above], rows[below]
        for b in range(EVIDENCE_SIDE):
            value = high * (left_share[b] * upper[left[b]] + right_share[b] * upper[right[b]])
            value += low * (left_share[b] * lower[left[b]] + right_share[b] * lower[right[b]])
            strongest = max(strongest, value)
            found[a, b] = value - (unit[a] * unit[a] + unit[b] * unit[b])
            heaviest = max(heaviest, found[a, b])
    total, shift_x, shift_y = np.float32(0.0), np.float32(0.0), np.float32(0.0)
    for a in range(EVIDENCE_SIDE):
        for b in range(EVIDENCE_SIDE):
            faintness = found[a, b] - heaviest
            if faintness > _FAINT:
                weight = np.exp(faintness)
                total += weight
                shift_x += weight * unit[b]
                shift_y += weight * unit[a]
    scale = np.float32(SHIFT_SCALE) * radius / np.float32(size)
    seen[0], seen[1] = scale * shift_x / total, scale * shift_y / total
    seen[2] = np.float32(STRENGTH_SCALE) * strongest


class Steps(NamedTuple):
    """The weights of all steps of a part, as the kernel reads them; n points, C channels.

    Attributes:
        reach: (steps,), or empty for a part that reads no local maps.
        read: (steps, C, width), of the feature map at a point, the norm multiplied in.
        who: (steps, n, width), of each point, the bias of `read` added.
        mix: (steps, n * (width + evidence) + 2 n, hidden) in float32, or (steps, 0, 0).
        mix_halves: the bits of the same matrices in float16, where `mix` is empty; else (steps, 0, 0).
        mix_bias: (steps, hidden).
        out: (steps, hidden, 3 n).
        out_bias: (steps, 3 n).
    """

    reach: FloatArray
    read: FloatArray
    who: FloatArray
    mix: FloatArray
    mix_halves: HalfArray
    mix_bias: FloatArray
    out: FloatArray
    out_bias: FloatArray


@fused_kernel
def _refine(
    features: FloatArray, local: FloatArray, points: FloatArray, confidence: FloatArray, weights: Steps
) -> None:
    """Correct the points of all parts of a kind, in place.

    Args:
        features: (H, W, C).
        local: (H, W, n), not read where `weights.reach` is empty.
        points: (M, n, 2), changed in place.
        confidence: (M, n), written.
        weights: of the steps.
    """
    count, num_points, _ = points.shape
    steps, channels, width = weights.read.shape
    reads_local = len(weights.reach) > 0
    wide = width + (EVIDENCE if reads_local else 0)
    hidden = weights.mix_bias.shape[1]
    at, sampled = np.empty((num_points, 2), np.float32), np.empty((num_points, channels), np.float32)
    seen = np.empty((num_points, width), np.float32)
    mixed_of = np.empty((count, num_points * (wide + 2)), np.float32)
    middle, moved = np.empty((count, hidden), np.float32), np.empty((count, 3 * num_points), np.float32)
    size = np.empty(count, np.float32)
    for m in range(count):
        size[m] = LEAST_SIZE
        for axis in range(2):
            low, high = points[m, 0, axis], points[m, 0, axis]
            for i in range(num_points):
                low, high = min(low, points[m, i, axis]), max(high, points[m, i, axis])
            size[m] = max(size[m], high - low)
    for t in range(steps):
        for m in range(count):
            mean_x, mean_y = np.float32(0.0), np.float32(0.0)
            for i in range(num_points):
                at[i] = points[m, i]
                mean_x += at[i, 0]
                mean_y += at[i, 1]
                _sample(features, at[i, 0], at[i, 1], sampled[i])
            mean_x, mean_y = mean_x / np.float32(num_points), mean_y / np.float32(num_points)
            seen[:] = weights.who[t]
            _add_product(sampled, weights.read[t], seen)
            row = mixed_of[m]
            for i in range(num_points):
                for k in range(width):
                    row[i * wide + k] = max(seen[i, k], np.float32(0.0))
                if reads_local:
                    evidence = row[i * wide + width : (i + 1) * wide]
                    _evidence(local, i, at[i, 0], at[i, 1], size[m], weights.reach[t], evidence)
                row[num_points * wide + 2 * i] = (at[i, 0] - mean_x) / size[m]
                row[num_points * wide + 2 * i + 1] = (at[i, 1] - mean_y) / size[m]
            middle[m] = weights.mix_bias[t]
            moved[m] = weights.out_bias[t]
        _add_mixed(mixed_of, weights.mix[t], weights.mix_halves[t], middle)
        for m in range(count):
            for k in range(hidden):
                middle[m, k] = max(middle[m, k], np.float32(0.0))
        _add_product(middle, weights.out[t], moved)
        for m in range(count):
            for i in range(num_points):
                points[m, i, 0] += moved[m, 3 * i] * size[m]
                points[m, i, 1] += moved[m, 3 * i + 1] * size[m]
                confidence[m, i] = np.float32(1.0) / (np.float32(1.0) + np.exp(-moved[m, 3 * i + 2]))


def _in_halves(matrices: FloatArray) -> tuple[FloatArray, HalfArray]:
    """Return matrices in float32, and the bits of float16 if that changes no number; one of both is empty."""
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
        part: the kind of part.
        channels: of the feature map.
        weights: of the steps.
    """

    part: RefinedPart
    channels: int
    weights: Steps

    @classmethod
    def of(cls, part: RefinedPart, refinement: Refinement, weights: RefinerWeights) -> PartRefiner:
        """Take a part's weights out of a refinement's.

        Raises:
            ModelError: they are missing or of another shape.
        """
        points, width, hidden = part.num_keypoints, part.width, refinement.hidden
        inputs = points * (width + part.evidence + 2)
        channels = refinement.features

        def get(name: str, *shape: int) -> FloatArray:
            weight = weights.get(name)
            if weight is None or weight.shape != shape:
                has = "missing" if weight is None else weight.shape
                raise ModelError(f"the refinement's {name} is {has}, not {shape}")
            return weight

        def stacked(weight_of: Callable[[str], FloatArray]) -> FloatArray:
            steps = [weight_of(f"parts.{part.name}.{step}") for step in range(part.steps)]
            return np.ascontiguousarray(np.stack(steps), np.float32)

        norm = get("norm", channels)
        mix, mix_halves = _in_halves(stacked(lambda step: get(f"{step}.mix.weight", hidden, inputs).T))
        return cls(
            part,
            channels,
            Steps(
                reach=np.array(part.reach, np.float32),
                read=stacked(lambda step: get(f"{step}.read.weight", width, channels).T * norm[:, None]),
                who=stacked(lambda step: get(f"{step}.who", points, width) + get(f"{step}.read.bias", width)),
                mix=mix,
                mix_halves=mix_halves,
                mix_bias=stacked(lambda step: get(f"{step}.mix.bias", hidden)),
                out=stacked(lambda step: get(f"{step}.out.weight", 3 * points, hidden).T),
                out_bias=stacked(lambda step: get(f"{step}.out.bias", 3 * points)),
            ),
        )

    def __call__(
        self, features: FloatArray, local: FloatArray, points: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Correct the points of parts of this kind.

        Args:
            features: (H, W, C) float32, C-contiguous.
            local: (H, W, n) float32, C-contiguous.
            points: (M, n, 2) float32, without NaN.

        Returns:
            new points (M, n, 2), and the confidence of each (M, n) in [0, 1].

        Raises:
            ShapeError: an array is of another shape; they are read without further checks.
        """
        num_points = self.part.num_keypoints
        wrong = points.ndim != 3 or points.shape[1:] != (num_points, 2)
        wrong |= features.ndim != 3 or features.shape[2] != self.channels
        if self.part.reach:
            wrong |= local.shape != (*features.shape[:2], num_points)
        if wrong:
            raise ShapeError(
                f"{self.part.name} is {num_points} points on {self.channels} channels, got {points.shape} on "
                f"{features.shape} and local maps {local.shape}"
            )
        refined = points.astype(np.float32, order="C")
        confidence = np.zeros(points.shape[:2], np.float32)
        _refine(features, local, refined, confidence, self.weights)
        return refined, confidence
