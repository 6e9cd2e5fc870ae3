"""The losses of a refinement: errors of the refined points, their confidences, and the local maps.

A part counts only if all its points are labelled and on the map, because its size is not known otherwise.
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
from hprnet_rt.training.absence import AbsentPart

__all__ = ["confidence_loss", "local_loss", "refined_loss", "refinement_losses", "refinement_weights"]

_REFINED_WEIGHT, _CONFIDENCE_WEIGHT, _LOCAL_WEIGHT = 1.5, 0.3, 0.6
_ROBUST: Final = 0.05  # of the part's size; larger errors count less and less, because some labels are wrong
_SURE: Final = 0.1  # of the part's size: the error at which a confidence should be 1/e
_LEAST_SIZE: Final = 3.0  # cells; errors of smaller parts are divided by this size
_ELSEWHERE, _THERE = 0.12, 2.0  # weight of a local map's cell: the first + the second times the target
_EPSILON: Final = 1e-4


def refinement_weights(refinement: Refinement) -> dict[str, float]:
    """Return the default weight of every term of `refinement_losses`, by name."""
    weights = {}
    for part in refinement.parts:
        weights[f"{part.name}_refined"] = _REFINED_WEIGHT
        weights[f"{part.name}_confidence"] = _CONFIDENCE_WEIGHT
    if refinement.local_maps:
        weights["local"] = _LOCAL_WEIGHT
    return weights


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of the values that count: their sum over their number + 1e-4."""
    weight = mask.float()
    return (values * weight).sum() / (weight.sum() + _EPSILON)


def refined_loss(error: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of log(1 + e / 0.05).

    Args:
        error: (N, P, n) distances divided by the size of the part.
        mask: (N, P, n) bool; points that count.
    """
    return _mean(torch.log1p(error / _ROBUST), mask)


def confidence_loss(logits: Tensor, error: Tensor, mask: Tensor) -> Tensor:
    """Return the cross-entropy of confidences against exp(-(e / 0.1)^2), without gradient for the errors.

    Args:
        logits: (N, P, n).
        error, mask: see `refined_loss`.
    """
    target = torch.exp(-(error.detach() / _SURE).square())
    return _mean(functional.binary_cross_entropy_with_logits(logits.float(), target, reduction="none"), mask)


def local_loss(logits: Tensor, heat: Tensor, window: Tensor) -> Tensor:
    """Return the cross-entropy of local maps, weighted by 0.12 + 2 heat, over (the sum of the heat + 1).

    Args:
        logits, heat: (N, n, h, w); heat is the target.
        window: (N, 1, h, w) bool; cells that count.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits.float(), heat, reduction="none")
    weight = (_ELSEWHERE + _THERE * heat) * window
    return (weight * entropy).sum() / ((heat * window).sum() + 1.0)


def _part_losses(
    steps: Sequence[tuple[Tensor, Tensor]], true: Tensor, whole: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the losses of one part's points and confidences, each summed over the steps.

    Args:
        steps: points (N, P, n, 2) and logits (N, P, n) after each step, see `Refiner`.
        true: (N, P, n, 2) labels.
        whole: (N, P) bool; parts that count.
    """
    size = (true.amax(2) - true.amin(2)).amax(-1, keepdim=True).clamp(min=_LEAST_SIZE)
    mask = whole.unsqueeze(-1).expand(true.shape[:-1])
    errors = [torch.linalg.vector_norm(points - true, dim=-1) / size for points, _ in steps]
    off = torch.stack([refined_loss(error, mask) for error in errors]).sum()
    unsure = [confidence_loss(logits, error, mask) for (_, logits), error in zip(steps, errors, strict=True)]
    return off, torch.stack(unsure).sum()


def _absence_loss(steps: Sequence[Tensor], absent: Tensor) -> Tensor:
    """Return the cross-entropy of confidences against 0, summed over the steps.

    Args:
        steps: logits (N, A, n) after each step.
        absent: (N, A) bool; parts that count.
    """
    mask = absent.unsqueeze(-1).expand(steps[0].shape)
    return torch.stack([_mean(functional.softplus(logits.float()), mask) for logits in steps]).sum()


def refinement_losses(
    spec: ModelSpec,
    refiner: Refiner,
    feature: Tensor,
    offsets: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
    absent: Mapping[str, AbsentPart] | None = None,
) -> dict[str, Tensor]:
    """Refine the points that the heads regress at the parts' cells, and return the losses.

    Args:
        spec: of the network.
        refiner: of the network.
        feature: (N, C, h, w) feature map.
        offsets: by part, (N, P, n, 2), as the heads regress them at `part_cell`.
        targets: batched `make_targets`.
        absent: see `absent_parts`; None for nothing that is known to be absent.

    Returns:
        the terms of `refinement_weights`: of the points and confidences, summed over the steps, and of the
        local maps; with `absent` also those of `absence_weights`, the cross-entropy of the confidences
        and centres against 0. Without a whole part a term is 0, and still has a gradient (of 0).
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
        if absent is not None:
            seen = absent[part.name]
            steps = refiner(part, wide, local, seen.points)
            found[f"{part.name}_absent"] = _absence_loss([logits for _, logits in steps], seen.mask)
            found[f"{part.name}_center_absent"] = _mean(functional.softplus(seen.center), seen.mask)
    return found
