"""From dense heads to people: the decode of whole maps, in NumPy.

Engines do the first half, the rows of `PeakLayout`, in their graph.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import ShapeError, UsageError
from hprnet_rt.geometry import Letterbox
from hprnet_rt.grouping.compiled import kernel
from hprnet_rt.grouping.grouper import Grouper, GroupingOptions
from hprnet_rt.spec import ModelSpec, PartSpec, PeakLayout
from hprnet_rt.types import Peaks, Poses

__all__ = ["decode_dense", "pack_peaks", "probability", "top_peaks"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@kernel
def top_peaks(heat: FloatArray, k: int, above: float) -> tuple[FloatArray, IntArray]:
    """Return the k strongest 3x3 local maxima of each channel, strongest first.

    Args:
        heat: (C, H, W) logits or scores.
        k: peaks per channel.
        above: peaks are greater than this.

    Returns:
        value (C, k), and row-major cell number (C, k), -1 where there are fewer peaks.

    Equal neighbours both count; equal values keep row-major order. NaN is not a peak, and does not hide one
    beside it.
    Source: Zhou et al., "Objects as Points" (2019), section 3.
    """
    channels, height, width = heat.shape
    value = np.full((channels, k), -np.inf, np.float32)
    cell = np.full((channels, k), -1, np.int64)
    for c in range(channels):
        found = 0
        for y in range(height):
            for x in range(width):
                here = heat[c, y, x]
                if not here > above or (found == k and here <= value[c, k - 1]):
                    continue
                highest = True
                for near_y in range(max(0, y - 1), min(height, y + 2)):
                    for near_x in range(max(0, x - 1), min(width, x + 2)):
                        if heat[c, near_y, near_x] > here:
                            highest = False
                if not highest:
                    continue
                at = found if found < k else k - 1
                while at > 0 and value[c, at - 1] < here:
                    value[c, at], cell[c, at] = value[c, at - 1], cell[c, at - 1]
                    at -= 1
                value[c, at], cell[c, at] = here, y * width + x
                found = min(found + 1, k)
    return value, cell


def probability(values: FloatArray, known: bool = False) -> FloatArray:
    """Return the sigmoid of logits, or the values themselves when they are known probabilities."""
    if known:
        return values
    with np.errstate(over="ignore"):  # exp of a large number is infinite: probability 0
        return (1.0 / (1.0 + np.exp(-values.astype(np.float64)))).astype(np.float32)


def _require_heads(heads: Mapping[str, FloatArray], spec: ModelSpec) -> dict[str, FloatArray]:
    """Return the spec's heads as contiguous float32.

    Raises:
        ShapeError: some are missing, or are not floating-point (N, channels, H, W) with one N, H, W.
    """
    missing = [head.name for head in spec.heads if head.name not in heads]
    if missing:
        raise ShapeError(f"{spec.name} has heads that are missing here: {', '.join(missing)}")
    shape = np.shape(heads["hm"])
    if len(shape) != 4 or shape[1] != 1 or 0 in shape[2:]:
        raise ShapeError(f"head hm is (N, 1, H, W), got {shape}")
    batch, _, height, width = shape
    for head in spec.heads:
        values, expected = heads[head.name], (batch, head.channels, height, width)
        if np.shape(values) != expected:
            raise ShapeError(f"head {head.name} is {expected}, got {np.shape(values)}")
        if not isinstance(values, np.ndarray) or values.dtype.kind != "f":
            actual = getattr(values, "dtype", type(values).__name__)
            raise ShapeError(f"head {head.name} is a floating-point array, got {actual}")
    return {head.name: np.ascontiguousarray(heads[head.name], np.float32) for head in spec.heads}


def _points_at(maps: FloatArray, part: PartSpec, cells: IntArray) -> FloatArray:
    """Read the absolute points (k, 2P) of a part at the cells (k,) of its head (C, H, W)."""
    channels = slice(part.first_channel, part.first_channel + 2 * part.num_keypoints)
    y, x = np.divmod(cells, maps.shape[2])
    offsets = maps[channels][:, y, x].T.reshape(len(cells), part.num_keypoints, 2)
    middle = np.stack((x, y), axis=1).astype(np.float32)
    return (middle[:, None] + offsets).reshape(len(cells), -1)


def _pack_one(maps: Mapping[str, FloatArray], spec: ModelSpec, probabilities: bool, out: FloatArray) -> None:
    """Write the rows of one image, whose heads are (C, H, W), into `out` (k, layout width), which is 0."""
    columns, joints, k = PeakLayout.of(spec).columns, spec.num_joints, len(out)
    _, height, width = maps["hm"].shape
    above = 0.0 if probabilities else -np.inf

    value, cell = top_peaks(maps["hm"], k, above)
    people = int(np.count_nonzero(cell[0] >= 0))
    y, x = np.divmod(cell[0, :people], width)
    person_cell = np.stack((x, y), axis=1).astype(np.float32)
    regressed = person_cell[:, None] + maps["hps"][:, y, x].T.reshape(people, joints, 2)
    floored = np.nan_to_num(np.floor(regressed), nan=-1.0)
    inside = np.clip(floored, 0, np.array([width - 1, height - 1], np.float32))
    regressed_cell = (inside[..., 1].astype(np.int64) * width) + inside[..., 0].astype(np.int64)
    regressed_value = maps["hm_hp"].reshape(joints, -1)[np.arange(joints), regressed_cell]
    on_map = (floored == inside).all(axis=2)
    out[:people, columns["person_score"]] = probability(value[0, :people, None], probabilities)
    out[:people, columns["person_cell"]] = person_cell
    for field, head in spec.person_fields.items():
        out[:people, columns[field]] = maps[head][:, y, x].T
    out[:people, columns["joint_regressed"]] = regressed.reshape(people, -1)
    out[:people, columns["joint_regressed_score"]] = np.where(
        on_map, probability(regressed_value, probabilities), np.float32(0)
    )

    peak_value, peak_cell = top_peaks(maps["hm_hp"], k, above)
    exists = peak_cell >= 0
    y, x = np.divmod(np.maximum(peak_cell, 0), width)
    first = 2 * np.arange(joints)[:, None] if spec.offset_per_joint else np.zeros((1, 1), np.int64)
    peak_xy = np.stack((x + maps["hp_offset"][first, y, x], y + maps["hp_offset"][first + 1, y, x]), axis=2)
    peak_xy[~exists] = 0.0
    out[:, columns["peak_xy"]] = peak_xy.transpose(1, 0, 2).reshape(k, -1)
    out[:, columns["peak_score"]] = np.where(exists, probability(peak_value, probabilities), 0.0).T

    for part in spec.parts:
        joint = spec.joint(part.center)
        peaks = int(np.count_nonzero(exists[joint]))
        for place, cells in (("peak", peak_cell[joint, :peaks]), ("regressed", regressed_cell[:, joint])):
            rows = slice(len(cells))
            out[rows, columns[f"{part.name}_{place}"]] = _points_at(maps[part.head], part, cells)
            if part.size_head:
                y, x = np.divmod(cells, width)
                out[rows, columns[f"{part.name}_{place}_wh"]] = maps[part.size_head][:, y, x].T


def pack_peaks(
    heads: Mapping[str, FloatArray], spec: ModelSpec, k: int = 32, *, probabilities: bool = False
) -> FloatArray:
    """Return what an engine would return for these maps: the K rows of `PeakLayout` of every image.

    Args:
        heads: (N, channels, H, W) float32 of every head of `spec`, by name; others are ignored.
        spec: the network that the heads come from.
        k: people per image, and peaks per joint.
        probabilities: `hm` and `hm_hp` are probabilities, not logits.

    Returns:
        (N, k, layout width) float32, positions in output cells, scores as probabilities. A row, or a
        joint's peak, that does not exist because the map has fewer is 0 throughout.

    Raises:
        ShapeError: a head is missing or has another shape or type.
        UsageError: k is less than 1.

    Equal neighbours both count; equal scores keep row-major order.
    """
    if k < 1:
        raise UsageError(f"k is at least 1, got {k}")
    maps = _require_heads(heads, spec)
    out = np.zeros((len(maps["hm"]), k, PeakLayout.of(spec).width), np.float32)
    for n, rows in enumerate(out):
        _pack_one({name: values[n] for name, values in maps.items()}, spec, probabilities, rows)
    return out


@functools.lru_cache(maxsize=8)
def _grouper(spec: ModelSpec, options: GroupingOptions) -> Grouper:
    return Grouper(spec, options)


def decode_dense(
    heads: Mapping[str, FloatArray],
    spec: ModelSpec,
    letterboxes: Sequence[Letterbox] | None = None,
    *,
    k: int = 32,
    options: GroupingOptions | None = None,
    probabilities: bool = False,
) -> list[Poses]:
    """Find everyone in each image of a batch, from its dense heads.

    Args:
        heads, spec, k, probabilities: see `pack_peaks`.
        letterboxes: how each image was placed in the input; None leaves positions in output cells, with
            boxes that may reach beyond the map.
        options: thresholds, and how peaks are shared out.

    Returns:
        one `Poses` per image.

    Raises:
        ShapeError: a head is missing or has another shape or type, or a letterbox is of another input.
        UsageError: k is less than 1, or there is not one letterbox per image.
    """
    packed = pack_peaks(heads, spec, k, probabilities=probabilities)
    group = _grouper(spec, options or GroupingOptions())
    if letterboxes is None:
        return [group.in_cells(rows) for rows in packed]
    if len(letterboxes) != len(packed):
        raise UsageError(f"{len(packed)} images have {len(letterboxes)} letterboxes; give one for each")
    input_hw = tuple(spec.stride_px * side for side in heads["hm"].shape[2:])
    for n, letterbox in enumerate(letterboxes):
        if letterbox.input_hw != input_hw:
            raise ShapeError(f"letterbox {n} is of an input of {letterbox.input_hw}, the maps of {input_hw}")
    layout = PeakLayout.of(spec)
    return [
        group(Peaks(rows, layout, letterbox)) for rows, letterbox in zip(packed, letterboxes, strict=True)
    ]
