"""How far refined points are from their labels, and how well they are known: what a refinement learns from.

A part counts where all its points are labelled and on the map: nothing less says how large it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from hprnet_rt.model.refine import Refiner
from hprnet_rt.refinement import Refinement
from hprnet_rt.spec import ModelSpec

__all__ = ["confidence_loss", "local_loss", "refined_loss", "refinement_losses", "refinement_weights"]

_REFINED_WEIGHT, _CONFIDENCE_WEIGHT, _LOCAL_WEIGHT = 1.5, 0.3, 0.6
_ROBUST: Final = 0.05  # of the part: errors above count less and less, for some labels are wrong
_SURE: Final = 0.1  # of the part: the error at which a confidence should be 1/e
_LEAST_SIZE: Final = 3.0  # cells; errors of smaller parts are not held against them in full
_ELSEWHERE, _THERE = 0.12, 2.0  # weights of a local map's cells, the latter times the target
_EPSILON: Final = 1e-4


def refinement_weights(refinement: Refinement) -> dict[str, float]:
    """Every term of `refinement_losses` by name, with its weight in the sum unless another is asked for."""
    weights = {}
    for part in refinement.parts:
        weights[f"{part.name}_refined"] = _REFINED_WEIGHT
        weights[f"{part.name}_confidence"] = _CONFIDENCE_WEIGHT
    if refinement.local_maps:
        weights["local"] = _LOCAL_WEIGHT
    return weights


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Of the values that count: their sum over their number + 1e-4."""
    weight = mask.float()
    return (values * weight).sum() / (weight.sum() + _EPSILON)


def refined_loss(error: Tensor, mask: Tensor) -> Tensor:
    """Mean of log(1 + e / 0.05).

    Args:
        error: (N, P, n) distances over the size of the part.
        mask: the same shape, bool; those that count.
    """
    return _mean(torch.log1p(error / _ROBUST), mask)


def confidence_loss(logits: Tensor, error: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy of confidences against exp(-(e / 0.1)^2); the errors have no gradient from it.

    Args:
        logits: (N, P, n).
        error, mask: see `refined_loss`.
    """
    target = torch.exp(-(error.detach() / _SURE).square())
    return _mean(functional.binary_cross_entropy_with_logits(logits.float(), target, reduction="none"), mask)


def local_loss(logits: Tensor, heat: Tensor, window: Tensor) -> Tensor:
    """Cross-entropy of local maps, weight 0.12 + 2 heat, over the sum of the heat + 1.

    Args:
        logits, heat: (N, n, h, w).
        window: (N, 1, h, w) bool; cells that count.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits.float(), heat, reduction="none")
    weight = (_ELSEWHERE + _THERE * heat) * window
    return (weight * entropy).sum() / ((heat * window).sum() + 1.0)


def _part_losses(
    steps: Sequence[tuple[Tensor, Tensor]], true: Tensor, whole: Tensor
) -> tuple[Tensor, Tensor]:
    """Of one part, summed over its steps.

    Args:
        steps: see `Refiner`: points (N, P, n, 2) and logits (N, P, n).
        true: (N, P, n, 2); whole: (N, P) bool, those that count.
    """
    size = (true.amax(2) - true.amin(2)).amax(-1, keepdim=True).clamp(min=_LEAST_SIZE)
    mask = whole.unsqueeze(-1).expand(true.shape[:-1])
    errors = [torch.linalg.vector_norm(points - true, dim=-1) / size for points, _ in steps]
    off = torch.stack([refined_loss(error, mask) for error in errors]).sum()
    unsure = [confidence_loss(logits, error, mask) for (_, logits), error in zip(steps, errors, strict=True)]
    return off, torch.stack(unsure).sum()


def refinement_losses(
    spec: ModelSpec,
    refiner: Refiner,
    feature: Tensor,
    offsets: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """Refine what the heads say at the parts' cells, and compare.

    Args:
        spec: of the network.
        refiner: the network's.
        feature: (N, C, h, w).
        offsets: of each part (N, P, n, 2), as the heads regress them at `part_cell`.
        targets: batched `make_targets`.

    Returns:
        the terms of `refinement_weights`: points and confidences after each step, summed over the steps;
        and the local maps. Without a whole part a term is 0, and still has a gradient (of 0).
    """
    found = {}
    local, wide = refiner.local_maps(feature), feature.float()
    if refiner.refinement.local_maps:
        found["local"] = local_loss(local, targets["local"], targets["local_window"])
    order, width = [part.name for part in spec.parts], feature.shape[3]
    for part in refiner.refinement.parts:
        cell = targets["part_cell"][:, :, order.index(part.name)]
        xy = torch.stack((cell % width, cell // width), dim=-1).unsqueeze(2)
        true = targets[f"{part.name}_points"] + xy
        steps = refiner(part, wide, local, offsets[part.name].float() + xy)
        whole = targets[f"{part.name}_points_mask"].all(dim=-1)
        off, unsure = _part_losses(steps, true, whole)
        found[f"{part.name}_refined"], found[f"{part.name}_confidence"] = off, unsure
    return found
