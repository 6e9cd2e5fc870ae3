"""People of BODY_25 and BODY_135: connections, strongest first, and the rules for who counts as a person.

Source: OpenPose's bodyPartConnectorBase.cpp, as it works on a GPU.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from hprnet_rt.grouping.compiled import kernel
from hprnet_rt.grouping.rivals.fields import Connections, PartPeaks

__all__ = ["AffinityPeople", "assemble"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

_PART_WEIGHT: Final = 0.1  # of both ends in the order of connections
_LEAST_PARTS: Final = 3
_LEAST_MEAN: Final = 0.4
_MOST_PEOPLE: Final = 127
_FEET: Final = slice(19, 25)
_HANDS: Final = (slice(45, 65), slice(25, 45))
_FACE: Final = slice(65, 135)
_LEAST_WITH_FEET: Final = 4
_MARGIN, _VALID_MARGIN = 0.2, 0.1  # around a lone face, and around one with a body
_SURE_OVERLAP, _ANY_OVERLAP, _FEW_FACES = 0.3, 0.01, 3


class AffinityPeople(NamedTuple):
    """Everyone in a picture.

    Attributes:
        peak: (N, parts) number among all peaks, -1 where absent.
        total: (N,) sum of the scores of parts and connections.
    """

    peak: IntArray
    total: FloatArray


@kernel
def _gather(
    pair: IntArray, ends: IntArray, score: FloatArray, peak_score: FloatArray, pairs: IntArray, parts: int
) -> tuple[IntArray, IntArray, FloatArray]:
    """Make people of connections in their order; see `assemble`."""
    owner = np.full(len(peak_score), -1, np.int64)
    member = np.full((len(pair), parts), -1, np.int64)
    count = np.zeros(len(pair), np.int64)
    total = np.zeros(len(pair), np.float32)
    people = 0
    for n in range(len(pair)):
        a, b = pairs[pair[n]]
        i, j = ends[n]
        one, other = owner[i], owner[j]
        if one < 0 and other < 0:
            member[people, a], member[people, b] = i, j
            count[people] = 2
            total[people] = peak_score[i] + peak_score[j] + score[n]
            owner[i] = owner[j] = people
            people += 1
        elif one < 0 or other < 0:
            who = max(one, other)
            part, peak = (a, i) if one < 0 else (b, j)
            if member[who, part] < 0:
                member[who, part] = peak
                count[who] += 1
                total[who] += peak_score[peak] + score[n]
                owner[peak] = who
        elif one == other:
            total[one] += score[n]
        else:
            low, high = min(one, other), max(one, other)
            common = False
            for part in range(parts):
                common |= member[low, part] >= 0 and member[high, part] >= 0
            if common:
                continue
            for part in range(parts):
                if member[high, part] >= 0:
                    member[low, part] = member[high, part]
                    owner[member[high, part]] = low
            count[low] += count[high]
            total[low] += total[high] + score[n]
            count[high] = 0
    return member[:people], count[:people], total[:people]


def assemble(peaks: PartPeaks, connections: Connections, pairs: IntArray) -> AffinityPeople:
    """Make people of connected peaks.

    Connections are taken strongest first, with a tenth of the scores of their ends added; equal ones with the
    higher pair and peak first. Two people who have a part twice stay two.

    Args:
        peaks: of all parts.
        connections: between them.
        pairs: (pairs, 2), the parts of each.
    """
    pair, ends, score = connections
    parts = len(peaks.first) - 1
    weighed = score + np.float32(_PART_WEIGHT) * (peaks.score[ends[:, 0]] + peaks.score[ends[:, 1]])
    order = np.lexsort((ends[:, 1], ends[:, 0], pair, score, weighed))[::-1]
    member, count, total = _gather(pair[order], ends[order], score[order], peaks.score, pairs, parts)
    alive = count > 0
    return _chosen(peaks, member[alive], count[alive], total[alive])


def _found(member: IntArray, parts: slice) -> IntArray:
    return np.asarray(np.count_nonzero(member[:, parts] >= 0, axis=1), np.int64)


def _chosen(peaks: PartPeaks, member: IntArray, count: IntArray, total: FloatArray) -> AffinityPeople:
    """Return who counts as a person: enough parts, of which a face, a hand or feet are not many."""
    whole_body = member.shape[1] >= _FACE.stop
    lone = np.zeros(len(member), bool)
    has_face = lone.copy()
    if whole_body:
        face = np.maximum(_found(member, _FACE) - 1, 0)
        count = count - face
        lone = count == 1
        has_face = (face > 0) & ~lone
        for hand in _HANDS:
            count = count - np.maximum(_found(member, hand) - 1, 0)
    feet = _found(member, _FEET)
    with_feet = count - feet
    few = (feet > 0) & (with_feet <= _LEAST_WITH_FEET)
    kept = _kept(with_feet, total) & ~few & ~lone
    if not kept.any():
        kept = _kept(count, total) & ~lone
    if kept.any() and lone.any():
        member, total = member.copy(), total.copy()
        _give_faces(peaks, member, total, np.flatnonzero(lone), np.flatnonzero(has_face))
    chosen = np.flatnonzero(kept)[:_MOST_PEOPLE]
    return AffinityPeople(member[chosen], total[chosen])


def _kept(count: IntArray, total: FloatArray) -> npt.NDArray[np.bool_]:
    return (count >= _LEAST_PARTS) & (total >= np.float32(_LEAST_MEAN) * count)


def _face_box(peaks: PartPeaks, member: IntArray, margin: float) -> FloatArray:
    """Return x, y, width and height of a face, as the original widens them."""
    found = member[_FACE]
    xy = peaks.xy[found[found >= 0]]
    low, high = xy.min(axis=0), xy.max(axis=0)
    return np.concatenate((low - margin * high, high - low + 3 * margin * high + 1))


def _overlap(a: FloatArray, b: FloatArray) -> float:
    """Return the intersection of two boxes divided by their union."""
    sides = np.minimum(a[:2] + a[2:], b[:2] + b[2:]) - np.maximum(a[:2], b[:2])
    both = float(np.prod(np.maximum(sides, 0)))
    return both / (float(np.prod(a[2:]) + np.prod(b[2:])) - both)


def _give_faces(
    peaks: PartPeaks, member: IntArray, total: FloatArray, lone: IntArray, valid: IntArray
) -> None:
    """Give the points of faces without a body to the faces that they overlap most, in place."""
    boxes = [_face_box(peaks, member[who], _VALID_MARGIN) for who in valid]
    for face in lone:
        box = _face_box(peaks, member[face], _MARGIN)
        overlaps = [_overlap(box, each) for each in boxes]
        if not overlaps:
            continue
        best = int(np.argmax(overlaps))
        if not (
            overlaps[best] > _SURE_OVERLAP or (overlaps[best] > _ANY_OVERLAP and len(valid) < _FEW_FACES)
        ):
            continue
        who = valid[best]
        for part in range(_FACE.start, _FACE.stop):
            new, old = member[face, part], member[who, part]
            before = peaks.score[old] if old >= 0 else np.float32(0)
            if new >= 0 and peaks.score[new] > before:
                member[who, part] = new
                total[who] += peaks.score[new] - before
