"""The base of a rival's networks: images in, the maps of its heads out, in one tensor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hprnet_rt.spec import ModelSpec

__all__ = ["RivalNetwork"]


class RivalNetwork(nn.Module, ABC):
    """A network that returns dense maps.

    Attributes:
        spec: the heads, and the input's normalisation.
        needs_float32: see `Network`; no rival's layers do.
    """

    needs_float32: tuple[str, ...] = ()
    mean: Tensor
    inverse: Tensor

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        # not weights: they are in no file
        self.register_buffer(
            "mean", torch.tensor(spec.mean, device="cpu").view(1, 3, 1, 1) * 255, persistent=False
        )
        inverse = 1 / (torch.tensor(spec.std, device="cpu").view(1, 3, 1, 1) * 255)
        self.register_buffer("inverse", inverse, persistent=False)

    @abstractmethod
    def maps(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the maps of each head of `spec` for normalised input (N, 3, H, W)."""

    @abstractmethod
    def last_layers(self) -> Sequence[nn.Module]:
        """Return the layers whose outputs are maps; they stay in float32."""

    def normalized(self, images: Tensor) -> Tensor:
        """Return the input of `maps`: images (N, H, W, 3) uint8 BGR -> (N, 3, H, W), in the order BGR."""
        x = images.to(torch.float32).permute(0, 3, 1, 2)
        return ((x - self.mean) * self.inverse).to(self.mean.dtype)  # half precision if all of it is

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, H, W, 3) uint8 BGR to (N, 1, values): all maps, one head after the other."""
        maps = self.maps(self.normalized(images))
        return torch.cat([each.float().flatten(1) for each in maps], dim=1)[:, None]
