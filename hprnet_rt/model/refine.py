"""Points corrected where they are: the feature map is read again at the points that were regressed.

All points of a part are moved together, in a few steps, according to what is read at them and to the shape
that they have. `Refinement` describes it.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hprnet_rt.model.heads import SeparableHead
from hprnet_rt.refinement import (
    EVIDENCE_SIDE,
    LEAST_REACH,
    LEAST_SIZE,
    SHIFT_SCALE,
    STRENGTH_SCALE,
    RefinedPart,
    Refinement,
)

__all__ = ["Refiner"]

_ABSENT = -4.0  # logit of an untrained local map


def _grid(points: Tensor, height: int, width: int) -> Tensor:
    """Turn cells (..., 2) into the coordinates of `grid_sample`, from -1 to 1."""
    return torch.stack((points[..., 0] / width * 2 - 1, points[..., 1] / height * 2 - 1), dim=-1)


def _sampled(maps: Tensor, points: Tensor) -> Tensor:
    """Sample maps (N, C, H, W) at points (N, P, n, 2), bilinear, 0 outside: (N, P, n, C)."""
    batch, count, num_points, _ = points.shape
    height, width = maps.shape[2:]
    grid = _grid(points, height, width).reshape(batch, count * num_points, 1, 2)
    found = F.grid_sample(maps, grid, align_corners=False)[..., 0]
    return found.transpose(1, 2).reshape(batch, count, num_points, maps.shape[1])


def _evidence(local: Tensor, points: Tensor, size: Tensor, reach: float) -> Tensor:
    """Read the local map of each point around the point.

    Args:
        local: (N, n, H, W) logits, a map for each point.
        points: (N, P, n, 2) cells.
        size: (N, P) of the parts, in cells.
        reach: how far to read, in units of the size.

    Returns:
        (N, P, n, 3): how far the point should move in x and in y, in units of the size, and the strongest
        logit; scaled by `SHIFT_SCALE` and `STRENGTH_SCALE`.
    """
    batch, count, num_points, _ = points.shape
    height, width = local.shape[2:]
    radius = (reach * size).clamp(min=LEAST_REACH)[..., None, None]
    steps = torch.linspace(-1, 1, EVIDENCE_SIDE, device=points.device)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    unit = torch.stack((x, y), dim=-1).reshape(1, 1, 1, EVIDENCE_SIDE * EVIDENCE_SIDE, 2)
    offsets = unit * radius[..., None]
    grid = _grid(points[:, :, :, None] + offsets, height, width)
    grid = grid.permute(0, 2, 1, 3, 4).reshape(batch * num_points, count, EVIDENCE_SIDE * EVIDENCE_SIDE, 2)
    found = F.grid_sample(local.reshape(batch * num_points, 1, height, width), grid, align_corners=False)[
        :, 0
    ]
    found = found.reshape(batch, num_points, count, EVIDENCE_SIDE * EVIDENCE_SIDE).permute(0, 2, 1, 3)
    weight = torch.softmax(found - (unit**2).sum(-1), dim=-1)
    shift = (weight[..., None] * offsets).sum(-2) / size[..., None, None]
    return torch.cat((shift * SHIFT_SCALE, found.amax(-1, keepdim=True) * STRENGTH_SCALE), dim=-1)


class _Step(nn.Module):
    """One correction of a part. It begins by leaving the points where they are."""

    def __init__(self, part: RefinedPart, refinement: Refinement) -> None:
        super().__init__()
        points, width = part.num_keypoints, part.width
        self.read = nn.Linear(refinement.features, width)
        self.who = nn.Parameter(torch.zeros(points, width))
        self.mix = nn.Linear(points * (width + part.evidence + 2), refinement.hidden)
        self.out = nn.Linear(refinement.hidden, 3 * points)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, read: Tensor, evidence: Tensor | None, shape: Tensor) -> Tensor:
        """Compute how the points move.

        Args:
            read: (N, P, n, width), what was read of the feature map.
            evidence: (N, P, n, 3), what was read of the local maps; None for a part without.
            shape: (N, P, n, 2), the points from their mean, in units of the part's size.

        Returns:
            (N, P, n, 3): how far each point moves in x and in y, in units of the part's size, and the logit
            of its confidence.
        """
        seen = F.relu(read + self.read.bias + self.who)
        if evidence is not None:
            seen = torch.cat((seen, evidence), dim=-1)
        mixed = F.relu(self.mix(torch.cat((seen.flatten(2), shape.flatten(2)), dim=-1)))
        result: Tensor = self.out(mixed)
        return result.reshape(shape.shape[0], shape.shape[1], shape.shape[2], 3)


class Refiner(nn.Module):
    """Corrects the points of parts.

    Args:
        refinement: the parts, and how they are corrected.
    """

    def __init__(self, refinement: Refinement) -> None:
        super().__init__()
        self.refinement = refinement
        self.norm = nn.Parameter(torch.ones(refinement.features))
        if refinement.local_maps:
            first, end = refinement.local
            self.local = SeparableHead(end - first, refinement.local_hidden, refinement.local_maps)
            assert self.local.out.bias is not None
            nn.init.constant_(self.local.out.bias, _ABSENT)
            nn.init.normal_(self.local.out.weight, std=0.02)
        self.parts = nn.ModuleDict(
            {
                part.name: nn.ModuleList(_Step(part, refinement) for _ in range(part.steps))
                for part in refinement.parts
            }
        )

    def local_maps(self, feature: Tensor) -> Tensor:
        """Compute a map of logits for each point of the parts that read local maps: (N, n, H, W).

        Args:
            feature: (N, C, H, W).
        """
        if not self.refinement.local_maps:
            return feature[:, :0]
        first, end = self.refinement.local
        result: Tensor = self.local(feature[:, first:end])
        return result

    def forward(
        self, part: RefinedPart, feature: Tensor, local: Tensor, points: Tensor, *, project: bool = False
    ) -> list[tuple[Tensor, Tensor]]:
        """Correct the points of one part; no gradient flows into where the maps are read.

        Args:
            part: one of the refinement's parts.
            feature: (N, C, H, W), read as float32.
            local: the result of `local_maps`, read as float32.
            points: (N, P, n, 2) in cells (cell k spans k to k + 1), of P parts of this kind in each image.
            project: compute the maps of the few numbers that are read first, and sample those: the same
                numbers, sooner where there are many points.

        Returns:
            for each step the points (N, P, n, 2), and the logits of their confidence (N, P, n).
        """
        feature, local = feature.float(), local.float()
        size = (points.amax(2) - points.amin(2)).amax(-1).clamp(min=LEAST_SIZE).detach()
        results = []
        for t, module in enumerate(cast(nn.ModuleList, self.parts[part.name])):
            step = cast(_Step, module)
            at = points.detach()
            weight = step.read.weight * self.norm
            if project:
                read = _sampled(F.conv2d(feature, weight[..., None, None]), at)
            else:
                read = F.linear(_sampled(feature, at), weight)
            evidence = _evidence(local, at, size, part.reach[t]) if part.reach else None
            shape = (at - at.mean(2, keepdim=True)) / size[..., None, None]
            moved = step(read, evidence, shape)
            points = at + moved[..., :2] * size[..., None, None]
            results.append((points, moved[..., 2]))
        return results
