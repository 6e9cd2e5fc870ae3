"""Views of many images at once: `training.affine` for a batch, on any device."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from hprnet_rt.skeleton import FLIP_INDEX, PARTS
from hprnet_rt.training.constants import constant
from hprnet_rt.training.feed.labels import Labels
from hprnet_rt.training.sample import BOXED_PARTS

__all__ = ["clip_labels", "placement_matrices", "points_of_parts", "transform_labels", "warp_images"]

_MIRRORED_PARTS: Final = tuple(BOXED_PARTS.index(part) for part in ("face", "right_hand", "left_hand"))
_MIN_SIDE_PX: Final = 1.0


def placement_matrices(
    center_xy: Tensor, zoom: Tensor, output_hw: tuple[int, int], mirror: Tensor, turn_rad: Tensor
) -> Tensor:
    """Return the maps (B, 2, 3) from images to outputs, see `affine.placement_matrix`.

    Args:
        center_xy: (B, 2) the point of each image that comes to the output's centre, in px.
        zoom: (B,) output pixels per image pixel.
        output_hw: height and width of the output in px.
        mirror: (B,) bool; swap left and right.
        turn_rad: (B,) rotation, clockwise as seen, after mirroring.
    """
    cos, sin = zoom * torch.cos(turn_rad), zoom * torch.sin(turn_rad)
    sign = torch.where(mirror, -1.0, 1.0)
    linear = torch.stack((sign * cos, -sin, sign * sin, cos), dim=-1).reshape(-1, 2, 2)
    middle = constant((output_hw[1] / 2, output_hw[0] / 2), center_xy.device)
    shift = middle - (linear @ center_xy.unsqueeze(-1)).squeeze(-1)
    return torch.cat((linear, shift.unsqueeze(-1)), dim=-1)


def _inverse(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return the linear part (B, 2, 2) of the inverse of maps (B, 2, 3), and their shift (B, 2)."""
    a, b, c, d = matrix[:, 0, 0], matrix[:, 0, 1], matrix[:, 1, 0], matrix[:, 1, 1]
    inverse = torch.stack((d, -b, -c, a), dim=-1).reshape(-1, 2, 2) / (a * d - b * c).reshape(-1, 1, 1)
    return inverse, matrix[:, :, 2]


def warp_images(images: Tensor, matrix: Tensor, output_hw: tuple[int, int]) -> Tensor:
    """Warp images by bilinear interpolation, on a black background.

    Args:
        images: (B, S, S, 3) uint8, each in the upper left corner, the rest black.
        matrix: (B, 2, 3) maps from image to output.
        output_hw: height and width of the output in px.

    Returns:
        (B, 3, height, width) float32, 0 to 255.
    """
    height, width = output_hw
    side = images.shape[1]
    inverse, shift = _inverse(matrix)
    scale = 2.0 / side
    x = (torch.arange(width, device=images.device) + 0.5 - shift[:, :1]).unsqueeze(1)
    y = (torch.arange(height, device=images.device) + 0.5 - shift[:, 1:]).unsqueeze(2)
    grid = torch.stack(
        [(inverse[:, i, 0, None, None] * x + inverse[:, i, 1, None, None] * y) * scale - 1 for i in (0, 1)],
        dim=-1,
    )
    return functional.grid_sample(images.permute(0, 3, 1, 2).float(), grid, align_corners=False)


def _boxes(box: Tensor, linear: Tensor, shift: Tensor) -> Tensor:
    """Return upright boxes (B, ..., 4) around the transformed ellipses that are inscribed in boxes."""
    flat = box.reshape(box.shape[0], -1, 4)
    center = (flat[..., :2] + flat[..., 2:]) / 2 @ linear.transpose(1, 2) + shift.unsqueeze(1)
    half = (flat[..., 2:] - flat[..., :2]) / 2
    reach = (half.square() @ linear.square().transpose(1, 2)).sqrt()
    return torch.cat((center - reach, center + reach), dim=-1).reshape(box.shape)


def _widened(box: Tensor, xy: Tensor, seen: Tensor) -> Tensor:
    """Widen boxes (B, P, 4) so that they hold the points (B, P, n, 2) where `seen` (B, P, n) is True."""
    low = xy.masked_fill(~seen.unsqueeze(-1), torch.inf).amin(dim=2)
    high = xy.masked_fill(~seen.unsqueeze(-1), -torch.inf).amax(dim=2)
    return torch.cat((torch.minimum(box[..., :2], low), torch.maximum(box[..., 2:], high)), dim=-1)


def _exchanged(tensor: Tensor, order: tuple[int, ...], mirror: Tensor) -> Tensor:
    """Put the third dimension of a tensor (B, P, n, ...) in another order where an image is mirrored."""
    where = mirror.reshape(-1, *[1] * (tensor.ndim - 1))
    index = constant(order, tensor.device, torch.int64)
    return torch.where(where, tensor.index_select(2, index), tensor)


def transform_labels(
    labels: Labels, matrix: Tensor, output_hw: tuple[int, int], *, least_share: float = 0.0
) -> Labels:
    """Transform labels by maps and clip them to the output, as `affine.transform_sample` does.

    Args:
        labels: of B images, in px of the images.
        matrix: (B, 2, 3) maps from image to output.
        output_hw: height and width of the output in px.
        least_share: see `clip_labels`.
    """
    linear, shift = matrix[:, :, :2], matrix[:, :, 2]
    batch = matrix.shape[0]
    xy = (labels.xy.reshape(batch, -1, 2) @ linear.transpose(1, 2) + shift.unsqueeze(1)).reshape(
        labels.xy.shape
    )
    box, part_box = _boxes(labels.box_xyxy, linear, shift), _boxes(labels.part_box_xyxy, linear, shift)
    turned = (linear[:, 0, 1] != 0) | (linear[:, 1, 0] != 0)
    box = torch.where(turned[:, None, None], _widened(box, xy, labels.labelled), box)
    wide = []
    for index, name in enumerate(BOXED_PARTS):
        points = PARTS[name]
        seen = labels.labelled[:, :, points] & labels.part_valid[:, :, index, None]
        wide.append(_widened(part_box[:, :, index], xy[:, :, points], seen))
    part_box = torch.where(turned[:, None, None, None], torch.stack(wide, dim=2), part_box)
    mirror = linear[:, 0, 0] * linear[:, 1, 1] < linear[:, 0, 1] * linear[:, 1, 0]
    moved = replace(
        labels,
        xy=_exchanged(xy, FLIP_INDEX, mirror),
        labelled=_exchanged(labels.labelled, FLIP_INDEX, mirror),
        box_xyxy=box,
        part_box_xyxy=_exchanged(part_box, _MIRRORED_PARTS, mirror),
        part_valid=_exchanged(labels.part_valid, _MIRRORED_PARTS, mirror),
        part_absent=_exchanged(labels.part_absent, _MIRRORED_PARTS, mirror),
    )
    return clip_labels(moved, output_hw, least_share=least_share)


def points_of_parts(flags: Tensor) -> Tensor:
    """Return for each of the 133 points (B, P, 133) the flag (B, P, 3) of its part; False for the others."""
    spread = flags.new_zeros(*flags.shape[:2], len(FLIP_INDEX))
    for index, name in enumerate(BOXED_PARTS):
        spread[:, :, PARTS[name]] = flags[:, :, index, None]
    return spread


def clip_labels(labels: Labels, output_hw: tuple[int, int], *, least_share: float = 0.0) -> Labels:
    """Clip labels to an output, as `affine.clip_sample` does; people who are not in view are not there."""
    height, width = output_hw
    size = constant((width, height), labels.xy.device)
    inside = ((labels.xy >= 0) & (labels.xy < size)).all(dim=-1)
    limit = size.repeat(2)
    box = torch.minimum(labels.box_xyxy.clamp(min=0), limit)
    part_box = torch.minimum(labels.part_box_xyxy.clamp(min=0), limit)
    seen, whole = box[..., 2:] - box[..., :2], labels.box_xyxy[..., 2:] - labels.box_xyxy[..., :2]
    ignore = labels.ignore | (seen.prod(dim=-1) < least_share * whole.prod(dim=-1))
    keep = torch.where(ignore, (seen > 0).all(dim=-1), (seen >= _MIN_SIDE_PX).all(dim=-1)) & labels.there
    person = (keep & ~ignore).unsqueeze(-1)
    valid = labels.part_valid & (part_box[..., 2:] - part_box[..., :2] >= _MIN_SIDE_PX).all(dim=-1) & person
    lost = points_of_parts(labels.part_valid & ~valid)
    return replace(
        labels,
        labelled=labels.labelled & inside & ~lost & person,
        box_xyxy=torch.where(keep.unsqueeze(-1), box, 0.0),
        there=keep,
        ignore=ignore & keep,
        part_box_xyxy=torch.where(valid.unsqueeze(-1), part_box, 0.0),
        part_valid=valid,
        part_absent=labels.part_absent & person,
    )
