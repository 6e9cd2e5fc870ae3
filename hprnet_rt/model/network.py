"""The base of every network: a trunk, a feature map at stride 4, and the heads of its spec."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from hprnet_rt.model.heads import Head
from hprnet_rt.model.refine import Refiner
from hprnet_rt.spec import ModelSpec

__all__ = ["Network", "Stack"]

Stack = tuple[Tensor, Callable[[str], Head]]
"""A feature map (N, C, H, W), and the branches that read it, by name."""

_RARE = -2.19  # logit of a heat-map before training: one cell in ten (Lin et al., "Focal Loss", 2017)


class Network(nn.Module, ABC):
    """A trunk and one branch per head of `spec`.

    Attributes:
        spec: names and widths of the heads, and the input's normalisation.
        refiner: corrects the points of faces and hands; None where `spec` has no refinement.
        body_channels: of the feature map that the body's outputs read.
        needs_float32: prefixes of layers that stay float32 where others are bfloat16: they need more bits.
        unread: prefixes of weights that released files have and no output depends on; they are not trained.
    """

    needs_float32: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    body_channels: slice = slice(None)

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.refiner: Refiner | None = None
        self._on_gpu: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def _add_refiner(self) -> None:
        """Add the refinement last, so that the random weights of the rest do not depend on it."""
        if self.spec.refinement is not None:
            self.refiner = Refiner(self.spec.refinement)

    @abstractmethod
    def trunk_map(self, x: Tensor) -> Tensor:
        """Return the heads' feature map (N, C, H / 4, W / 4) of normalised input (N, 3, H, W)."""

    @abstractmethod
    def head(self, name: str) -> Head:
        """Return the branch of a head."""

    def feature(self, images: Tensor) -> Tensor:
        """Return the feature map of images, (N, C, H / 4, W / 4).

        Args:
            images: (N, H, W, 3) uint8 or float BGR in [0, 255]; H and W are multiples of `spec.multiple_px`.
        """
        return self.trunk_map(self.normalized(images))

    def stacks(self, images: Tensor) -> list[Stack]:
        """Return every feature map that is trained, with its own branches; the last one is `feature`'s.

        Args:
            images: as `feature` takes them.
        """
        return [(self.feature(images), self.head)]

    def normalized(self, images: Tensor) -> Tensor:
        """Return the input of the trunk: images (N, H, W, 3) -> (N, 3, H, W)."""
        mean, inverse = self._scale(images.device)
        x = images.to(torch.float32).permute(0, 3, 1, 2)
        return (x - mean.view(1, 3, 1, 1)) * inverse.view(1, 3, 1, 1)

    def _scale(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return mean and reciprocal deviation of each channel; copied to a GPU once, as CUDA graphs need."""
        if device.type != "cuda":
            return self._made_scale(device)
        if device not in self._on_gpu:
            with torch.inference_mode(False):  # else they could not be used in training later
                self._on_gpu[device] = self._made_scale(device)
        return self._on_gpu[device]

    def _made_scale(self, device: torch.device) -> tuple[Tensor, Tensor]:
        mean = torch.tensor(self.spec.mean, device=device) * 255.0
        return mean, 1.0 / (torch.tensor(self.spec.std, device=device) * 255.0)

    def dense(self, images: Tensor) -> dict[str, Tensor]:
        """Return every head at every cell, by name: (N, channels, H / 4, W / 4); heat-maps are logits.

        Args:
            images: as `feature` takes them.
        """
        feature = self.feature(images)
        return {head.name: self.head(head.name)(feature) for head in self.spec.heads}


def start_rare(head: Head) -> None:
    """Initialise the bias of an untrained heat-map to a probability of about 0.1 at every cell."""
    for conv in head.last:
        assert conv.bias is not None
        nn.init.constant_(conv.bias, _RARE)
