"""The maps that a rival's network would return for a scene in which it sees everyone."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from hprnet_rt import skeleton
from hprnet_rt.bench.scenes import places, template_points
from hprnet_rt.grouping.rivals import Placement, maps_of, peaks_of, tables
from hprnet_rt.spec import ModelSpec
from hprnet_rt.types import Peaks

__all__ = ["people_in", "planted_maps"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

_PEAK: Final = 0.9
_SPREAD: Final = 1.0  # cells, of a peak
_FIELD_WIDTH: Final = 1.0  # cells, to each side of a pair
_TAG_STEP: Final = 2.0  # between the tags of two people
_SHOULDERS: Final = (5, 6)
_HIPS: Final = (11, 12)
_OPENPOSE: Final = {
    "openpose-body18": (tables.BODY18_TO_133, tables.BODY18_PAIRS, tables.BODY18_FIELDS),
    "openpose-body25": (tables.BODY25_TO_133, tables.BODY25_PAIRS, tables.BODY25_FIELDS),
    "openpose-body135": (tables.BODY135_TO_133, tables.BODY135_PAIRS, tables.BODY135_FIELDS),
}
_BETWEEN: Final = {
    "openpose-body18": {1: _SHOULDERS},
    "openpose-body25": {1: _SHOULDERS, 8: _HIPS},
    "openpose-body135": {17: _SHOULDERS, 18: (1, 2), 133: (59, 63), 134: (65, 69)},
}
"""Parts that we lack, and our points between which they lie: neck, hips, the head's top, the pupils."""


def people_in(people: int, image_hw: tuple[int, int]) -> list[FloatArray]:
    """Return the points (133, 2) in px of everyone in a scene's picture, who all stand alike."""
    height, width = image_hw
    template = template_points()
    return [
        np.asarray(
            ((place.left, place.top) + template * (place.width, place.height)) * (width, height), np.float32
        )
        for place in places(people, width / height)
    ]


def planted_maps(spec: ModelSpec, people: int, placement: Placement) -> Peaks:
    """Make the maps of a scene.

    Args:
        spec: the network; of a body, or of associative embedding.
        people: in the scene.
        placement: of the scene's picture in the input.
    """
    peaks = peaks_of(spec, np.zeros((1, _values(spec, placement)), np.float32), placement)
    maps = maps_of(spec, peaks)[0]
    scale = np.array(placement.scale / spec.stride_px, np.float32)
    shift = np.array(placement.shift, np.float32) / spec.stride_px
    for n, points in enumerate(people_in(people, placement.image_hw)):
        cells = np.asarray(points * scale + shift, np.float32)
        if spec.decoding == "associative":
            _plant_tags(maps, cells, _TAG_STEP * (n + 1))
        else:
            _plant_fields(spec.name, maps[0], maps[1], cells)
    return peaks


def _values(spec: ModelSpec, placement: Placement) -> int:
    """Return the number of values in all maps."""
    rows, columns = (side // spec.stride_px for side in placement.input_hw)
    first, *finer = (head.channels * rows * columns for head in spec.heads)
    more = 4 if spec.decoding == "associative" else 1
    return first + sum(more * each for each in finer)


def _add_peak(heat: FloatArray, at: FloatArray) -> None:
    """Raise a map (h, w) to a bell around a place in cells; pixel i covers [i, i + 1)."""
    x, y = at
    rows, columns = heat.shape
    left, top = max(int(x) - 3, 0), max(int(y) - 3, 0)
    u, v = np.arange(left, min(left + 8, columns)) + 0.5, np.arange(top, min(top + 8, rows)) + 0.5
    bell = _PEAK * np.exp(-((u[None] - x) ** 2 + (v[:, None] - y) ** 2) / (2 * _SPREAD**2))
    window = heat[top : top + len(v), left : left + len(u)]
    np.maximum(window, bell, out=window)


def _plant_tags(maps: list[FloatArray], cells: FloatArray, tag: float) -> None:
    points = skeleton.NUM_KEYPOINTS
    coarse, fine = maps[0], maps[1:]
    for point, at in enumerate(cells):
        _add_peak(coarse[point], at)
        for finer in fine:
            _add_peak(finer[point], 2 * at)
        x, y = (int(value) for value in at)
        coarse[points + point, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2] = tag


def _plant_fields(name: str, heat: FloatArray, paf: FloatArray, cells: FloatArray) -> None:
    ours, pairs, channels = _OPENPOSE[name]
    parts = np.zeros((int(pairs.max()) + 1, 2), np.float32)
    for point in reversed(range(len(ours))):  # a wrist is a hand's root too, but lies elsewhere
        if ours[point] >= 0:
            parts[ours[point]] = cells[point]
    for part, between in _BETWEEN[name].items():
        parts[part] = cells[list(between)].mean(axis=0)
    for part, at in enumerate(parts):
        _add_peak(heat[part], at)
    for (a, b), channel in zip(pairs, channels, strict=True):
        _add_field(paf[channel : channel + 2], parts[a], parts[b])


def _add_field(field: FloatArray, start: FloatArray, end: FloatArray) -> None:
    """Write the direction of a pair into its field (2, h, w), around the way between its ends."""
    way = end - start
    length = max(float(np.linalg.norm(way)), 1e-3)
    unit = way / length
    low = np.floor(np.minimum(start, end) - 2).astype(int).clip(0)
    high = np.ceil(np.maximum(start, end) + 2).astype(int)
    window = field[:, low[1] : high[1], low[0] : high[0]]
    v, u = np.mgrid[0 : window.shape[1], 0 : window.shape[2]]
    away = np.stack((u + low[0] + 0.5 - start[0], v + low[1] + 0.5 - start[1]))
    along = unit[0] * away[0] + unit[1] * away[1]
    across = np.abs(unit[0] * away[1] - unit[1] * away[0])
    inside = (across <= _FIELD_WIDTH) & (along >= -1) & (along <= length + 1)
    window[:, inside] = unit[:, None]
