"""The targets of many images at once: `training.targets` for a batch, on any device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from hprnet_rt.spec import ModelSpec
from hprnet_rt.training.constants import constant
from hprnet_rt.training.feed.labels import Labels
from hprnet_rt.training.local_maps import AROUND, AROUND_CELLS, LEAST_SIGMA, MOST_SIGMA, SIGMA
from hprnet_rt.training.sample import BOXED_PARTS
from hprnet_rt.training.targets import OVERLAP

__all__ = ["Spread", "batch_targets"]

_MOST_HANDS: Final = 4  # of each side, in an image


@dataclass(frozen=True)
class Spread:
    """Random moves of the cells at which offsets are learned; see `training.displacement`.

    Attributes:
        share: of people, as in `displace_targets`; 0 moves neither people nor joints.
        part_shares: as in `displace_parts`.
        chance: (B, P, 2 + 2 J + 2 parts) uniform random numbers in [0, 1).
    """

    share: float
    part_shares: dict[str, float]
    chance: Tensor


def _radius(size: Tensor) -> Tensor:
    """Return `gaussian_radius` of boxes of size (..., 2), rounded down, as float64."""
    width, height = size.double().ceil().unbind(-1)
    around, area = height + width, height * width
    cases = (
        (1.0, around, area * (1.0 - OVERLAP) / (1.0 + OVERLAP)),
        (4.0, 2.0 * around, area * (1.0 - OVERLAP)),
        (4.0 * OVERLAP, -2.0 * OVERLAP * around, -area * (1.0 - OVERLAP)),
    )
    radii = [(b + (b * b - 4.0 * a * c).clamp(min=0).sqrt()) / 2.0 for a, b, c in cases]
    return torch.stack(radii).amin(dim=0).clamp(min=0).floor()


def _rows(there: Tensor, fixed: bool) -> Iterator[tuple[int, Tensor | slice]]:
    """Yield each row of (B, P) with the images in which it holds something.

    With `fixed` these are all rows and images: a GPU would have to be waited for, and what is recorded
    has fixed shapes.
    """
    for row in range(there.shape[1]):
        if fixed:
            yield row, slice(None)
            continue
        images = there[:, row].nonzero().flatten()
        if len(images):
            yield row, images


def _inside_map(xy: Tensor, size: Tensor) -> Tensor:
    """Return whether cells (..., 2) are on a map of this size (2,), x before y."""
    return ((xy >= 0) & (xy < size)).all(dim=-1)


class _Cells:
    """The cells of a map.

    Args:
        map_hw: its height and width.
        device: of all tensors.
    """

    def __init__(self, map_hw: tuple[int, int], device: torch.device) -> None:
        self.height, self.width = map_hw
        self.y = torch.arange(self.height, device=device, dtype=torch.float32)
        self.x = torch.arange(self.width, device=device, dtype=torch.float32)
        self.size = constant((self.width, self.height), device)
        self.last = self.size - 1

    def number(self, xy: Tensor) -> Tensor:
        """Return the row-major number of cells (..., 2)."""
        return (xy[..., 1] * self.width + xy[..., 0]).long()

    def gaussians(self, cell: Tensor, radius: Tensor, mask: Tensor) -> Tensor:
        """Return Gaussians (B, C, h, w) that end `radius` cells away from their centres.

        Args:
            cell: (B, C, 2).
            radius: (B,) in cells.
            mask: (B, C) bool; where False, the map is 0.
        """
        reach = radius.float().reshape(-1, 1, 1)
        spread = 2.0 * ((2.0 * reach + 1.0) / 6.0).square()
        across, down = self.x - cell[..., :1], self.y - cell[..., 1:]
        across = torch.exp(-across.square() / spread) * (across.abs() <= reach)
        down = torch.exp(-down.square() / spread) * (down.abs() <= reach) * mask.unsqueeze(-1)
        return down.unsqueeze(-1) * across.unsqueeze(-2)

    def covered(self, box: Tensor) -> Tensor:
        """Return the cells (B, h, w) that boxes (B, 4) touch."""
        across = (self.x >= box[:, :1].floor()) & (self.x < box[:, 2:3].ceil())
        down = (self.y >= box[:, 1:2].floor()) & (self.y < box[:, 3:].ceil())
        return down.unsqueeze(-1) & across.unsqueeze(-2)


def _heat_targets(
    cells: _Cells,
    labels: Labels,
    box: Tensor,
    person: Tensor,
    centers: Tensor,
    there: Tensor,
    unknown: Tensor,
    fixed: bool,
) -> tuple[Tensor, Tensor]:
    """Return heat-maps (B, C, h, w), and where they are known.

    Args:
        cells: of the maps.
        labels: of the images.
        box: (B, P, 4) in cells.
        person: (B, P) rows with targets.
        centers: (B, P, C, 2) cells.
        there: (B, P, C) centres that are drawn.
        unknown: (B, P, C) maps in which the person's box is unknown.
        fixed: see `_rows`.
    """
    batch, _, channels, _ = centers.shape
    heat = box.new_zeros(batch, channels, cells.height, cells.width)
    radius = _radius(box[..., 2:] - box[..., :2])
    for row, images in _rows(person, fixed):
        drawn = cells.gaussians(centers[images, row], radius[images, row], there[images, row])
        heat[images] = torch.maximum(heat[images], drawn)
    elsewhere = (labels.there & ~person).unsqueeze(-1)
    where = (elsewhere | (person.unsqueeze(-1) & unknown)).transpose(1, 2).float()
    covered = torch.stack([cells.covered(box[:, row]) for row in range(box.shape[1])], dim=1).float()
    hidden = (where @ covered.flatten(2)).reshape(heat.shape)
    return heat, (hidden == 0) | (heat > 0)


def _moved(cell: Tensor, reach: Tensor, chance: Tensor, mask: Tensor, last: Tensor) -> Tensor:
    """Move cells (..., 2) by a uniform distance of up to `reach`, rounded; they stay on the map."""
    step = ((chance * 2 - 1) * reach).round() * mask.unsqueeze(-1)
    return torch.minimum((cell + step).clamp(min=0), last)


def _local_targets(
    cells: _Cells, hands: Sequence[tuple[Tensor, Tensor]], fixed: bool
) -> tuple[Tensor, Tensor]:
    """Return the targets of the local maps, see `local_maps.local_targets`.

    Args:
        cells: of the maps.
        hands: for each side the points (B, P, n, 2) in cells, and which hands count (B, P).
        fixed: see `_rows`.
    """
    batch, _, points, _ = hands[0][0].shape
    heat = hands[0][0].new_zeros(batch, points, cells.height, cells.width)
    window = torch.zeros(batch, 1, cells.height, cells.width, dtype=torch.bool, device=heat.device)
    for xy, whole in hands:
        size = (xy.amax(dim=2) - xy.amin(dim=2)).amax(dim=-1) * whole
        rows = torch.argsort(size, dim=1, descending=True, stable=True)[:, :_MOST_HANDS]
        chosen = whole.gather(1, rows)
        for row, images in _rows(chosen, fixed):
            own = xy.gather(1, rows[:, row, None, None, None].expand(-1, 1, points, 2))[images, 0]
            mask, side = chosen[images, row].reshape(-1, 1, 1), size.gather(1, rows[:, row, None])[images]
            spread = 2.0 * (side * SIGMA).clamp(LEAST_SIGMA, MOST_SIGMA).square().unsqueeze(-1)
            around = side * AROUND + AROUND_CELLS
            low, high = own.amin(dim=1) - around, own.amax(dim=1) + around
            across = (cells.x + 0.5 >= low[:, :1]) & (cells.x + 0.5 <= high[:, :1])
            down = (cells.y + 0.5 >= low[:, 1:]) & (cells.y + 0.5 <= high[:, 1:])
            across, down = across.unsqueeze(1), down.unsqueeze(1) & mask
            window[images] |= down.unsqueeze(-1) & across.unsqueeze(-2)
            along = torch.exp(-(cells.x + 0.5 - own[..., :1]).square() / spread) * across
            up = torch.exp(-(cells.y + 0.5 - own[..., 1:]).square() / spread) * down
            heat[images] = torch.maximum(heat[images], up.unsqueeze(-1) * along.unsqueeze(-2))
    return heat, window


def batch_targets(
    labels: Labels,
    spec: ModelSpec,
    input_hw: tuple[int, int],
    *,
    heat: str = "all",
    spread: Spread | None = None,
    fixed: bool = False,
) -> dict[str, Tensor]:
    """Return what `make_targets` returns, stacked, with a row for each of the labels' rows.

    Args:
        labels: of B images, clipped to the input.
        spec: of the network.
        input_hw: height and width of the network's input in px.
        heat: "all", or "parts": the maps of people and of the body's joints stay empty, for a loss that does
            not read them.
        spread: random moves of cells; None for the exact cells.
        fixed: compute in shapes that do not depend on the labels, for GPUs.

    The local maps show at most four hands of each side in an image, the largest.
    """
    stride = spec.stride_px
    cells = _Cells((input_hw[0] // stride, input_hw[1] // stride), labels.xy.device)
    xy, box = labels.xy / stride, torch.minimum(labels.box_xyxy.clamp(min=0) / stride, cells.size.repeat(2))
    size, center = box[..., 2:] - box[..., :2], (box[..., :2] + box[..., 2:]) / 2
    person = labels.there & ~labels.ignore & (size > 0).all(dim=-1) & _inside_map(center, cells.size)
    part_box, part_known = _part_boxes(labels, spec, xy)
    joint_xy, joint_known = _joints(spec, xy, labels.labelled, part_box, part_known)
    joint_mask = joint_known & _inside_map(joint_xy, cells.size) & person.unsqueeze(-1)
    joint_xy = joint_xy * joint_mask.unsqueeze(-1)
    person_cell, joint_cell = center.floor() * person.unsqueeze(-1), joint_xy.floor()
    center, size = center * person.unsqueeze(-1), size * person.unsqueeze(-1)
    center_joint = tuple(spec.joint(part.center) for part in spec.parts)
    centers = constant(center_joint, labels.xy.device, torch.int64)
    absent = _absent(labels, spec) & person.unsqueeze(-1) & ~joint_known[..., centers]

    missing = ~joint_known
    missing[..., centers] = missing[..., centers] & ~absent
    missing = missing & ~labels.background.unsqueeze(-1)
    found = _all_maps(
        spec, cells, labels, box, person, person_cell, joint_cell, joint_mask, missing, heat, fixed
    )
    part_cell = joint_cell[..., centers, :]
    points = {}
    for i, part in enumerate(spec.parts):
        own = xy[:, :, part.keypoints]
        mask = labels.labelled[:, :, part.keypoints] & _inside_map(own, cells.size)
        points[part.name] = own, mask & joint_mask[..., center_joint[i], None]
    if spread is not None:
        person_cell, joint_cell, part_cell = _displaced(
            spec, cells, spread, size, person, joint_mask, points, (person_cell, joint_cell, part_cell)
        )
    found |= {
        "person_cell": cells.number(person_cell),
        "person_mask": person,
        "wh": size,
        "reg": center - person_cell,
        "joint_cell": cells.number(joint_cell),
        "joint_mask": joint_mask,
        "part_cell": cells.number(part_cell),
        "part_absent": absent,
        "hps": (joint_xy - person_cell.unsqueeze(2)) * joint_mask.unsqueeze(-1),
        "hp_offset": (joint_xy - joint_cell) * joint_mask.unsqueeze(-1),
    }
    for i, part in enumerate(spec.parts):
        own, mask = points[part.name]
        found[f"{part.name}_points"] = (own - part_cell[:, :, i, None]) * mask.unsqueeze(-1)
        found[f"{part.name}_points_mask"] = mask
        if part.size_head:
            on_map = torch.minimum(part_box[:, :, i].clamp(min=0), cells.size.repeat(2))
            there = joint_mask[..., center_joint[i], None]
            found[part.size_head] = (on_map[..., 2:] - on_map[..., :2]) * there
    with_maps = [part.name for part in spec.refinement.parts if part.reach] if spec.refinement else []
    if with_maps:
        hands = [(points[name][0], points[name][1].all(dim=-1)) for name in with_maps]
        found["local"], found["local_window"] = _local_targets(cells, hands, fixed)
    return found


def _all_maps(
    spec: ModelSpec,
    cells: _Cells,
    labels: Labels,
    box: Tensor,
    person: Tensor,
    person_cell: Tensor,
    joint_cell: Tensor,
    joint_mask: Tensor,
    missing: Tensor,
    heat: str,
    fixed: bool,
) -> dict[str, Tensor]:
    """Return hm and hm_hp, and where they are known, out of what `batch_targets` has and has made."""
    batch = person.shape[0]
    first = 0
    if heat == "parts":
        first = min(j for j, anchor in enumerate(spec.anchor_of_joint) if anchor >= 0)
        centers, there, unknown = joint_cell[:, :, first:], joint_mask[..., first:], missing[..., first:]
    else:
        centers = torch.cat((person_cell.unsqueeze(2), joint_cell), dim=2)
        there = torch.cat((person.unsqueeze(-1), joint_mask), dim=-1)
        unknown = torch.cat((torch.zeros_like(person).unsqueeze(-1), missing), dim=-1)
    maps, known = _heat_targets(cells, labels, box, person, centers, there, unknown, fixed)
    if heat == "parts":
        empty = maps.new_zeros(batch, 1 + first, cells.height, cells.width)
        maps = torch.cat((empty, maps), dim=1)
        known = torch.cat((torch.zeros_like(empty, dtype=torch.bool), known), dim=1)
    return {"hm": maps[:, :1], "hm_known": known[:, :1], "hm_hp": maps[:, 1:], "hm_hp_known": known[:, 1:]}


def _stacked(tensors: Sequence[Tensor], empty: Tensor) -> Tensor:
    """Stack tensors (B, P, ...) along a third dimension; `empty` is the result where there are none."""
    return torch.stack(list(tensors), dim=2) if tensors else empty


def _part_boxes(labels: Labels, spec: ModelSpec, xy: Tensor) -> tuple[Tensor, Tensor]:
    """Return everyone's box of each part (B, P, parts, 4) in cells, and whether it is known (B, P, parts)."""
    boxes, known = [], []
    for part in spec.parts:
        if part.name in BOXED_PARTS:
            column = BOXED_PARTS.index(part.name)
            box = labels.part_box_xyxy[:, :, column] / spec.stride_px
            there = labels.part_valid[:, :, column] & (box[..., 2:] > box[..., :2]).all(dim=-1)
        else:
            seen = labels.labelled[:, :, part.keypoints].unsqueeze(-1)
            own = xy[:, :, part.keypoints]
            low = own.masked_fill(~seen, torch.inf).amin(dim=2)
            high = own.masked_fill(~seen, -torch.inf).amax(dim=2)
            box, there = torch.cat((low, high), dim=-1), seen.any(dim=2).squeeze(-1)
        boxes.append(torch.where(there.unsqueeze(-1), box, 0.0))
        known.append(there)
    nobody = labels.there[:, :, None, None].expand(-1, -1, 0, 4)
    return _stacked(boxes, nobody.float()), _stacked(known, nobody[..., 0])


def _joints(
    spec: ModelSpec, xy: Tensor, labelled: Tensor, part_box: Tensor, part_known: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the joints (B, P, J, 2) in cells, and which of them are known (B, P, J)."""
    keypoint = constant(tuple(spec.keypoint_of_joint), xy.device, torch.int64)
    joint_xy, known = xy[:, :, keypoint].clone(), labelled[:, :, keypoint].clone()
    for i, part in enumerate(spec.parts):
        joint = spec.joint(part.center)
        joint_xy[:, :, joint] = (part_box[:, :, i, :2] + part_box[:, :, i, 2:]) / 2
        known[:, :, joint] = part_known[:, :, i]
    return joint_xy, known


def _absent(labels: Labels, spec: ModelSpec) -> Tensor:
    """Return which parts (B, P, parts) are known to be absent."""
    nothing = torch.zeros_like(labels.there)
    columns = [
        labels.part_absent[:, :, BOXED_PARTS.index(part.name)] if part.name in BOXED_PARTS else nothing
        for part in spec.parts
    ]
    return _stacked(columns, nothing.unsqueeze(-1)[..., :0])


def _displaced(
    spec: ModelSpec,
    cells: _Cells,
    spread: Spread,
    size: Tensor,
    person: Tensor,
    joint_mask: Tensor,
    points: dict[str, tuple[Tensor, Tensor]],
    exact: tuple[Tensor, Tensor, Tensor],
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the moved cells of people (B, P, 2), joints (B, P, J, 2) and parts (B, P, parts, 2)."""
    person_cell, joint_cell, part_cell = exact
    joints = joint_cell.shape[2]
    sizes = [2, 2 * joints, 2 * len(spec.parts)]
    of_person, of_joints, of_parts = torch.split(spread.chance, sizes, dim=-1)
    if spread.share:
        person_cell = _moved(person_cell, spread.share * size + 0.5, of_person, person, cells.last)
        of_joints = of_joints.reshape(joint_cell.shape)
        joint_cell = _moved(joint_cell, torch.ones_like(joint_cell), of_joints, joint_mask, cells.last)
    moved = []
    for i, part in enumerate(spec.parts):
        share = spread.part_shares.get(part.name)
        own, mask = points[part.name]
        there = mask.any(dim=-1)
        if not share:
            moved.append(part_cell[:, :, i])
            continue
        low = own.masked_fill(~mask.unsqueeze(-1), torch.inf).amin(dim=2)
        high = own.masked_fill(~mask.unsqueeze(-1), -torch.inf).amax(dim=2)
        extent = torch.where(there.unsqueeze(-1), high - low, 0.0)
        chance = of_parts[..., 2 * i : 2 * i + 2]
        moved.append(_moved(part_cell[:, :, i], share * extent + 0.5, chance, there, cells.last))
    return person_cell, joint_cell, _stacked(moved, part_cell)
