"""The targets of the heads for a sample: Gaussians on heat-maps, and offsets at person and part centres.

They are the paper's (Samet and Akbas, 2021, sections 3.1 and 4; Zhou et al., "Objects as Points", 2019) and
differ from the released code's in three ways. A part whose centre lies outside the map has no target (there
it has one at cell 0). Boxes end at the map's border on all sides (there one cell before it, at the right and
bottom). Regions with unlabelled people are left out of the heat-maps' losses.
"""

from __future__ import annotations

import functools
import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import ShapeError, UsageError
from hprnet_rt.grouping.compiled import kernel
from hprnet_rt.spec import ModelSpec
from hprnet_rt.training.local_maps import local_targets
from hprnet_rt.training.sample import BOXED_PARTS, Sample

__all__ = ["HEAT_TARGETS", "OVERLAP", "Targets", "gaussian_radius", "make_targets", "zero_where_unknown"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

Targets = dict[str, npt.NDArray[Any]]
"""Arrays by name. Their shapes depend only on the network and the input's size; see `make_targets`."""

HEAT_TARGETS: Final = ("hm", "hm_known", "hm_hp", "hm_hp_known", "local", "local_window")
"""The targets that are maps; all others have one row per person."""

OVERLAP: Final = 0.7


def gaussian_radius(height: float, width: float, overlap: float = OVERLAP) -> float:
    """Return how far the corners of a box may move until it overlaps too little with the original box.

    The radius has the unit of the sides. The corners may move apart, together, or both in the same direction.
    Each case is a quadratic a r^2 - b r + c = 0 in the radius, and the smallest solution counts. Like
    CenterNet, and like CornerNet as published, this takes (b + sqrt(b^2 - 4ac)) / 2 as the solution, which is
    the root only where a = 1: published weights were trained with these radii.

    Args:
        height, width: sides of the box.
        overlap: least intersection over union with the original box.

    Source: Law and Deng, "CornerNet" (2018), section 3.2.
    """
    around, area = height + width, height * width
    cases = (
        (1.0, around, area * (1.0 - overlap) / (1.0 + overlap)),
        (4.0, 2.0 * around, area * (1.0 - overlap)),
        (4.0 * overlap, -2.0 * overlap * around, -area * (1.0 - overlap)),
    )
    return min((b + math.sqrt(b * b - 4.0 * a * c)) / 2.0 for a, b, c in cases)


@kernel
def _draw_gaussians(heat: FloatArray, channel: IntArray, cell_xy: IntArray, radius: IntArray) -> None:
    """Draw Gaussians into heat (C, h, w), keeping the higher value where they overlap.

    Args:
        heat: (C, h, w) maps.
        channel: (G,) number of the map.
        cell_xy: (G, 2) centre, on the map.
        radius: (G,) cells around the centre, in x and y, that a Gaussian covers.
    """
    _, height, width = heat.shape
    for i in range(len(channel)):
        r = radius[i]
        sigma = (2 * r + 1) / 6.0
        side = np.exp(-((np.arange(r + 1) / sigma) ** 2) / 2.0)
        x, y = cell_xy[i]
        for row in range(max(0, y - r), min(height, y + r + 1)):
            for column in range(max(0, x - r), min(width, x + r + 1)):
                value = np.float32(side[abs(row - y)] * side[abs(column - x)])
                if value > heat[channel[i], row, column]:
                    heat[channel[i], row, column] = value


@kernel
def _mark_unknown(known: BoolArray, heat: FloatArray, channel: IntArray, box: IntArray) -> None:
    """Mark boxes (B, 4) of cells, end exclusive, as unknown in channel (B,), except where heat is above 0."""
    for i in range(len(channel)):
        c = channel[i]
        for y in range(box[i, 1], box[i, 3]):
            for x in range(box[i, 0], box[i, 2]):
                if heat[c, y, x] == 0.0:
                    known[c, y, x] = False


def _inside_map(xy: FloatArray, map_wh: FloatArray) -> BoolArray:
    """Return whether cells (..., 2) are on the map, as (...); NaN is not."""
    inside: BoolArray = (xy >= 0.0) & (xy < map_wh)
    return inside[..., 0] & inside[..., 1]


def _choose_people(
    box: FloatArray, ignore: BoolArray, map_wh: FloatArray, most: int
) -> tuple[IntArray, IntArray]:
    """Choose who has targets and who is ignored.

    Args:
        box: (N, 2, 2) corners in cells, clipped to the map.
        ignore: (N,) people who are ignored in any case.
        map_wh: width and height of the map.
        most: most people with targets; the largest have them, the others are ignored.

    Returns:
        rows of `box` with targets, ascending, and rows that are ignored.
    """
    size = box[:, 1] - box[:, 0]
    there = (size > 0).all(axis=1) & _inside_map(box.mean(axis=1), map_wh)
    order = np.argsort(-size.prod(axis=1), kind="stable")
    largest = order[(there & ~ignore)[order]]
    return np.sort(largest[:most]), np.concatenate((np.flatnonzero(there & ignore), largest[most:]))


def _part_boxes(sample: Sample, spec: ModelSpec, labelled: BoolArray) -> tuple[FloatArray, BoolArray]:
    """Return everyone's box of each part (N, parts, 2, 2), in px, and whether it is known (N, parts).

    It is the annotated box, if that has an area. Feet have no annotated box: theirs is the bounding box of
    the foot's labelled points, of which there must be at least one.
    """
    boxes = np.zeros((len(sample), len(spec.parts), 2, 2), np.float32)
    known = np.zeros(boxes.shape[:2], np.bool_)
    for i, part in enumerate(spec.parts):
        if part.name in BOXED_PARTS:
            column = BOXED_PARTS.index(part.name)
            boxes[:, i] = sample.part_box_xyxy[:, column].reshape(-1, 2, 2)
            known[:, i] = sample.part_valid[:, column] & (boxes[:, i, 1] > boxes[:, i, 0]).all(axis=1)
            continue
        there = labelled[:, part.keypoints, None]
        xy = sample.xy[:, part.keypoints]
        boxes[:, i, 0] = np.where(there, xy, np.float32(np.inf)).min(axis=1)
        boxes[:, i, 1] = np.where(there, xy, np.float32(-np.inf)).max(axis=1)
        known[:, i] = there.any(axis=(1, 2))
    boxes[~known] = 0.0
    return boxes, known


def _absent_parts(sample: Sample, spec: ModelSpec) -> BoolArray:
    """Return whether each part of everyone is known to be absent (N, parts); nothing is known of feet."""
    absent = np.zeros((len(sample), len(spec.parts)), np.bool_)
    for i, part in enumerate(spec.parts):
        if part.name in BOXED_PARTS:
            absent[:, i] = sample.part_absent[:, BOXED_PARTS.index(part.name)]
    return absent


@functools.lru_cache(maxsize=8)
def _joints(spec: ModelSpec) -> tuple[IntArray, IntArray]:
    """Return the keypoint of each joint (J,), -1 for a part's centre, and the joint of each part's centre."""
    centers = [spec.joint(part.center) for part in spec.parts]
    return np.array(spec.keypoint_of_joint, np.int64), np.array(centers, np.int64)


def zero_where_unknown(mask: BoolArray, values: FloatArray) -> FloatArray:
    """Return the values (..., 2), with 0 where the mask (...) is False."""
    return np.where(mask[..., None], values, np.float32(0))


def _pad_rows(values: npt.NDArray[Any], rows: int) -> npt.NDArray[Any]:
    """Append rows of zeros until there are `rows`."""
    out = np.zeros((rows, *values.shape[1:]), values.dtype)
    out[: len(values)] = values
    return out


def _to_int(values: FloatArray) -> IntArray:
    return values.astype(np.int64)


def make_targets(
    sample: Sample, spec: ModelSpec, *, max_people: int = 32, unlabelled_is_background: bool = True
) -> Targets:
    """Make the targets of a network's heads for a sample.

    Args:
        sample: an image, as large as the network's input, and its labels.
        spec: of the network, with any number of joints and parts.
        max_people: most people with targets. If there are more, the largest have targets and the others are
            treated as ignored.
        unlabelled_is_background: where a labelled person's joint has no label, the joint's map counts as
            background (as in the paper). When False, the box of such a person is unknown in that map, for
            labels that were not made by hand; but the centre of a part that is known to be absent is
            background.

    Returns:
        arrays by name, for a map of h x w cells, P = max_people and J joints, in output cells, x before y:

        - hm (1, h, w), hm_hp (J, h, w) float32: Gaussians around the cell of each person's centre and joint,
          exactly 1 in that cell. All Gaussians of a person have one radius r: `gaussian_radius` of the box
          with sides rounded up, the result rounded down; sigma is (2r + 1) / 6. They end r cells away.
        - hm_known (1, h, w), hm_hp_known (J, h, w) bool: False in the boxes of ignored people, and where
          `unlabelled_is_background` says so; True wherever a Gaussian reaches.
        - person_cell (P,) int64 row-major index of the cell of the box's centre; person_mask (P,) bool.
        - wh (P, 2) size of the box; reg (P, 2) from the cell to the centre.
        - joint_cell (P, J) int64, joint_mask (P, J) bool: labelled and on the map.
        - part_cell (P, parts) int64: joint_cell of each part's centre.
        - hps (P, J, 2) from the person's cell to the joint; hp_offset (P, J, 2) from the joint's cell to it.
        - for each part, with its name for NAME: NAME_points (P, points, 2) from the cell of its centre, and
          NAME_points_mask (P, points) bool: centre and point labelled and on the map.
        - for each part with a size: its `size_head`, e.g. wh_face (P, 2), size of its box on the map.
        - part_absent (P, parts) bool: the part is known not to be there.
        - for a refinement with local maps: local (n, h, w) and local_window (1, h, w), the `local_targets` of
          the hands with a target for every point.

        A part's centre is a joint: its cell and mask are that joint's. It is the centre of the annotated box,
        and for a foot the centre of the bounding box of its labelled points. Masked values are 0. A person's
        box ends at the map's border; a person whose box is then empty has no targets. People are in the
        sample's order.

    Raises:
        ShapeError: the image's sides are not multiples of the stride.
        UsageError: max_people is less than 1.

    Source: the paper, sections 3.1 and 4; Zhou et al., "Objects as Points" (2019), sections 3 and 4.
    """
    if max_people < 1:
        raise UsageError(f"max_people is at least 1, got {max_people}")
    stride = spec.stride_px
    if sample.image.shape[0] % stride or sample.image.shape[1] % stride:
        raise ShapeError(f"the image's sides are multiples of {stride}, got {sample.image.shape[:2]}")
    height, width = (side // stride for side in sample.image.shape[:2])
    map_wh = np.array((width, height), np.float32)
    box = np.clip(sample.box_xyxy.reshape(-1, 2, 2) / np.float32(stride), 0, map_wh)
    people, others = _choose_people(box, sample.ignore, map_wh, max_people)
    size, center = box[people, 1] - box[people, 0], box[people].mean(axis=1)

    labelled = sample.labelled & np.isfinite(sample.xy).all(axis=2)
    xy = sample.xy[people] / np.float32(stride)
    part_box, part_known = _part_boxes(sample, spec, labelled)
    part_box, part_known = part_box[people] / np.float32(stride), part_known[people]
    labelled = labelled[people]
    keypoint, center_joint = _joints(spec)
    joint_xy, joint_known = xy[:, keypoint], labelled[:, keypoint]
    joint_xy[:, center_joint], joint_known[:, center_joint] = part_box.mean(axis=2), part_known
    joint_mask = joint_known & _inside_map(joint_xy, map_wh)
    joint_xy = zero_where_unknown(joint_mask, joint_xy)

    person_cell, joint_cell = np.floor(center), np.floor(joint_xy)  # (x, y)
    number = np.array((1, width), np.int64)
    found: Targets = {
        "person_cell": _to_int(person_cell) @ number,
        "person_mask": np.ones(len(people), np.bool_),
        "wh": size,
        "reg": center - person_cell,
        "joint_cell": _to_int(joint_cell) @ number,
        "joint_mask": joint_mask,
        "part_cell": (_to_int(joint_cell) @ number)[:, center_joint],
        "hps": zero_where_unknown(joint_mask, joint_xy - person_cell[:, None]),
        "hp_offset": joint_xy - joint_cell,
    }
    for i, part in enumerate(spec.parts):
        joint = center_joint[i]
        points = xy[:, part.keypoints]
        mask = labelled[:, part.keypoints] & _inside_map(points, map_wh) & joint_mask[:, joint, None]
        found[f"{part.name}_points"] = zero_where_unknown(mask, points - joint_cell[:, joint, None])
        found[f"{part.name}_points_mask"] = mask
        if part.size_head:
            on_map = np.clip(part_box[:, i], 0, map_wh)
            found[part.size_head] = zero_where_unknown(joint_mask[:, joint], on_map[:, 1] - on_map[:, 0])
    absent = _absent_parts(sample, spec)[people] & ~joint_known[:, center_joint]
    found["part_absent"] = absent
    targets = {name: _pad_rows(values, max_people) for name, values in found.items()}
    if spec.refinement is not None and spec.refinement.local_maps:
        with_maps = {part.name for part in spec.refinement.parts if part.reach}
        hands = [part for part in spec.parts if part.name in with_maps]
        of_hands = [xy[found[f"{part.name}_points_mask"].all(axis=1)][:, part.keypoints] for part in hands]
        targets["local"], targets["local_window"] = local_targets(np.concatenate(of_hands), (height, width))

    # channel 0 is hm, the others are hm_hp
    heat = np.zeros((1 + spec.num_joints, height, width), np.float32)
    known = np.ones(heat.shape, np.bool_)
    person, joints = np.nonzero(joint_mask)
    radius = np.array([int(max(0.0, gaussian_radius(h, w))) for w, h in np.ceil(size).tolist()], np.int64)
    _draw_gaussians(heat, np.zeros(len(people), np.int64), _to_int(person_cell), radius)
    _draw_gaussians(heat, 1 + joints, _to_int(joint_cell[person, joints]), radius[person])
    cells = np.concatenate((np.floor(box[:, 0]), np.ceil(box[:, 1])), axis=1)
    channels = np.arange(len(heat))
    _mark_unknown(
        known, heat, np.tile(channels, len(others)), _to_int(cells[others].repeat(len(heat), axis=0))
    )
    if not unlabelled_is_background:
        known_joint = joint_known.copy()
        known_joint[:, center_joint] |= absent
        person, joints = np.nonzero(~known_joint)
        _mark_unknown(known, heat, 1 + joints, _to_int(cells[people[person]]))
    targets.update(hm=heat[:1], hm_known=known[:1], hm_hp=heat[1:], hm_hp_known=known[1:])
    return targets
