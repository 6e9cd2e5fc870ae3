"""Keep the body while the trunk learns: distances from what teachers see in the same images.

A trunk that learns faces and hands from labels that networks made forgets how bodies look, small ones first.
Held near a first model where people are, it learns the parts and the body's results do not move.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from hprnet_rt.errors import UsageError
from hprnet_rt.model.network import Network, Stack
from hprnet_rt.training.config import Teacher
from hprnet_rt.training.losses import run_of
from hprnet_rt.training.start import start_from

__all__ = ["Hold", "largest_person"]

_EVERYWHERE, _AT_PEOPLE, _AT_JOINTS = 1.0, 8.0, 4.0  # weights of a cell's features
_FACES: Final = 10.0  # longer sides of the face's landmarks in a person's height
_AT_NOTHING: Final = 0.02  # weight of a cell of a heat-map, besides the teacher's heat
_LEAST_VARIANCE: Final = 1e-6
_LIMIT: Final = 1e-5  # of probabilities, so that their logits are finite


def largest_person(targets: Mapping[str, Tensor], map_hw: tuple[int, int]) -> Tensor:
    """Return the size of the largest person (N,), as a share of the map's longer side; 0 of none.

    A person's size is the longer side of the box, or ten times that of the face where this is more: of people
    close to the camera only a part is in the image.
    """
    size = targets["wh"].amax(dim=-1)
    if "wh_face" in targets:
        size = torch.maximum(size, _FACES * targets["wh_face"].amax(dim=-1))
    return (size * targets["person_mask"]).amax(dim=1) / max(map_hw)


def _entropy_above_least(logits: Tensor, heat: Tensor) -> Tensor:
    """Return the cross-entropy of logits against probabilities, less the entropy of these."""
    own = torch.logit(heat, _LIMIT)
    entropy = functional.binary_cross_entropy_with_logits
    return entropy(logits, heat, reduction="none") - entropy(own, heat, reduction="none")


class Hold(nn.Module):
    """The teachers of a run.

    Args:
        network: the network that learns; teachers are of its architecture.
        teachers: of the configuration.
        images: (N, H, W, 3) typical images, for the variance of each teacher's features.

    Raises:
        ModelError: a teacher's weights cannot be read.
        UsageError: there are no teachers.
    """

    def __init__(self, network: Network, teachers: Sequence[Teacher], images: Tensor) -> None:
        super().__init__()
        if not teachers:
            raise UsageError("there are no [[teachers]] to hold the body")
        self._teachers = teachers
        self._body = run_of(j for j, anchor in enumerate(network.spec.anchor_of_joint) if anchor < 0)
        self._networks: dict[str, Network] = {}  # no submodules: they do not learn and are not saved
        self._variances: dict[str, Tensor] = {}
        for teacher in teachers:
            if teacher.weights in self._networks:
                continue
            made = type(network)(network.spec)
            start_from(made, Path(teacher.weights))
            made.to(images.device).eval().requires_grad_(False)
            with torch.no_grad():
                features = made.feature(images)[:, made.body_channels].float()
            variance = features.var(dim=(0, 2, 3)).clamp(min=_LEAST_VARIANCE)
            self._networks[teacher.weights] = made
            self._variances[teacher.weights] = variance.reshape(1, -1, 1, 1)

    def to_memory(self, memory: torch.memory_format) -> None:
        """Bring the teachers to a memory order."""
        for made in self._networks.values():
            made.to(memory_format=memory)  # type: ignore[call-overload]

    def forward(
        self, network: Network, stack: Stack, images: Tensor, targets: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Return the distances from the teachers, weighted as they say.

        Args:
            network: that learns.
            stack: its feature map of the images, and its branches.
            images: (N, H, W, 3).
            targets: batched `make_targets`; they say how large the people are.

        Returns:
            hold_features: squared distances of the body's features over the variance of each channel of the
            teacher, weighted by 1 + 8 x the heat of people + 4 x that of joints; hold_heat: cross-entropy of
            the heat-maps of people and of the body's joints, less its least value, weighted by 0.02 + heat,
            over (the sum of each map's strongest heat + 1). Both only over the images of the teacher.
        """
        feature, head = stack
        body = feature[:, network.body_channels].float()
        own = [head("hm")(feature).float(), head("hm_hp")(feature)[:, self._body].float()]
        size = largest_person(targets, (feature.shape[2], feature.shape[3]))
        off_features, off_heat = body.new_zeros(()), body.new_zeros(())
        seen = {weights: self._seen(made, images) for weights, made in self._networks.items()}
        for teacher in self._teachers:
            wanted, heat = seen[teacher.weights]
            taught = (size >= teacher.least_person) & (size < teacher.most_person)
            mask = taught.float().reshape(-1, 1, 1, 1)
            if teacher.features:
                weight = _EVERYWHERE + _AT_PEOPLE * heat[0] + _AT_JOINTS * heat[1].amax(dim=1, keepdim=True)
                weight = weight * mask
                distance = (body - wanted).square() / self._variances[teacher.weights]
                distance = (weight * distance.mean(dim=1, keepdim=True)).sum()
                off_features = off_features + teacher.features * distance / weight.sum().clamp(min=1)
            for logits, theirs in zip(own, heat, strict=True) if teacher.heat else ():
                entropy = (_AT_NOTHING + theirs) * mask * _entropy_above_least(logits, theirs)
                strongest = (theirs.amax(dim=(2, 3)) * mask[..., 0, 0]).sum() + 1
                off_heat = off_heat + teacher.heat * entropy.sum() / strongest
        return {"hold_features": off_features, "hold_heat": off_heat}

    @torch.no_grad()
    def _seen(self, made: Network, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return a teacher's features of the body, and its heat-maps of people and of the body's joints."""
        feature = made.feature(images)
        heat = [made.head("hm")(feature), made.head("hm_hp")(feature)[:, self._body]]
        return feature[:, made.body_channels].float(), [each.float().sigmoid() for each in heat]
