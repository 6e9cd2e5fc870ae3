"""Points corrected where they are: the feature map is read again at the points that were regressed.

What is read at the points of a part, and the shape that they have, move all of them together, in a few
steps. See `Refinement` for what a network's description says of it.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hprnet_rt.model.heads import SeparableHead
from hprnet_rt.refinement import RefinedPart, Refinement

__all__ = ["Refiner"]

LEAST_SIZE = 2.0  # cells; a part is never taken for smaller
LEAST_REACH = 1.5  # cells around a point that the local maps are read in at least
SIDE = 7  # places along a side of the square that is read there
SHIFT_SCALE, STRENGTH_SCALE = 4.0, 0.25  # bring what the local maps say to the size of the rest
_ABSENT = -4.0  # logit of an untrained local map


def _grid(points: Tensor, height: int, width: int) -> Tensor:
    """Cells (..., 2) as `grid_sample` counts, from -1 to 1."""
    return torch.stack((points[..., 0] / width * 2 - 1, points[..., 1] / height * 2 - 1), dim=-1)


def _sampled(maps: Tensor, points: Tensor) -> Tensor:
    """Maps (N, C, H, W) at points (N, P, n, 2), bilinear, 0 outside -> (N, P, n, C)."""
    batch, count, each, _ = points.shape
    height, width = maps.shape[2:]
    grid = _grid(points, height, width).reshape(batch, count * each, 1, 2)
    found = F.grid_sample(maps, grid, align_corners=False)[..., 0]
    return found.transpose(1, 2).reshape(batch, count, each, maps.shape[1])


def _evidence(local: Tensor, points: Tensor, size: Tensor, reach: float) -> Tensor:
    """What the local maps say around each point.

    Args:
        local: (N, n, H, W) logits, a map for each point.
        points: (N, P, n, 2) cells; size: (N, P).
        reach: in units of the size.

    Returns:
        (N, P, n, 3): how far the point should move, in units of the size, and the strongest logit, both
        scaled.
    """
    batch, count, each, _ = points.shape
    height, width = local.shape[2:]
    radius = (reach * size).clamp(min=LEAST_REACH)[..., None, None]
    steps = torch.linspace(-1, 1, SIDE, device=points.device)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    unit = torch.stack((x, y), dim=-1).reshape(1, 1, 1, SIDE * SIDE, 2)
    offsets = unit * radius[..., None]
    grid = _grid(points[:, :, :, None] + offsets, height, width)
    grid = grid.permute(0, 2, 1, 3, 4).reshape(batch * each, count, SIDE * SIDE, 2)
    found = F.grid_sample(local.reshape(batch * each, 1, height, width), grid, align_corners=False)[:, 0]
    found = found.reshape(batch, each, count, SIDE * SIDE).permute(0, 2, 1, 3)
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
        """What was read (N, P, n, width), (N, P, n, 3) and where (N, P, n, 2) -> (N, P, n, 3).

        The last are how far each point moves, in units of the part's size, and the logit of its confidence.
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
        refinement: which parts, and how.
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
        """(N, C, H, W) -> (N, n, H, W): a map of logits for each point of the parts that read them."""
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
            part: one of the refinement's.
            feature: (N, C, H, W); local: see `local_maps`. Both are read as float32.
            points: (N, P, n, 2) in cells (cell k spans k to k + 1), of P such parts in each image.
            project: read from maps that are made first, of the few numbers that are read: the same
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
