"""How far a network is from its targets.

Source: Samet and Akbas (2021), section 3.2; Zhou et al., "Objects as Points" (2019), sections 3 and 4.
"""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
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
from hprnet_rt.training.refinement import refinement_losses, refinement_weights

__all__ = ["POINT_LOSSES", "HprLoss", "focal_loss", "masked_mean", "wing"]

POINT_LOSSES: Final = ("l1", "oks", "wing")
"""What is made of the error of a regressed joint or part point."""

_DENSE: Final = ("hm", "hm_hp")
_EPSILON = 1e-4
_SIZE_WEIGHT = 0.1
_WING_WIDTH, _WING_CURVATURE = 2.5, 0.5  # cells; Feng et al. take 10 and 2 px


def focal_loss(logits: Tensor, heat: Tensor, known: Tensor) -> Tensor:
    """Penalty-reduced focal loss of heat-maps, a scalar.

    Args:
        logits: (...) any shape.
        heat: (...) targets in [0, 1]; 1 exactly where something is.
        known: (...) bool; cells that count.

    With p the probability: (1 - p)^2 log p where heat is 1, (1 - heat)^4 p^2 log(1 - p) elsewhere; the
    negative sum over the number of cells where heat is 1, or over 1 when there are none. Source: Law and
    Deng, "CornerNet" (2018), equation 1, alpha 2, beta 4. The released code clamps p to [1e-4, 1 - 1e-4],
    which leaves a cell that is as wrong as can be without a gradient, for ever; nothing is clamped here.
    """
    positive = (heat == 1.0) & known
    right = torch.where(positive, logits.float(), -logits.float())
    weight = torch.where(positive, 1.0, (1.0 - heat).square().square() * known)
    total = (weight * torch.sigmoid(-right).square() * functional.logsigmoid(right)).sum()
    return -total / positive.sum().clamp(min=1)


def masked_mean(error: Tensor, mask: Tensor) -> Tensor:
    """Sum of the errors (..., 2) of the points that count (...), over the number of their values + 1e-4."""
    weight = mask.unsqueeze(-1).expand_as(error).float()
    return (error * weight).sum() / (weight.sum() + _EPSILON)


def wing(error: Tensor) -> Tensor:
    """Steeper than the absolute error below 2.5 cells, and of slope 1 above; `error` is at least 0.

    Source: Feng et al., "Wing Loss for Robust Facial Landmark Localisation" (2018), equation 5.
    """
    near = _WING_WIDTH * torch.log1p(error / _WING_CURVATURE)
    drop = _WING_WIDTH - _WING_WIDTH * math.log1p(_WING_WIDTH / _WING_CURVATURE)
    return torch.where(error < _WING_WIDTH, near, error - drop)


class _Predictions(ABC):
    """What one stack says, where the targets ask it."""

    @abstractmethod
    def heat(self, name: str) -> Tensor:
        """(N, C, H, W) logits."""

    @abstractmethod
    def at_people(self, name: str) -> Tensor:
        """(N, P, C) at the people's cells."""

    @abstractmethod
    def at_part(self, name: str, part: int) -> Tensor:
        """(N, P, C) at the cells of one part's centres."""

    @abstractmethod
    def at_joints(self, name: str, paired: bool) -> Tensor:
        """(N, P, J, 2) at the joints' cells; `paired`: each joint has its own pair of channels."""


class _Dense(_Predictions):
    """Reads maps (N, C, H, W)."""

    def __init__(self, maps: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> None:
        self._maps = maps
        self._people, self._joints = targets["person_cell"], targets["joint_cell"]
        self._parts = targets["part_cell"]

    def heat(self, name: str) -> Tensor:
        return self._maps[name]

    def _at(self, name: str, cells: Tensor) -> Tensor:
        """(N, P) cells -> (N, P, C)."""
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
    """Runs the branches on the 3x3 patches that they need."""

    def __init__(self, stack: Stack, targets: Mapping[str, Tensor]) -> None:
        self._feature, self._head = stack
        self._people, self._joints = targets["person_cell"], targets["joint_cell"]
        self._parts = targets["part_cell"]

    @functools.cached_property
    def _patches(self) -> Patches:
        return Patches(self._feature.permute(0, 2, 3, 1))

    def heat(self, name: str) -> Tensor:
        result: Tensor = self._head(name)(self._feature)
        return result

    def at_people(self, name: str) -> Tensor:
        return self._head(name).at(self._patches, self._people)

    def at_part(self, name: str, part: int) -> Tensor:
        return self._head(name).at(self._patches, self._parts[:, :, part])

    def at_joints(self, name: str, paired: bool) -> Tensor:
        head = self._head(name)
        if paired:
            return head.pairs_at(self._patches, self._joints.transpose(1, 2)).transpose(1, 2)
        return head.at(self._patches, self._joints)


def _rows(spec: ModelSpec) -> list[str]:
    """The targets that have a row a person."""
    names = ["person_cell", "person_mask", "wh", "reg", "joint_cell", "joint_mask", "part_cell"]
    names += ["hps", "hp_offset"]
    for part in spec.parts:
        names += [f"{part.name}_points", f"{part.name}_points_mask"]
        if part.size_head:
            names.append(part.size_head)
    return names


def _maps(spec: ModelSpec) -> list[str]:
    """The targets that are maps."""
    names = [name for heat in _DENSE for name in (heat, f"{heat}_known")]
    if spec.refinement is not None and spec.refinement.local_maps:
        names += ["local", "local_window"]
    return names


def _mean(stacks: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Of each term over the stacks."""
    return {name: torch.stack([terms[name] for terms in stacks]).mean() for name in stacks[0]}


def _tolerances(spec: ModelSpec) -> dict[str, list[float]]:
    """2 sigma of OKS of every joint, as "hps", and of each part's points; a centre has its part's mean."""
    double = [2.0 * sigma for sigma in SIGMAS]
    found = {part.name: double[part.keypoints] for part in spec.parts}
    of_center = {part.center: sum(found[part.name]) / part.num_keypoints for part in spec.parts}
    found["hps"] = [
        double[keypoint] if keypoint >= 0 else of_center[name]
        for name, keypoint in zip(spec.joints, spec.keypoint_of_joint, strict=True)
    ]
    return found


class HprLoss(nn.Module):
    """The paper's losses: focal on the heat-maps, L1 at the targets' cells on everything else.

    Terms are named after heads and parts: hm, hm_hp, wh, reg, hps, hp_offset, each part (face, left_hand,
    ...), and each part's `size_head` (wh_face). Each is the mean over the stacks, and over its labelled
    values. Without a label it is 0, and still has a gradient (of 0) for every weight that it reads. A
    refinement has its own terms, see `refinement_losses`; they are of the last stack.

    Args:
        spec: the network's.
        weights: of terms in the sum, by name; the others' is 0.1 for wh and wh_face, as
            `refinement_weights` says for a refinement's, 1 for the rest.
        points: one of `POINT_LOSSES`, for hps and the parts: the absolute error in cells (the paper's);
            the absolute error in units of what OKS tolerates, 2 sigma sqrt(area of the person's box), where
            a centre's sigma is the mean of its part's; or `wing` of the absolute error.

    Raises:
        UsageError: there is no term, or way, of this name.
    """

    def __init__(
        self, spec: ModelSpec, *, weights: Mapping[str, float] | None = None, points: str = "l1"
    ) -> None:
        super().__init__()
        if points not in POINT_LOSSES:
            raise UsageError(f"points is one of {', '.join(POINT_LOSSES)}, got {points!r}")
        sizes = [part.size_head for part in spec.parts if part.size_head]
        terms = ["hm", "hm_hp", "wh", "reg", "hps", "hp_offset", *(part.name for part in spec.parts), *sizes]
        self.weights = {name: _SIZE_WEIGHT if name in ("wh", *sizes) else 1.0 for name in terms}
        if spec.refinement is not None:
            self.weights.update(refinement_weights(spec.refinement))
        unknown = sorted(set(weights or {}) - set(self.weights))
        if unknown:
            raise UsageError(
                f"{spec.name} has no loss {', '.join(unknown)}; the losses are {', '.join(self.weights)}"
            )
        self.weights.update(weights or {})
        self.spec = spec
        self.points = points
        self._tolerance = _tolerances(spec)
        self._rows, self._maps = _rows(spec), _maps(spec)

    def forward(
        self, network: Network, images: Tensor, targets: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Run the network and compare.

        Args:
            network: of this `spec`.
            images: (N, H, W, 3) BGR in [0, 255].
            targets: batched `make_targets`, on the images' device; other names are not looked at.

        Returns:
            the weighted sum, a float32 scalar, and each term before its weight, without gradient.

        The heat-maps' branches are run everywhere, the others at the targets' cells only: the numbers of
        `dense`, for less. Under autocast the losses themselves are in float32.
        """
        return self.sparse(network.stacks(images), targets, network.refiner)

    def sparse(
        self, stacks: Sequence[Stack], targets: Mapping[str, Tensor], refiner: Refiner | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The same for feature maps that are there already; see `Network.stacks`.

        Without the refiner there are the heads' terms alone.
        """
        asked = self._asked(targets)
        found = [self._terms(_Sparse(stack, asked), asked) for stack in stacks]
        terms = _mean([terms for terms, _ in found])
        if refiner is not None:
            (feature, _), (_, offsets) = stacks[-1], found[-1]
            terms |= refinement_losses(self.spec, refiner, feature, offsets, asked)
        return self._total(terms)

    def dense(
        self, stacks: Sequence[Mapping[str, Tensor]], targets: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The heads' terms for heads that are there already, (N, C, h, w) by name, one mapping a stack."""
        asked = self._asked(targets)
        return self._total(_mean([self._terms(_Dense(maps, asked), asked)[0] for maps in stacks]))

    def _asked(self, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What is looked at, up to the last row in which an image has a person; at least one row."""
        people = max(1, int(targets["person_mask"].sum(dim=1).max()))
        asked = {name: targets[name][:, :people] for name in self._rows}
        return asked | {name: targets[name] for name in self._maps}

    def _total(self, terms: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum, and each term."""
        terms = {name: terms[name] for name in self.weights if name in terms}
        total = torch.stack([self.weights[name] * value for name, value in terms.items()]).sum()
        return total, {name: value.detach() for name, value in terms.items()}

    def _terms(
        self, found: _Predictions, targets: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Every term of one stack's heads, and of each part the offsets (N, P, points, 2) that they say."""

        def l1(values: Tensor, name: str, mask: Tensor) -> Tensor:
            return masked_mean((values.float() - targets[name]).abs(), mask)

        spec, people, joints = self.spec, targets["person_mask"], targets["joint_mask"]
        batch, count, _ = joints.shape
        terms = {
            name: focal_loss(found.heat(name), targets[name], targets[f"{name}_known"]) for name in _DENSE
        }
        for name in ("wh", "reg"):
            terms[name] = l1(found.at_people(name), name, people)
        offsets = found.at_people("hps").reshape(batch, count, -1, 2)
        terms["hps"] = self._points("hps", offsets, targets["hps"], joints, targets["wh"])
        offsets = found.at_joints("hp_offset", spec.offset_per_joint)
        terms["hp_offset"] = l1(offsets, "hp_offset", joints)
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
        """Of points (N, P, points, 2) of people of size (N, P, 2)."""
        error = (found.float() - true).abs()
        if self.points == "wing":
            error = wing(error)
        elif self.points == "oks":
            side = size_wh.prod(dim=-1).sqrt().clamp(min=1.0)
            tolerance = torch.tensor(self._tolerance[name], device=error.device) * side.unsqueeze(-1)
            error = error / tolerance.unsqueeze(-1)
        return masked_mean(error, mask)
