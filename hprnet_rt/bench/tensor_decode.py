"""The released path after the network: maps on the host, decoded and matched as tensors (torch).

It was written from a description of what the released code does: it reads whole maps, compares all K people
with all K peaks of all joints at once, and puts people together one after the other in Python. It gives faces
and hands to the wrong people. It is here to be timed; `GroupingOptions(matching="released")` returns the same
people.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from hprnet_rt.geometry import Letterbox
from hprnet_rt.spec import ModelSpec

__all__ = ["decode", "group"]

FloatArray = npt.NDArray[np.float32]
_PEAK_THRESHOLD = 0.1
_REACH = 0.3  # of the box's longer side
_FAR = -10000.0  # where weak peaks are put
_BOX, _SCORE, _JOINTS = slice(0, 4), 4, 5  # columns of a row; the last is the joints' first one


def _peaks(heat: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return score, cell, y and x, (1, C, k) each, of the k strongest local maxima of maps (1, C, H, W)."""
    strongest = F.max_pool2d(heat, 3, stride=1, padding=1)
    kept = heat * (strongest == heat).float()
    score, cell = kept.flatten(2).topk(k)
    width = heat.shape[3]
    return score, cell, (cell // width).float(), (cell % width).float()


def _at(maps: Tensor, cell: Tensor) -> Tensor:
    """Read maps (1, C, H, W) at cells (1, n): (1, n, C)."""
    channels_last = maps.permute(0, 2, 3, 1).contiguous().flatten(1, 2)
    return channels_last.gather(1, cell.unsqueeze(2).expand(-1, -1, channels_last.shape[2]))


def decode(heads: Mapping[str, FloatArray], spec: ModelSpec, k: int) -> FloatArray:
    """Decode all maps of one image into one row a person, as the released code does.

    Args:
        heads: (1, C, H, W) float32 by name, heat-maps as logits.
        spec: the network.
        k: people, and peaks of each joint.

    Returns:
        (k, columns): box, score, joints; then for each part its score, points and, if it has one, size.
    """
    maps = {name: torch.from_numpy(values) for name, values in heads.items()}
    heat, joint_heat = maps["hm"].sigmoid(), maps["hm_hp"].sigmoid()
    joints = spec.num_joints
    score, cell, ys, xs = (values[:, 0] for values in _peaks(heat, k))
    regressed = _at(maps["hps"], cell).view(1, k, joints, 2) + torch.stack((xs, ys), dim=2).unsqueeze(2)
    center = torch.stack((xs, ys), dim=2) + _at(maps["reg"], cell)
    size = _at(maps["wh"], cell)
    box = torch.cat((center - size / 2, center + size / 2), dim=2)

    joint_score, joint_cell, joint_y, joint_x = _peaks(joint_heat, k)
    shift = _at(maps["hp_offset"], joint_cell.view(1, -1))
    if spec.offset_per_joint:
        pair = torch.arange(joints).repeat_interleave(k)
        shift = shift.view(1, joints * k, joints, 2)[:, torch.arange(joints * k), pair]
    detected = torch.stack((joint_x, joint_y), dim=3) + shift.view(1, joints, k, 2)
    strong = (joint_score > _PEAK_THRESHOLD).float()
    joint_score = strong * joint_score - (1 - strong)
    detected = strong.unsqueeze(3) * detected + (1 - strong).unsqueeze(3) * _FAR

    expected = regressed.permute(0, 2, 1, 3).unsqueeze(3).expand(-1, -1, -1, k, -1)
    found = detected.unsqueeze(2).expand(-1, -1, k, -1, -1)
    distance, nearest = ((expected - found) ** 2).sum(dim=4).sqrt().min(dim=3)
    chosen_score = joint_score.gather(2, nearest)
    chosen = detected.gather(2, nearest.unsqueeze(3).expand(-1, -1, -1, 2))
    left, top, right, bottom = (box[:, None, :, n] for n in range(4))
    limit = _REACH * torch.maximum(bottom - top, right - left)
    outside = (chosen[..., 0] < left) | (chosen[..., 0] > right)
    outside |= (chosen[..., 1] < top) | (chosen[..., 1] > bottom)
    outside |= (chosen_score < _PEAK_THRESHOLD) | (distance > limit)
    refused = outside.float().unsqueeze(3)
    placed = (1 - refused) * chosen + refused * regressed.permute(0, 2, 1, 3)
    columns = [box, score.unsqueeze(2), placed.permute(0, 2, 1, 3).reshape(1, k, -1)]
    for part in spec.parts:
        joint = spec.joint(part.center)
        cells = joint_cell[:, joint]
        points = _at(maps[part.head], cells)[..., part.first_channel :][..., : 2 * part.num_keypoints]
        origin = torch.stack((joint_x[:, joint], joint_y[:, joint]), dim=2).unsqueeze(2)
        placed_points = points.view(1, k, -1, 2) + origin
        own = (chosen_score[:, joint] * (1 - outside[:, joint].float())).unsqueeze(2)
        columns += [own, placed_points.flatten(2)]
        if part.size_head:
            columns.append(_at(maps[part.size_head], cells))
    rows: FloatArray = torch.cat(columns, dim=2)[0].numpy()
    return rows


def group(rows: FloatArray, spec: ModelSpec, letterbox: Letterbox, threshold: float) -> list[list[float]]:
    """Turn rows of `decode` into lists of numbers in image pixels, one person after the other."""
    scale, shift = letterbox.cells_to_image(spec.stride_px)
    joints = slice(_JOINTS, _JOINTS + 2 * spec.num_joints)
    people = []
    for row in rows:
        if row[_SCORE] < threshold:
            continue
        result = row.copy()
        result[_BOX] = (row[_BOX].reshape(-1, 2) * scale + shift).reshape(-1)
        result[joints] = (row[joints].reshape(-1, 2) * scale + shift).reshape(-1)
        part_score = joints.stop
        for part in spec.parts:
            points = slice(part_score + 1, part_score + 1 + 2 * part.num_keypoints)
            result[points] = (row[points].reshape(-1, 2) * scale + shift).reshape(-1)
            part_score = points.stop + (2 if part.size_head else 0)
        people.append(result.astype(np.float32).tolist())
    return people
