"""Where a network believes to see faces and hands that are known to be absent.

A part that is absent has no place in the image at which the network could learn that it is not there. So it
learns where it would look for it itself: at the strongest answer of the part's centre in the person's box.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor

from hprnet_rt.refinement import Refinement
from hprnet_rt.spec import ModelSpec

__all__ = ["absence_weights", "absent_points"]

_MOST = 4  # absent parts of a kind that an image teaches
_WEIGHT: Final = 0.3


def absence_weights(refinement: Refinement) -> dict[str, float]:
    """Return the default weight of the confidence of each absent part, by the name of its loss."""
    return {f"{part.name}_absent": _WEIGHT for part in refinement.parts}


def _strongest_cells(heat: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return the strongest cells (N, P) of a map (N, h, w) inside of boxes.

    Args:
        heat: logits.
        low, high: (N, P, 2) corners in cells, x before y; the cells that they reach count.
    """
    height, width = heat.shape[1:]
    x = torch.arange(width, device=heat.device)
    y = torch.arange(height, device=heat.device)
    across = (x >= low[..., :1].floor()) & (x < high[..., :1].ceil())
    down = (y >= low[..., 1:].floor()) & (y < high[..., 1:].ceil())
    inside = down.unsqueeze(-1) & across.unsqueeze(-2)
    return heat.unsqueeze(1).masked_fill(~inside, -torch.inf).flatten(2).argmax(dim=2)


def absent_points(
    spec: ModelSpec,
    heat: Tensor,
    regressed: Callable[[str, Tensor], Tensor],
    targets: Mapping[str, Tensor],
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the points that a network regresses for parts that are absent, where their centres seem to be.

    Args:
        spec: of the network.
        heat: (N, J, h, w) logits of the joints.
        regressed: returns the values (N, P, channels) of a head at cells (N, P), by the head's name.
        targets: batched `make_targets`.

    Returns:
        for each refined part its points (N, A, n, 2) in cells, and which of them are of an absent part
        (N, A); at most four absent parts of a kind in an image.
    """
    assert spec.refinement is not None
    width = heat.shape[3]
    cell = targets["person_cell"]
    center = torch.stack((cell % width, cell // width), dim=-1) + targets["reg"]
    half = targets["wh"] / 2
    found = {}
    refined = {part.name for part in spec.refinement.parts}
    for index, part in enumerate(spec.parts):
        if part.name not in refined:
            continue
        absent = targets["part_absent"][:, :, index]
        rows = torch.argsort(~absent, dim=1, stable=True)[:, :_MOST]
        pairs = rows.unsqueeze(-1).expand(-1, -1, 2)
        middle, reach = center.gather(1, pairs), half.gather(1, pairs)
        strongest = _strongest_cells(
            heat[:, spec.joint(part.center)].detach(), middle - reach, middle + reach
        )
        first = part.first_channel
        offsets = regressed(part.head, strongest)[..., first : first + 2 * part.num_keypoints]
        offsets = offsets.reshape(*rows.shape, part.num_keypoints, 2).float()
        at = torch.stack((strongest % width, strongest // width), dim=-1).unsqueeze(2)
        found[part.name] = offsets + at, absent.gather(1, rows)
    return found
