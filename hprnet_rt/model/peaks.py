"""Peaks inside the graph: NMS, top-K and sparse heads, so that an engine returns one small tensor.

Maps stay on the device: an image gives K rows of `PeakLayout` (about 70 KB at K = 32) where the dense
maps of a 512 x 512 input are 20 MB.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hprnet_rt.heads import PartSpec
from hprnet_rt.model.heads import Patches
from hprnet_rt.model.network import Network

__all__ = ["DenseNetwork", "PeakNetwork", "top_peaks"]

_BELOW_ANY_LOGIT = -1.0e4


def top_peaks(logits: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k strongest 3x3 local maxima of each channel, strongest first.

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


def _cell_xy(cells: Tensor, width: int) -> Tensor:
    """Row-major cell numbers (...) -> float (..., 2), x before y."""
    y = torch.div(cells, width, rounding_mode="floor")
    return torch.stack((cells - y * width, y), dim=-1).to(torch.float32)


class PeakNetwork(nn.Module):
    """A network whose output is the packed peaks of `PeakLayout`.

    Args:
        network: gives the feature map and the heads.
        k: people per image, and peaks per joint.
    """

    def __init__(self, network: Network, k: int = 32) -> None:
        super().__init__()
        self.network = network
        self.k = k

    def forward(self, images: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 BGR -> (N, k, layout width) float32."""
        spec, head, k = self.network.spec, self.network.head, self.k
        feature = self.network.feature(images)
        batch, _, height, width = feature.shape
        joints = spec.num_joints

        patches = Patches(feature)

        person_score, person_cell = top_peaks(head("hm")(feature), k)
        cells = person_cell[:, 0]
        person_xy = _cell_xy(cells, width)
        offsets = head("hps").at(patches, cells).reshape(batch, k, joints, 2)
        regressed = person_xy.unsqueeze(2) + offsets

        heat = head("hm_hp")(feature)
        peak_score, peak_cell = top_peaks(heat, k)
        offset_head = head("hp_offset")
        sub_cell = (offset_head.pairs_at if spec.offset_per_joint else offset_head.at)(patches, peak_cell)
        peak_xy = _cell_xy(peak_cell, width) + sub_cell

        inside = torch.floor(regressed)
        x = inside[..., 0].clamp(min=0, max=width - 1)
        y = inside[..., 1].clamp(min=0, max=height - 1)
        regressed_cell = (y * width + x).to(torch.int64)
        on_map = ((x == inside[..., 0]) & (y == inside[..., 1])).to(torch.float32)
        regressed_score = heat.flatten(2).gather(2, regressed_cell.transpose(1, 2)).sigmoid()
        regressed_score = regressed_score.transpose(1, 2) * on_map

        fields = [
            person_score[:, 0].unsqueeze(-1),
            person_xy,
            head("reg").at(patches, cells),
            head("wh").at(patches, cells),
            regressed.flatten(2),
            regressed_score,
            peak_score.transpose(1, 2),
            peak_xy.transpose(1, 2).flatten(2),
        ]
        for part in spec.parts:
            joint = spec.joint(part.center)
            for where in (peak_cell[:, joint], regressed_cell[:, :, joint]):
                fields += self._part(part, patches, where, width)
        return torch.cat(fields, dim=-1)

    def _part(self, part: PartSpec, patches: Patches, cells: Tensor, width: int) -> list[Tensor]:
        """The part's points (N, k, 2 * P), absolute, and its box size when it has one."""
        first, channels = part.first_channel, 2 * part.num_keypoints
        offsets = self.network.head(part.head).at(patches, cells)[..., first : first + channels]
        offsets = offsets.reshape(*cells.shape, part.num_keypoints, 2)
        points = (_cell_xy(cells, width).unsqueeze(2) + offsets).flatten(2)
        if part.size_head is None:
            return [points]
        return [points, self.network.head(part.size_head).at(patches, cells)]


class DenseNetwork(nn.Module):
    """A network whose outputs are its dense heads, in the order of its spec: the oracle of `PeakNetwork`."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(N, H, W, 3) uint8 BGR -> one (N, channels, H / 4, W / 4) per head."""
        heads = self.network.dense(images)
        return tuple(heads[head.name] for head in self.network.spec.heads)
