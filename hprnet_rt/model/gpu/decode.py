"""The peaks of a `FusedNetwork`: as `PeakNetwork` gives them, with two gathers in place of one for each head.

`PeakNetwork` itself stays as it is exported: the files of networks that are out there are compared with it.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor

from hprnet_rt.model.gpu.network import FusedNetwork
from hprnet_rt.model.heads import Patches
from hprnet_rt.model.network import Network
from hprnet_rt.model.peaks import PeakNetwork, cell_xy, cells_of
from hprnet_rt.model.refine import Refiner
from hprnet_rt.spec import PartSpec

__all__ = ["FusedPeakNetwork", "fused_peaks"]

_ALL = slice(None)


class _Near:
    """The 3x3 neighbourhoods of some cells of a feature map, read once for all who ask.

    Args:
        read: returns channels of them, (N, ..., 9, channels), taps in row-major order.
    """

    def __init__(self, read: Callable[[slice], Tensor]) -> None:
        self._read = read
        self._known: dict[tuple[int | None, int | None], Tensor] = {}

    def rows(self, channels: slice) -> Tensor:
        """Return what a 3x3 convolution reads of some channels."""
        key = channels.start, channels.stop
        if key not in self._known:
            self._known[key] = self._read(channels)
        return self._known[key]

    def select(self, choose: Any) -> _Near:
        """Return some of the cells: an index into a tensor (N, ..., 9, channels)."""
        return _Near(lambda channels: itemgetter(choose)(self.rows(channels)))


class _SharedPatches(Patches):
    """`Patches` that reads cells at once which belong to several heads.

    Args:
        features: (N, H, W, C).
    """

    def __init__(self, features: Tensor) -> None:
        super().__init__(features)
        self._shared: list[tuple[Tensor, _Near]] = []
        batch, height, width, _ = features.shape
        steps = torch.arange(3, device=features.device)
        taps = (steps.unsqueeze(1) * (width + 2) + steps).reshape(-1)
        first = torch.arange(batch, device=features.device) * ((height + 2) * (width + 2))
        self._taps = first.view(batch, 1, 1) + taps  # rows of the neighbourhood of cell 0, of each image

    def gather(self, cells: Tensor) -> _Near:
        """Return the neighbourhoods of cells (N, ...) int64, row-major cell numbers."""
        batch, _, width, _ = self._features.shape
        flat = cells.reshape(batch, -1)
        corner = flat + 2 * torch.div(flat, width, rounding_mode="floor")  # padded rows are longer by 2
        index = (corner.unsqueeze(-1) + self._taps).reshape(-1)
        return _Near(lambda channels: self._rows_of(channels)[index].reshape(*cells.shape, 9, -1))

    def share(self, cells: Tensor, near: _Near) -> Tensor:
        """Let `around` find the neighbourhoods of these cells, and return the cells."""
        self._shared.append((cells, near))
        return cells

    def around(self, cells: Tensor, channels: slice = _ALL) -> Tensor:
        """See `Patches`."""
        for known, near in self._shared:
            if known is cells:
                return near.rows(channels)
        return super().around(cells, channels)


class FusedPeakNetwork(PeakNetwork):
    """`PeakNetwork` of a `FusedNetwork`, points refined inside."""

    network: FusedNetwork

    def _fields(self, feature: Tensor, features: Tensor) -> dict[str, Tensor]:
        spec, head, k = self.network.spec, self.network.head, self.k
        batch, height, width, _ = features.shape
        joints = spec.num_joints
        patches = _SharedPatches(features)

        person_score, person_cell, _ = self.network.peaks("hm", feature, k)
        peak_score, peak_cell, heat = self.network.peaks("hm_hp", feature, k)
        found = torch.cat((person_cell, peak_cell), dim=1)  # (N, 1 + joints, k)
        near, found_xy = patches.gather(found), cell_xy(found, width)
        people = patches.share(found[:, 0], near.select((_ALL, 0)))
        peaks = patches.share(found[:, 1:], near.select((_ALL, slice(1, None))))
        person_xy = found_xy[:, 0]

        offsets = head("hps").at(patches, people).reshape(batch, k, joints, 2)
        regressed = person_xy.unsqueeze(2) + offsets
        offset_head = head("hp_offset")
        sub_cell = (offset_head.pairs_at if spec.offset_per_joint else offset_head.at)(patches, peaks)
        peak_xy = found_xy[:, 1:] + sub_cell

        x, y, regressed_cell, regressed_score = cells_of(heat, regressed, (height, width))
        fields = {
            "person_score": person_score[:, 0].unsqueeze(-1),
            "person_cell": person_xy,
            **{field: head(name).at(patches, people) for field, name in spec.person_fields.items()},
            "joint_regressed": regressed.flatten(2),
            "joint_regressed_score": regressed_score,
            "peak_score": peak_score.transpose(1, 2),
            "peak_xy": peak_xy.transpose(1, 2).flatten(2),
        }
        if not spec.parts:
            return fields
        centers = [spec.joint(part.center) for part in spec.parts]
        center_cell = torch.stack([regressed_cell[..., center] for center in centers], dim=1)  # (N, parts, k)
        near_centers = patches.gather(center_cell)
        for n, (part, center) in enumerate(zip(spec.parts, centers, strict=True)):
            peak = patches.share(peak_cell[:, center], near.select((_ALL, 1 + center)))
            regress = patches.share(center_cell[:, n], near_centers.select((_ALL, n)))
            center_xy = torch.stack((x[..., center], y[..., center]), dim=-1)
            fields |= self._points(f"{part.name}_peak", part, patches, peak, found_xy[:, 1 + center])
            fields |= self._points(f"{part.name}_regressed", part, patches, regress, center_xy)
        return fields

    def _refined(
        self, refiner: Refiner, feature: Tensor, local: Tensor, fields: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        return super()._refined(refiner, feature.float(), local.float(), fields)  # once for all parts

    def _points(
        self, name: str, part: PartSpec, patches: Patches, cells: Tensor, cell_xy: Tensor
    ) -> dict[str, Tensor]:
        """Return what `_part` does, of cells (N, k) whose places (N, k, 2) are known."""
        first, channels = part.first_channel, 2 * part.num_keypoints
        offsets = self.network.head(part.head).at(patches, cells)[..., first : first + channels]
        offsets = offsets.reshape(*cells.shape, part.num_keypoints, 2)
        points = (cell_xy.unsqueeze(2) + offsets).flatten(2)
        if part.size_head is None:
            return {name: points}
        return {name: points, f"{name}_wh": self.network.head(part.size_head).at(patches, cells)}


def fused_peaks(network: Network, half: torch.dtype, k: int) -> FusedPeakNetwork:
    """Return a network whose output is its peaks, rewritten.

    Args:
        network: for inference: norms folded, layers in `half` where they may be, on its device.
        half: the type of its maps.
        k: people per image, and peaks per joint.
    """
    return FusedPeakNetwork(FusedNetwork(network, half), k)
