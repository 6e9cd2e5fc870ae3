"""The losses between a network's outputs and their targets.

Source: Samet and Akbas (2021), section 3.2; Zhou et al., "Objects as Points" (2019), sections 3 and 4.
"""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from hprnet_rt.errors import UsageError
from hprnet_rt.model.heads import Patches
from hprnet_rt.model.network import Network, Stack
from hprnet_rt.model.refine import Refiner
from hprnet_rt.skeleton import SIGMAS
from hprnet_rt.spec import ModelSpec
from hprnet_rt.training.absence import absence_weights, absent_parts
from hprnet_rt.training.constants import constant
from hprnet_rt.training.refinement import refinement_losses, refinement_weights

__all__ = ["LABELS", "POINT_LOSSES", "HprLoss", "focal_loss", "masked_mean", "part_size", "run_of", "wing"]

POINT_LOSSES: Final = ("l1", "oks", "wing", "size")
"""The losses of a regressed joint or part point, see `HprLoss`."""

LABELS: Final = ("all", "parts")
"""What learns from labels: everything, or feet, faces and hands only, see `HprLoss`."""

_DENSE: Final = ("hm", "hm_hp")
_LEAST_PART, _SIZE_SCALE = 5.0, 8.0  # cells; errors of 1/8 of a part count as much as those of a cell
_EPSILON = 1e-4
_SIZE_WEIGHT = 0.1
_WING_WIDTH, _WING_CURVATURE = 2.5, 0.5  # cells; Feng et al. take 10 and 2 px


def focal_loss(logits: Tensor, heat: Tensor, known: Tensor) -> Tensor:
    """Return the penalty-reduced focal loss of heat-maps, a scalar.

    Args:
        logits: (...) any shape.
        heat: (...) targets in [0, 1]; exactly 1 at the positions of people or joints.
        known: (...) bool; cells that count.

    With p the probability, a cell contributes (1 - p)^2 log p where heat is 1, and otherwise
    (1 - heat)^4 p^2 log(1 - p). The loss is the negative sum divided by the number of cells where heat is 1,
    or by 1 if there are none. The released code clamps p to [1e-4, 1 - 1e-4], so the worst cells never get a
    gradient; here nothing is clamped.

    Source: Law and Deng, "CornerNet" (2018), equation 1, alpha 2, beta 4.
    """
    positive = (heat == 1.0) & known
    right = torch.where(positive, logits.float(), -logits.float())
    weight = torch.where(positive, 1.0, (1.0 - heat).square().square() * known)
    total = (weight * torch.sigmoid(-right).square() * functional.logsigmoid(right)).sum()
    return -total / positive.sum().clamp(min=1)


def masked_mean(error: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of the errors (..., 2) where the mask (...) is True: sum / (number + 1e-4)."""
    weight = mask.unsqueeze(-1).expand_as(error).float()
    return (error * weight).sum() / (weight.sum() + _EPSILON)


def part_size(points: Tensor, mask: Tensor) -> Tensor:
    """Return the longer side (...) of the box around points (..., n, 2) where the mask (..., n) is True.

    It is 0 where none is.
    """
    low = points.masked_fill(~mask.unsqueeze(-1), torch.inf).amin(dim=-2)
    high = points.masked_fill(~mask.unsqueeze(-1), -torch.inf).amax(dim=-2)
    return (high - low).amax(dim=-1).clamp(min=0.0)


def wing(error: Tensor) -> Tensor:
    """Return the wing loss of errors in cells, at least 0: steep below 2.5 cells, of slope 1 above.

    Source: Feng et al., "Wing Loss for Robust Facial Landmark Localisation" (2018), equation 5.
    """
    near = _WING_WIDTH * torch.log1p(error / _WING_CURVATURE)
    drop = _WING_WIDTH - _WING_WIDTH * math.log1p(_WING_WIDTH / _WING_CURVATURE)
    return torch.where(error < _WING_WIDTH, near, error - drop)


def run_of(numbers: Iterable[int]) -> slice:
    """Return consecutive numbers as a slice; a list of them would be copied to a GPU at every use.

    Raises:
        ValueError: they are not consecutive.
    """
    found = list(numbers)
    first, end = (found[0], found[-1] + 1) if found else (0, 0)
    if found != list(range(first, end)):
        raise ValueError(f"the numbers are not consecutive: {found}")
    return slice(first, end)


class _Predictions(ABC):
    """The outputs of one stack at the cells of the targets. A head's name selects the output."""

    @abstractmethod
    def heat(self, name: str) -> Tensor:
        """Return the logits (N, C, H, W) of a heat-map head."""

    @abstractmethod
    def at_people(self, name: str) -> Tensor:
        """Return the values (N, P, C) at the people's cells."""

    @abstractmethod
    def at_part(self, name: str, part: int) -> Tensor:
        """Return the values (N, P, C) at the cells of one part's centres."""

    @abstractmethod
    def at_joints(self, name: str, paired: bool) -> Tensor:
        """Return the values (N, P, J, 2) at the joints' cells.

        Args:
            name: of the head.
            paired: each joint has a pair of channels of its own; otherwise all share one pair.
        """


class _Dense(_Predictions):
    """Reads the values from dense maps (N, C, H, W)."""

    def __init__(self, maps: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> None:
        self._maps = maps
        self._people, self._joints = targets["person_cell"], targets["joint_cell"]
        self._parts = targets["part_cell"]

    def heat(self, name: str) -> Tensor:
        return self._maps[name]

    def _at(self, name: str, cells: Tensor) -> Tensor:
        """Return the values (N, P, C) at cells (N, P)."""
        maps = self._maps[name].flatten(2)
        return maps.gather(2, cells.unsqueeze(1).expand(-1, maps.shape[1], -1)).transpose(1, 2)

    def at_people(self, name: str) -> Tensor:
        return self._at(name, self._people)

    def at_part(self, name: str, part: int) -> Tensor:
        return self._at(name, self._parts[:, :, part])

    def at_joints(self, name: str, paired: bool) -> Tensor:
        batch, people, joints = self._joints.shape
        if not paired:
            return self._at(name, self._joints.flatten(1)).reshape(batch, people, joints, 2)
        maps = self._maps[name].flatten(2).reshape(batch, joints, 2, -1)
        cells = self._joints.transpose(1, 2).unsqueeze(2).expand(-1, -1, 2, -1)
        return maps.gather(3, cells).permute(0, 3, 1, 2)


class _Sparse(_Predictions):
    """Runs the heads only on the 3x3 patches around the cells."""

    def __init__(self, stack: Stack, targets: Mapping[str, Tensor]) -> None:
        self._feature, self._head = stack
        self._people, self._joints = targets["person_cell"], targets["joint_cell"]
        self._parts = targets["part_cell"]
        self._heat: dict[str, Tensor] = {}

    @functools.cached_property
    def _patches(self) -> Patches:
        return Patches(self._feature.permute(0, 2, 3, 1))

    def heat(self, name: str) -> Tensor:
        if name not in self._heat:
            self._heat[name] = self._head(name)(self._feature)
        return self._heat[name]

    def at(self, name: str, cells: Tensor) -> Tensor:
        """Return the values (N, P, C) at any cells (N, P)."""
        return self._head(name).at(self._patches, cells)

    def at_people(self, name: str) -> Tensor:
        return self.at(name, self._people)

    def at_part(self, name: str, part: int) -> Tensor:
        return self.at(name, self._parts[:, :, part])

    def at_joints(self, name: str, paired: bool) -> Tensor:
        head = self._head(name)
        if paired:
            return head.pairs_at(self._patches, self._joints.transpose(1, 2)).transpose(1, 2)
        return head.at(self._patches, self._joints)


def _mean(stacks: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the mean of each term over the stacks."""
    return {name: torch.stack([terms[name] for terms in stacks]).mean() for name in stacks[0]}


def _tolerances(spec: ModelSpec) -> dict[str, tuple[float, ...]]:
    """Return 2 sigma of OKS for the points of each part, by its name, and for the joints, as "hps".

    A joint that is the centre of a part has the mean of the part's points.
    """
    double = [2.0 * sigma for sigma in SIGMAS]
    found = {part.name: double[part.keypoints] for part in spec.parts}
    of_center = {part.center: sum(found[part.name]) / part.num_keypoints for part in spec.parts}
    found["hps"] = [
        double[keypoint] if keypoint >= 0 else of_center[name]
        for name, keypoint in zip(spec.joints, spec.keypoint_of_joint, strict=True)
    ]
    return {name: tuple(tolerances) for name, tolerances in found.items()}


class HprLoss(nn.Module):
    """The paper's losses: focal loss on the heat-maps, L1 at the targets' cells on everything else.

    Terms are named after heads and parts: hm, hm_hp, wh, reg, hps, hp_offset, each part (face, left_hand,
    ...), and each part's `size_head` (wh_face). Each term is the mean over its labelled values and over the
    stacks. Without a label it is 0, and still has a gradient (of 0) for every weight that it reads. The terms
    of a refinement (see `refinement_losses`) use the last stack.

    Args:
        spec: of the network.
        weights: of terms in the sum, by name. The defaults are 0.1 for wh and wh_face, those of
            `refinement_weights` for a refinement, and 1 for the rest.
        points: loss of the points in hps and the parts. "l1": the absolute error in cells (the paper's).
            "oks": the absolute error divided by what OKS tolerates, 2 sigma sqrt(area of the person's box),
            where a centre's sigma is the mean of its part's points. "wing": `wing` of the absolute error.
            "size": for the parts the absolute error divided by an eighth of the part's size, of at least 5
            cells; for hps as "l1".
        labels: "all", or "parts": only the terms of the parts' points and sizes, and of those joints in
            hm_hp, hps and hp_offset that are feet or centres of parts.

    Raises:
        UsageError: there is no term, no point loss, or no choice of labels of this name.
    """

    def __init__(
        self,
        spec: ModelSpec,
        *,
        weights: Mapping[str, float] | None = None,
        points: str = "l1",
        labels: str = "all",
    ) -> None:
        super().__init__()
        if points not in POINT_LOSSES:
            raise UsageError(f"points is one of {', '.join(POINT_LOSSES)}, got {points!r}")
        if labels not in LABELS:
            raise UsageError(f"labels is one of {', '.join(LABELS)}, got {labels!r}")
        sizes = [part.size_head for part in spec.parts if part.size_head]
        terms = ["hm", "hm_hp", "wh", "reg", "hps", "hp_offset", *(part.name for part in spec.parts), *sizes]
        self.weights = {name: _SIZE_WEIGHT if name in ("wh", *sizes) else 1.0 for name in terms}
        if spec.refinement is not None:
            self.weights.update(refinement_weights(spec.refinement) | absence_weights(spec.refinement))
        unknown = sorted(set(weights or {}) - set(self.weights))
        if unknown:
            raise UsageError(
                f"{spec.name} has no loss {', '.join(unknown)}; the losses are {', '.join(self.weights)}"
            )
        self.weights.update(weights or {})
        self.spec = spec
        self.points = points
        self.labels = labels
        self._joints = run_of(
            joint for joint, anchor in enumerate(spec.anchor_of_joint) if labels == "all" or anchor >= 0
        )
        self._tolerance = _tolerances(spec)

    def forward(
        self, network: Network, images: Tensor, targets: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Run the network and return its losses.

        Args:
            network: of this `spec`.
            images: (N, H, W, 3) BGR in [0, 255].
            targets: batched `make_targets`, on the images' device; other names are not used.

        Returns:
            the weighted sum, a float32 scalar, and each term before its weight, without gradient.

        The heat-map heads run on the whole map, the others at the targets' cells only: this gives the same
        numbers as `dense` at a lower cost. Under autocast the losses are computed in float32.
        """
        return self.sparse(network.stacks(images), targets, network.refiner)

    def sparse(
        self, stacks: Sequence[Stack], targets: Mapping[str, Tensor], refiner: Refiner | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the losses, as `forward` does, for feature maps from `Network.stacks`.

        Without `refiner` only the heads' terms are computed.
        """
        read = [_Sparse(stack, targets) for stack in stacks]
        found = [self._terms(one, targets) for one in read]
        terms = _mean([terms for terms, _ in found])
        if refiner is not None:
            (feature, _), (_, offsets), last = stacks[-1], found[-1], read[-1]
            absent = absent_parts(self.spec, last.heat("hm_hp"), last.at, targets)
            terms |= refinement_losses(self.spec, refiner, feature, offsets, targets, absent)
        return self._total(terms)

    def dense(
        self, stacks: Sequence[Mapping[str, Tensor]], targets: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the losses of the heads' dense outputs, (N, C, h, w) by name, one mapping per stack."""
        return self._total(_mean([self._terms(_Dense(maps, targets), targets)[0] for maps in stacks]))

    def _total(self, terms: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum, and each term."""
        terms = {name: terms[name] for name in self.weights if name in terms}
        total = torch.stack([self.weights[name] * value for name, value in terms.items()]).sum()
        return total, {name: value.detach() for name, value in terms.items()}

    def _terms(
        self, found: _Predictions, targets: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return all terms of one stack's heads, and the predicted offsets (N, P, points, 2) of each part."""

        def l1(values: Tensor, name: str, mask: Tensor) -> Tensor:
            return masked_mean((values.float() - targets[name]).abs(), mask)

        spec, people, joints = self.spec, targets["person_mask"], targets["joint_mask"]
        batch, count, _ = joints.shape
        own = self._joints
        terms = {}
        if self.labels == "all":
            terms["hm"] = focal_loss(found.heat("hm"), targets["hm"], targets["hm_known"])
            for name in ("wh", "reg"):
                terms[name] = l1(found.at_people(name), name, people)
        heat = found.heat("hm_hp")
        terms["hm_hp"] = focal_loss(heat[:, own], targets["hm_hp"][:, own], targets["hm_hp_known"][:, own])
        offsets = found.at_people("hps").reshape(batch, count, -1, 2)[:, :, own]
        true, mask = targets["hps"][:, :, own], joints[..., own]
        terms["hps"] = self._points("hps", offsets, true, mask, targets["wh"])
        offsets = found.at_joints("hp_offset", spec.offset_per_joint)[:, :, own]
        error = (offsets.float() - targets["hp_offset"][:, :, own]).abs()
        terms["hp_offset"] = masked_mean(error, mask)
        regressed = {}
        for index, part in enumerate(spec.parts):
            joint, first = spec.joint(part.center), part.first_channel
            values = found.at_part(part.head, index)[..., first : first + 2 * part.num_keypoints]
            regressed[part.name] = values.reshape(batch, count, -1, 2)
            terms[part.name] = self._points(
                part.name,
                regressed[part.name],
                targets[f"{part.name}_points"],
                targets[f"{part.name}_points_mask"],
                targets["wh"],
            )
            if part.size_head:
                size = found.at_part(part.size_head, index)
                terms[part.size_head] = l1(size, part.size_head, joints[..., joint])
        return terms, regressed

    def _points(self, name: str, found: Tensor, true: Tensor, mask: Tensor, size_wh: Tensor) -> Tensor:
        """Return the point loss of points (N, P, points, 2) of people of size (N, P, 2)."""
        error = (found.float() - true).abs()
        if self.points == "wing":
            error = wing(error)
        elif self.points == "size" and name != "hps":
            error = error * (_SIZE_SCALE / part_size(true, mask).clamp(min=_LEAST_PART))[..., None, None]
        elif self.points == "oks":
            side = size_wh.prod(dim=-1).sqrt().clamp(min=1.0)
            tolerance = constant(self._tolerance[name], error.device)
            if name == "hps":
                tolerance = tolerance[self._joints]
            error = error / (tolerance * side.unsqueeze(-1)).unsqueeze(-1)
        return masked_mean(error, mask)
