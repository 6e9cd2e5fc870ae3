"""Where a network believes to see faces and hands that are known to be absent.

A part that is absent has no place in the image at which the network could learn that it is not there. So it
learns where it would look for it itself: at the strongest answer of the part's centre in the person's box.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hprnet_rt.refinement import Refinement
from hprnet_rt.spec import ModelSpec

__all__ = ["AbsentPart", "absence_weights", "absent_parts"]

_MOST = 4  # absent parts of a kind that an image teaches
_WEIGHT, _CENTER_WEIGHT = 0.3, 1.0


@dataclass(frozen=True, eq=False)
class AbsentPart:
    """What a network believes to see of the absent parts of a kind.

    Attributes:
        points: (N, A, n, 2) cells, as its head regresses them.
        center: (N, A) logit of the part's centre.
        mask: (N, A) bool; which of them are of an absent part.
    """

    points: Tensor
    center: Tensor
    mask: Tensor


def absence_weights(refinement: Refinement) -> dict[str, float]:
    """Return the default weights of what absent parts teach their confidences and centres, by name."""
    weights: dict[str, float] = {}
    for part in refinement.parts:
        weights |= {f"{part.name}_absent": _WEIGHT, f"{part.name}_center_absent": _CENTER_WEIGHT}
    return weights


def _strongest_cells(heat: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Return the highest values (N, P) of a map (N, h, w) inside of boxes, and their cells (N, P).

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
    highest, cells = heat.unsqueeze(1).masked_fill(~inside, -torch.inf).flatten(2).max(dim=2)
    return torch.where(torch.isfinite(highest), highest, 0.0), cells


def absent_parts(
    spec: ModelSpec,
    heat: Tensor,
    regressed: Callable[[str, Tensor], Tensor],
    targets: Mapping[str, Tensor],
) -> dict[str, AbsentPart]:
    """Return what a network sees where it believes to see the centres of absent parts.

    Args:
        spec: of the network.
        heat: (N, J, h, w) logits of the joints.
        regressed: returns the values (N, P, channels) of a head at cells (N, P), by the head's name.
        targets: batched `make_targets`.

    Returns:
        for each refined part at most four absent ones in an image, by the part's name.
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
        rows = torch.argsort((~absent).int(), dim=1, stable=True)[:, :_MOST]
        pairs = rows.unsqueeze(-1).expand(-1, -1, 2)
        middle, reach = center.gather(1, pairs), half.gather(1, pairs)
        highest, strongest = _strongest_cells(
            heat[:, spec.joint(part.center)].float(), middle - reach, middle + reach
        )
        first = part.first_channel
        offsets = regressed(part.head, strongest)[..., first : first + 2 * part.num_keypoints]
        offsets = offsets.reshape(*rows.shape, part.num_keypoints, 2).float()
        at = torch.stack((strongest % width, strongest // width), dim=-1).unsqueeze(2)
        found[part.name] = AbsentPart(offsets + at, highest, absent.gather(1, rows))
    return found
