"""Peaks inside the graph: NMS, top-K and sparse heads, so that an engine returns one small tensor.

Maps stay on the device: an image gives K rows of `PeakLayout` (about 70 KB at K = 32) where the dense
maps of a 512 x 512 input are 20 MB.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hprnet_rt.model.heads import Patches
from hprnet_rt.model.network import Network
from hprnet_rt.model.refine import Refiner
from hprnet_rt.spec import DEFAULT_K, PartSpec, PeakLayout

__all__ = ["DenseNetwork", "PeakNetwork", "RefineForm", "cell_xy", "cells_of", "top_peaks"]

RefineForm = Literal["inside", "after", "both"]
"""Where the points of parts are corrected, see `PeakNetwork`."""

_BELOW_ANY_LOGIT = -1.0e4


def top_peaks(logits: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k strongest 3x3 local maxima of each channel, strongest first.

    Args:
        logits: (N, C, H, W) heat-map logits.
        k: peaks per channel; when fewer exist, the rest have probability 0.

    Returns:
        probability (N, C, k) and row-major cell number (N, C, k) int64.

    Equal neighbours both count. Source: Zhou et al., "Objects as Points" (2019), section 3.
    """
    strongest = F.max_pool2d(logits, 3, stride=1, padding=1)
    kept = torch.where(logits == strongest, logits, torch.full_like(logits, _BELOW_ANY_LOGIT))
    score, cell = kept.flatten(2).topk(k)
    return score.sigmoid(), cell


def cell_xy(cells: Tensor, width: int) -> Tensor:
    """Turn row-major cell numbers (...) into float (..., 2), x before y."""
    y = torch.div(cells, width, rounding_mode="floor")
    return torch.stack((cells - y * width, y), dim=-1).to(torch.float32)


def cells_of(heat: Tensor, points: Tensor, hw: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return x, y, row-major number and score of the cells that points lie in, each (N, K, joints).

    Cells are the nearest of the map; points outside it score 0.

    Args:
        heat: (N, joints, H, W) logits.
        points: (N, K, joints, 2) x, y in cells.
        hw: H and W.
    """
    height, width = hw
    inside = torch.floor(points)
    x = inside[..., 0].clamp(min=0, max=width - 1)
    y = inside[..., 1].clamp(min=0, max=height - 1)
    cell = (y * width + x).to(torch.int64)
    on_map = ((x == inside[..., 0]) & (y == inside[..., 1])).to(torch.float32)
    score = heat.flatten(2).gather(2, cell.transpose(1, 2)).sigmoid()
    return x, y, cell, score.transpose(1, 2) * on_map


def _packed(fields: dict[str, Tensor], layout: PeakLayout) -> Tensor:
    """Concatenate the fields in the order of the layout."""
    return torch.cat([fields[field.name] for field in layout.fields], dim=-1)


class PeakNetwork(nn.Module):
    """A network whose output is the packed peaks of `PeakLayout`.

    Args:
        network: gives the feature map and the heads.
        k: people per image, and peaks per joint.
        refine: where the points of a network with a refinement are corrected. "inside": in this module, at
            all candidates; the peaks have a confidence for each point. "after": elsewhere, at the people who
            are found; the outputs include the maps for it. "both": the outputs of both, to choose from in an
            exported file. A network without a refinement returns its peaks alone.
    """

    def __init__(self, network: Network, k: int = DEFAULT_K, *, refine: RefineForm = "inside") -> None:
        super().__init__()
        self.network = network
        self.k = k
        self.refine = refine
        self.layout = PeakLayout.of(network.spec)
        self.refined_layout = PeakLayout.of(network.spec, refined=True)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return the peaks (N, k, layout width) float32 of images (N, H, W, 3) uint8 BGR.

        A network that refines "after" returns the feature map (N, H / 4, W / 4, C) and the local maps
        (N, H / 4, W / 4, n) besides; with "both" the refined peaks come last.
        """
        network, refiner = self.network, self.network.refiner
        feature = network.feature(images)
        features = feature.permute(0, 2, 3, 1)
        fields = self._fields(feature, features)
        if refiner is None:
            return _packed(fields, self.layout)
        local = refiner.local_maps(feature)
        outputs = []
        if self.refine != "inside":
            outputs = [_packed(fields, self.layout), features, local.permute(0, 2, 3, 1)]
        if self.refine != "after":
            refined = self._refined(refiner, feature, local, fields)
            outputs.append(_packed(refined, self.refined_layout))
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _fields(self, feature: Tensor, features: Tensor) -> dict[str, Tensor]:
        """Compute the fields of `PeakLayout` by name, (N, k, width) each.

        Args:
            feature: the feature map, (N, C, H, W).
            features: the same with channels last.
        """
        spec, head, k = self.network.spec, self.network.head, self.k
        batch, height, width, _ = features.shape
        joints = spec.num_joints

        patches = Patches(features)

        person_score, person_cell = top_peaks(head("hm")(feature), k)
        cells = person_cell[:, 0]
        person_xy = cell_xy(cells, width)
        offsets = head("hps").at(patches, cells).reshape(batch, k, joints, 2)
        regressed = person_xy.unsqueeze(2) + offsets

        heat = head("hm_hp")(feature)
        peak_score, peak_cell = top_peaks(heat, k)
        offset_head = head("hp_offset")
        sub_cell = (offset_head.pairs_at if spec.offset_per_joint else offset_head.at)(patches, peak_cell)
        peak_xy = cell_xy(peak_cell, width) + sub_cell

        _, _, regressed_cell, regressed_score = cells_of(heat, regressed, (height, width))

        fields = {
            "person_score": person_score[:, 0].unsqueeze(-1),
            "person_cell": person_xy,
            **{field: head(name).at(patches, cells) for field, name in spec.person_fields.items()},
            "joint_regressed": regressed.flatten(2),
            "joint_regressed_score": regressed_score,
            "peak_score": peak_score.transpose(1, 2),
            "peak_xy": peak_xy.transpose(1, 2).flatten(2),
        }
        for part in spec.parts:
            joint = spec.joint(part.center)
            for place, at in (("peak", peak_cell[:, joint]), ("regressed", regressed_cell[:, :, joint])):
                fields |= self._part(f"{part.name}_{place}", part, patches, at, width)
        return fields

    def _refined(
        self, refiner: Refiner, feature: Tensor, local: Tensor, fields: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Return the fields with the parts' points corrected, and with their confidences."""
        fields = dict(fields)
        for part in refiner.refinement.parts:
            names = [f"{part.name}_{place}" for place in ("peak", "regressed")]
            batch = feature.shape[0]
            points = torch.cat([fields[name] for name in names], dim=1)
            points = points.reshape(batch, 2 * self.k, part.num_keypoints, 2)
            points, logit = refiner(part, feature, local, points, project=True)[-1]
            for name, rows in zip(names, (slice(0, self.k), slice(self.k, 2 * self.k)), strict=True):
                fields[name] = points[:, rows].flatten(2)
                fields[f"{name}_confidence"] = logit[:, rows].sigmoid()
        return fields

    def _part(
        self, name: str, part: PartSpec, patches: Patches, cells: Tensor, width: int
    ) -> dict[str, Tensor]:
        """Return the field `name`, the part's points (N, k, 2 * P), absolute, and its size if it has one.

        Args:
            name: of the field; that of the size has "_wh" after it.
            part: whose points are read.
            patches: of the feature map.
            cells: (N, k) where they are read.
            width: of the map.
        """
        first, channels = part.first_channel, 2 * part.num_keypoints
        offsets = self.network.head(part.head).at(patches, cells)[..., first : first + channels]
        offsets = offsets.reshape(*cells.shape, part.num_keypoints, 2)
        points = (cell_xy(cells, width).unsqueeze(2) + offsets).flatten(2)
        if part.size_head is None:
            return {name: points}
        return {name: points, f"{name}_wh": self.network.head(part.size_head).at(patches, cells)}


class DenseNetwork(nn.Module):
    """A network whose outputs are its dense heads, in the order of its spec: the oracle of `PeakNetwork`."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return one (N, channels, H / 4, W / 4) per head for images (N, H, W, 3) uint8 BGR."""
        heads = self.network.dense(images)
        return tuple(heads[head.name] for head in self.network.spec.heads)
