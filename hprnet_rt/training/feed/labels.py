"""The labels of many images as tensors of one shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Final

import torch
from torch import Tensor

from hprnet_rt.training.sample import Sample

__all__ = ["Labels", "pack_labels"]


@dataclass(frozen=True, eq=False)
class Labels:
    """The labels of B images of P rows each, as in `Sample`: a row is a person, or a region to be ignored.

    Attributes:
        xy: (B, P, 133, 2) float32 px.
        labelled: (B, P, 133) bool.
        box_xyxy: (B, P, 4) float32 px.
        there: (B, P) bool; rows that hold anything.
        ignore: (B, P) bool; see `Sample`.
        part_box_xyxy: (B, P, 3, 4) float32 px.
        part_valid, part_absent: (B, P, 3) bool.
        background: (B, P) bool; unlabelled joints count as background.
    """

    xy: Tensor
    labelled: Tensor
    box_xyxy: Tensor
    there: Tensor
    ignore: Tensor
    part_box_xyxy: Tensor
    part_valid: Tensor
    part_absent: Tensor
    background: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> Labels:
        """Return labels with every tensor changed in the same way."""
        return Labels(**{name: change(getattr(self, name)) for name in _NAMES})

    def __getitem__(self, images: Tensor) -> Labels:
        """Return the labels of some images."""
        return self.map(lambda tensor: tensor[images])

    @staticmethod
    def joined(parts: Sequence[Labels], dim: int) -> Labels:
        """Join labels along a dimension: 0 for more images, 1 for more people in each."""
        return Labels(**{name: torch.cat([getattr(part, name) for part in parts], dim) for name in _NAMES})

    def first_rows(self, count: int) -> Labels:
        """Keep `count` rows of each image: people first, then regions, in their order."""
        order = (~self.there).int() * 2 + self.ignore.int()
        rows = torch.argsort(order, dim=1, stable=True)[:, :count]

        def chosen(tensor: Tensor) -> Tensor:
            index = rows.reshape(*rows.shape, *[1] * (tensor.ndim - 2))
            return tensor.gather(1, index.expand(-1, -1, *tensor.shape[2:]))

        return self.map(chosen)


_NAMES: Final = tuple(entry.name for entry in fields(Labels))


def pack_labels(samples: Sequence[Sample], most: int, *, background: bool) -> Labels:
    """Return the labels of samples as tensors of `most` rows an image; the images are not read.

    Args:
        samples: N samples. Of more people than `most` the largest are kept, and people before regions.
        most: rows of an image.
        background: unlabelled joints count as background.
    """
    count = len(samples)
    labels = Labels(
        xy=torch.zeros(count, most, 133, 2),
        labelled=torch.zeros(count, most, 133, dtype=torch.bool),
        box_xyxy=torch.zeros(count, most, 4),
        there=torch.zeros(count, most, dtype=torch.bool),
        ignore=torch.zeros(count, most, dtype=torch.bool),
        part_box_xyxy=torch.zeros(count, most, 3, 4),
        part_valid=torch.zeros(count, most, 3, dtype=torch.bool),
        part_absent=torch.zeros(count, most, 3, dtype=torch.bool),
        background=torch.full((count, most), background),
    )
    for n, sample in enumerate(samples):
        box = torch.from_numpy(sample.box_xyxy)
        ignore = torch.from_numpy(sample.ignore)
        area = (box[:, 2:] - box[:, :2]).prod(dim=1)
        rows = torch.argsort(ignore.float() * 1e12 - area, stable=True)[:most].sort().values
        xy = torch.from_numpy(sample.xy)[rows]
        finite = torch.isfinite(xy).all(dim=-1)
        used = slice(0, len(rows))
        labels.xy[n, used] = torch.where(finite[..., None], xy, 0.0)
        labels.labelled[n, used] = torch.from_numpy(sample.labelled)[rows] & finite
        labels.box_xyxy[n, used] = box[rows]
        labels.there[n, used] = True
        labels.ignore[n, used] = ignore[rows]
        labels.part_box_xyxy[n, used] = torch.from_numpy(sample.part_box_xyxy).reshape(-1, 3, 4)[rows]
        labels.part_valid[n, used] = torch.from_numpy(sample.part_valid)[rows]
        labels.part_absent[n, used] = torch.from_numpy(sample.part_absent)[rows]
    return labels
