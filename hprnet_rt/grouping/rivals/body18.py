"""People of COCO-18, as the PyTorch port of OpenPose that most programs carry makes them.

Source: Cao et al., "Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields" (2017); the rules of
Hzzone's pytorch-openpose.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from hprnet_rt.grouping.compiled import kernel
from hprnet_rt.grouping.rivals.tables import BODY18_FIELDS, BODY18_PAIRS

__all__ = ["PARTS", "Body18", "decode", "find_limbs", "find_peaks", "smoothed", "to_image_size"]

FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

PARTS: Final = 18
_SIGMA: Final = 3.0
_TAPS: Final = 25  # of the Gaussian: four deviations to each side
_PEAK: Final = 0.1  # least value of a peak
_FIELD: Final = 0.05  # least value of a field that supports a limb
_POINTS, _SUPPORTED = 10, 8  # of a limb, and more than how many must lie in its field
_MAKES_PEOPLE: Final = 17  # the first limbs; the last two connect ears with shoulders, and make nobody
_LEAST_PARTS, _LEAST_MEAN = 4, 0.4
_STRIDE_PX: Final = 8


class Body18(NamedTuple):
    """Everyone in a picture, as the port returns them.

    Attributes:
        candidate: (n, 3) x, y and score of every peak, part after part.
        subset: (N, 20) numbers of the 18 parts' peaks (-1 where absent), the score, and the parts found.
    """

    candidate: DoubleArray
    subset: DoubleArray


def to_image_size(
    low: FloatArray, input_hw: tuple[int, int], inner_hw: tuple[int, int], image_hw: tuple[int, int]
) -> FloatArray:
    """Enlarge maps (C, h, w) to the input, cut the padding, and scale them to the image: (C, H, W)."""
    height, width = image_hw
    large = np.empty((len(low), height, width), np.float32)
    for source, target in zip(low, large, strict=True):
        whole = cv2.resize(source, input_hw[::-1], interpolation=cv2.INTER_CUBIC)
        cv2.resize(
            whole[: inner_hw[0], : inner_hw[1]], (width, height), target, interpolation=cv2.INTER_CUBIC
        )
    return large


def smoothed(heat: npt.NDArray[Any]) -> DoubleArray:
    """Return a map (H, W) after a Gaussian of three pixels; it is mirrored at the borders."""
    double = np.asarray(heat, np.float64)
    return np.asarray(cv2.GaussianBlur(double, (_TAPS, _TAPS), _SIGMA, borderType=cv2.BORDER_REFLECT))


@kernel
def _peaks_of(smooth: DoubleArray, heat: npt.NDArray[Any], most: int) -> DoubleArray:
    """Return the peaks (n, 3) of a map, x, y and the unsmoothed value, row by row."""
    height, width = smooth.shape
    found = np.empty((most, 3), np.float64)
    count = 0
    for y in range(height):
        for x in range(width):
            value = smooth[y, x]
            if value <= _PEAK:
                continue
            if (y > 0 and smooth[y - 1, x] > value) or (y + 1 < height and smooth[y + 1, x] > value):
                continue
            if (x > 0 and smooth[y, x - 1] > value) or (x + 1 < width and smooth[y, x + 1] > value):
                continue
            if count < most:
                found[count, 0], found[count, 1], found[count, 2] = x, y, heat[y, x]
            count += 1
    return found[: min(count, most)]


def find_peaks(heat: npt.NDArray[Any]) -> tuple[DoubleArray, IntArray]:
    """Return the peaks of the parts' heat-maps (18 or more, H, W).

    Returns:
        candidates (n, 3), part after part, and (19,) where each part's begin.
    """
    most = heat.shape[1] * heat.shape[2] // 4 + 1
    found = [_peaks_of(smoothed(each), each, most) for each in heat[:PARTS]]
    first = np.concatenate(([0], np.cumsum([len(each) for each in found])))
    return np.concatenate(found), first


@kernel
def _limbs(
    candidate: DoubleArray, first: IntArray, paf: npt.NDArray[Any], pairs: IntArray, fields: IntArray
) -> tuple[IntArray, DoubleArray]:
    """Return the limbs: number of the pair and of both peaks (n, 3), and scores (n,)."""
    height = paf.shape[1]
    who = np.empty((len(candidate) * len(pairs) + 1, 3), np.int64)
    score = np.empty(len(who), np.float64)
    made = 0
    for pair in range(len(pairs)):
        a, b = pairs[pair]
        most = (first[a + 1] - first[a]) * (first[b + 1] - first[b])
        ends = np.empty((most, 2), np.int64)
        values = np.empty(most, np.float64)
        count = 0
        for i in range(first[a], first[a + 1]):
            for j in range(first[b], first[b + 1]):
                dx = candidate[j, 0] - candidate[i, 0]
                dy = candidate[j, 1] - candidate[i, 1]
                length = max(0.001, np.sqrt(dx * dx + dy * dy))
                total, supported = 0.0, 0
                for n in range(_POINTS):
                    x = int(np.rint(candidate[i, 0] + n * dx / (_POINTS - 1)))
                    y = int(np.rint(candidate[i, 1] + n * dy / (_POINTS - 1)))
                    value = dx / length * paf[fields[pair], y, x] + dy / length * paf[fields[pair] + 1, y, x]
                    total += value
                    supported += value > _FIELD
                mean = total / _POINTS + min(0.5 * height / length - 1, 0.0)
                if supported > _SUPPORTED and mean > 0:
                    ends[count, 0], ends[count, 1], values[count] = i, j, mean
                    count += 1
        order = np.argsort(-values[:count], kind="mergesort")
        taken = np.zeros(len(candidate), np.bool_)
        for n in order:
            i, j = ends[n]
            if not (taken[i] or taken[j]):
                taken[i] = taken[j] = True
                who[made, 0], who[made, 1], who[made, 2] = pair, i, j
                score[made] = values[n]
                made += 1
    return who[:made], score[:made]


def find_limbs(
    candidate: DoubleArray, first: IntArray, paf: npt.NDArray[Any]
) -> tuple[IntArray, DoubleArray]:
    """Connect peaks along the fields (38, H, W), each peak once in a pair, the strongest first.

    Returns:
        number of the pair and of both peaks (n, 3), and the limbs' scores (n,).
    """
    return _limbs(candidate, first, np.ascontiguousarray(paf), BODY18_PAIRS, BODY18_FIELDS)


@kernel
def _assemble(
    who: IntArray, score: DoubleArray, candidate: DoubleArray, pairs: IntArray, parts: int
) -> DoubleArray:
    rows = np.full((len(who), parts + 2), -1.0)
    people = 0
    for n in range(len(who)):
        pair, i, j = who[n]
        a, b = pairs[pair]
        one = other = -1
        for row in range(people):
            if rows[row, a] == i or rows[row, b] == j:
                if one < 0:
                    one = row
                elif other < 0:
                    other = row
        added = candidate[j, 2] + score[n]
        if one < 0:
            if pair < _MAKES_PEOPLE:
                rows[people, a], rows[people, b] = i, j
                rows[people, parts] = candidate[i, 2] + added
                rows[people, parts + 1] = 2
                people += 1
            continue
        apart = other >= 0
        for part in range(parts):
            apart = apart and not (rows[one, part] >= 0 and rows[other, part] >= 0)
        if apart:
            for part in range(parts):
                rows[one, part] += rows[other, part] + 1
            rows[one, parts] += rows[other, parts] + score[n]
            rows[one, parts + 1] += rows[other, parts + 1]
            for row in range(other, people - 1):
                rows[row] = rows[row + 1]
            people -= 1
            rows[people] = -1.0
        elif other >= 0 or rows[one, b] != j:
            rows[one, b] = j
            rows[one, parts] += added
            rows[one, parts + 1] += 1
    return rows[:people]


def _people(who: IntArray, score: DoubleArray, candidate: DoubleArray) -> DoubleArray:
    """Make people (N, 20) of limbs; see `Body18`.

    Args:
        who, score: from `find_limbs`.
        candidate: from `find_peaks`.
    """
    rows = _assemble(who, score, candidate, BODY18_PAIRS, PARTS)
    count = rows[:, PARTS + 1]
    return np.asarray(rows[(count >= _LEAST_PARTS) & (rows[:, PARTS] / np.maximum(count, 1) >= _LEAST_MEAN)])


def decode(heat: npt.NDArray[Any], paf: npt.NDArray[Any]) -> Body18:
    """Find everyone in heat-maps (19, H, W) and fields (38, H, W) of the image's size."""
    candidate, first = find_peaks(heat)
    who, score = find_limbs(candidate, first, paf)
    return Body18(candidate, _people(who, score, candidate))
