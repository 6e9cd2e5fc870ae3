"""Batches made on the device on which the network learns: views, mosaics, degradations and targets.

One code for CPU and GPU. Every choice is a function of random numbers that are drawn on the CPU, so a batch
depends on the seed only; all shapes depend on the batch's size only, so that a GPU's work can be recorded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from hprnet_rt.spec import ModelSpec
from hprnet_rt.training.constants import sent
from hprnet_rt.training.feed.degrade import Degradation, cut_out, degrade, draw_degradation
from hprnet_rt.training.feed.labels import Labels
from hprnet_rt.training.feed.store import MOST_PEOPLE, Store
from hprnet_rt.training.feed.targets import Spread, batch_targets
from hprnet_rt.training.feed.views import placement_matrices, transform_labels, warp_images
from hprnet_rt.training.recorded import Recorded
from hprnet_rt.training.targets import HEAT_TARGETS

__all__ = ["DeviceFeed"]

_BORDER: Final = 0.2  # margin of an image, as a share of each side, that never holds a view's centre
_TURN, _TURN_RAD, _MIRROR = 0.3, math.radians(30.0), 0.5
_LEAST_SHARE: Final = 0.1
_NUMBERS: Final = 6


@dataclass(frozen=True)
class _Layout:
    """How views share an input.

    Attributes:
        grid: views in a row and in a column.
        share: of the batch's inputs.
        zoom: range of the scale, uniform in its logarithm; at 1 an image just fits into its field.
        finer: the views are made so many times larger and then averaged, because bilinear interpolation
            skips pixels where it shrinks.
    """

    grid: int
    share: float
    zoom: tuple[float, float]
    finer: int = 1


_SINGLE: Final = _Layout(1, 0.68, (0.65, 2.3))
_MOSAICS: Final = (_Layout(2, 0.22, (0.8, 2.2)), _Layout(3, 0.10, (0.8, 1.8), finer=2))


@dataclass(frozen=True, eq=False)
class _Draws:
    """Everything random about a batch.

    Attributes:
        images: for each layout, the numbers of the images of its views.
        views: for each layout, (V, 6) uniform numbers.
        order: of the inputs in the batch.
        degradation: of the batch.
        spread: (B, P, n) uniform numbers, see `Spread`.
    """

    images: tuple[Tensor, ...]
    views: tuple[Tensor, ...]
    order: Tensor
    degradation: Degradation
    spread: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """Return all of it by name."""
        found = {f"images {number}": tensor for number, tensor in enumerate(self.images)}
        found |= {f"views {number}": tensor for number, tensor in enumerate(self.views)}
        found |= {"numbers": self.degradation.numbers, "normal": self.degradation.normal}
        return found | {"order": self.order, "spread": self.spread}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> _Draws:
        """Return draws from what `tensors` gives."""
        images, views = (
            tuple(tensor for name, tensor in tensors.items() if name.startswith(kind))
            for kind in ("images ", "views ")
        )
        degradation = Degradation(tensors["numbers"], tensors["normal"])
        return cls(images, views, tensors["order"], degradation, tensors["spread"])


class DeviceFeed:
    """Makes batches of one size out of the images of a store.

    Args:
        store: of the images.
        weights: (N,) how often each image is shown, relative to the others.
        spec: of the network.
        side: of the network's input in px, a multiple of 32.
        batch: number of inputs.
        labels: what the loss reads, see `HprLoss`; maps that it does not read stay empty.
        spread, part_shares: see `Spread`.
        recorded: on a GPU, record the making of a batch, see `Recorded`; the next batch overwrites it.
    """

    def __init__(
        self,
        store: Store,
        weights: Tensor,
        spec: ModelSpec,
        *,
        side: int,
        batch: int,
        labels: str = "all",
        spread: float = 0.0,
        part_shares: dict[str, float] | None = None,
        recorded: bool = False,
    ) -> None:
        self._store, self._spec, self._labels = store, spec, labels
        self._weights = weights.double().cpu()
        self._side, self._batch = side, batch
        self._spread, self._part_shares = spread, part_shares or {}
        self._fixed = store.images.device.type != "cpu"
        mosaics = [(layout, int(batch * layout.share)) for layout in _MOSAICS]
        single = batch - sum(count for _, count in mosaics)
        self._layouts = [(layout, count) for layout, count in ((_SINGLE, single), *mosaics) if count]
        self._recorded = Recorded(self._made_of, store.images.device) if recorded and self._fixed else None

    @torch.no_grad()
    def make(self, seed: int) -> dict[str, Tensor]:
        """Return the batch of a seed: `image` (B, H, W, 3) uint8 BGR, and the targets of `make_targets`.

        The batch lies on the store's device. A mosaic's people are the first `MOST_PEOPLE` of its views.
        """
        draws = self._drawn(seed)
        return self._made(draws) if self._recorded is None else self._recorded(draws.tensors())

    def _drawn(self, seed: int) -> _Draws:
        device = self._store.images.device
        chance = torch.Generator().manual_seed(seed)
        images, views = [], []
        for layout, count in self._layouts:
            total = count * layout.grid**2
            chosen = torch.multinomial(self._weights, total, replacement=True, generator=chance)
            images.append(sent(chosen, device))
            views.append(sent(torch.rand(total, _NUMBERS, generator=chance), device))
        order = sent(torch.randperm(self._batch, generator=chance), device)
        numbers = 2 + 2 * self._spec.num_joints + 2 * len(self._spec.parts)
        spread = torch.rand(self._batch, MOST_PEOPLE, numbers, generator=chance)
        return _Draws(
            tuple(images),
            tuple(views),
            order,
            draw_degradation(self._batch, self._side, chance, device),
            sent(spread, device),
        )

    def _made_of(self, draws: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return self._made(_Draws.of(draws))

    def _made(self, draws: _Draws) -> dict[str, Tensor]:
        parts = [
            self._inputs(layout, chosen, numbers)
            for (layout, _), chosen, numbers in zip(self._layouts, draws.images, draws.views, strict=True)
        ]
        images = torch.cat([pixels for pixels, _ in parts])[draws.order]
        labels = Labels.joined([labels for _, labels in parts], dim=0)[draws.order]
        images, labels = cut_out(images, labels, draws.degradation)
        images = degrade(images, draws.degradation)
        targets = batch_targets(
            labels,
            self._spec,
            (self._side, self._side),
            heat=self._labels,
            spread=Spread(self._spread, self._part_shares, draws.spread),
            fixed=self._fixed,
        )
        return {"image": images.permute(0, 2, 3, 1).to(torch.uint8), **_people_first(targets)}

    def _inputs(self, layout: _Layout, chosen: Tensor, numbers: Tensor) -> tuple[Tensor, Labels]:
        """Return inputs (B, 3, H, W) of one layout, and their labels."""
        store, grid = self._store, layout.grid
        field = self._side // grid
        hw = (field * layout.finer, field * layout.finer)
        image_hw = store.image_hw[chosen]
        zoom, x, y, mirror, turn, angle = numbers.unbind(dim=1)
        low, high = (math.log(limit) for limit in layout.zoom)
        scale = hw[0] / image_hw.amax(dim=1) * torch.exp(low + (high - low) * zoom)
        center = (_BORDER + (1 - 2 * _BORDER) * torch.stack((x, y), dim=1)) * image_hw.flip(1)
        turned = torch.where(turn < _TURN, (angle * 2 - 1) * _TURN_RAD, torch.zeros_like(angle))
        matrix = placement_matrices(center, scale, hw, mirror < _MIRROR, turned)
        pixels = warp_images(store.images[chosen], matrix, hw)
        if layout.finer > 1:
            pixels = torch.nn.functional.avg_pool2d(pixels, layout.finer)
        labels = transform_labels(
            store.labels[chosen], matrix / layout.finer, (field, field), least_share=_LEAST_SHARE
        )
        if grid == 1:
            return pixels, labels
        return self._mosaics(pixels, labels, grid, field)

    def _mosaics(self, pixels: Tensor, labels: Labels, grid: int, field: int) -> tuple[Tensor, Labels]:
        """Put grid x grid views into each input, row by row; what is left of its sides is black."""
        count = len(pixels) // grid**2
        fields = pixels.reshape(count, grid, grid, 3, field, field).permute(0, 3, 1, 4, 2, 5)
        whole = fields.reshape(count, 3, grid * field, grid * field)
        rest = self._side - grid * field
        whole = torch.nn.functional.pad(whole, (0, rest, 0, rest))
        steps = torch.arange(grid, device=pixels.device) * float(field)
        y, x = torch.meshgrid(steps, steps, indexing="ij")
        corner = torch.stack((x, y), dim=-1).reshape(1, -1, 1, 2)

        def split(tensor: Tensor) -> Tensor:
            return tensor.reshape(count, grid**2, *tensor.shape[1:])

        views = labels.map(split)
        there = views.part_valid.unsqueeze(-1)
        moved = Labels(
            xy=views.xy + corner.unsqueeze(3),
            labelled=views.labelled,
            box_xyxy=views.box_xyxy + corner.repeat(1, 1, 1, 2),
            there=views.there,
            ignore=views.ignore,
            part_box_xyxy=torch.where(
                there, views.part_box_xyxy + corner.unsqueeze(3).repeat(1, 1, 1, 1, 2), 0.0
            ),
            part_valid=views.part_valid,
            part_absent=views.part_absent,
            background=views.background,
        )
        return whole, moved.map(lambda tensor: tensor.flatten(1, 2)).first_rows(MOST_PEOPLE)


def _people_first(targets: dict[str, Tensor]) -> dict[str, Tensor]:
    """Put the rows with targets before the others, as the loss and `without_empty_rows` expect."""
    person = targets["person_mask"]
    order = torch.argsort((~person).int(), dim=1, stable=True)

    def sorted_rows(tensor: Tensor) -> Tensor:
        index = order.reshape(*order.shape, *[1] * (tensor.ndim - 2))
        return tensor.gather(1, index.expand(-1, -1, *tensor.shape[2:]))

    return {name: tensor if name in HEAT_TARGETS else sorted_rows(tensor) for name, tensor in targets.items()}
