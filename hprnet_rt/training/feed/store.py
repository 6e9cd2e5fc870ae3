"""All images and labels of a run in the memory of its device."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hprnet_rt.errors import UsageError
from hprnet_rt.training.dataset import WholeBodyDataset
from hprnet_rt.training.feed.labels import Labels, pack_labels
from hprnet_rt.training.sample import Sample

__all__ = ["MOST_PEOPLE", "Store"]

MOST_PEOPLE = 12
_THREADS = 8


@dataclass(frozen=True, eq=False)
class Store:
    """N images, no larger than the network's input, and their labels.

    Attributes:
        images: (N, side, side, 3) uint8 BGR, each in the upper left corner.
        image_hw: (N, 2) float32, their heights and widths in px.
        labels: in px of the images, with `MOST_PEOPLE` rows.
    """

    images: Tensor
    image_hw: Tensor
    labels: Labels

    @classmethod
    def load(cls, sets: Sequence[tuple[WholeBodyDataset, bool]], side: int, device: torch.device) -> Store:
        """Read all images of some sets; those that are larger are shrunk to `side` px on the longer side.

        Args:
            sets: each with whether its unlabelled joints count as background.
            side: of the network's input in px.
            device: where everything lies. An image takes 3 x side x side bytes.

        Raises:
            MediaError: an image cannot be read.
            UsageError: the device has not enough memory.
        """
        count = sum(len(samples) for samples, _ in sets)
        need = count * side * side * 3
        try:
            images = torch.zeros((count, side, side, 3), dtype=torch.uint8, device=device)
        except RuntimeError as error:
            raise UsageError(
                f"{count} images of {side} px take {need / 2**30:.1f} GiB in the device's memory, which has "
                'less: use feed = "loader", or fewer images'
            ) from error
        image_hw = torch.zeros(count, 2)
        labels, first = [], 0

        def read(samples: WholeBodyDataset, index: int) -> Sample:
            sample = samples.read(index)
            small = _shrunk(sample, side)
            height, width = small.image.shape[:2]
            image_hw[first + index] = torch.tensor((height, width), dtype=torch.float32)
            images[first + index, :height, :width] = torch.from_numpy(small.image)
            return replace(small, image=_NO_IMAGE)

        with ThreadPoolExecutor(_THREADS) as pool:
            for samples, background in sets:
                read_all = list(pool.map(functools.partial(read, samples), range(len(samples))))
                labels.append(pack_labels(read_all, MOST_PEOPLE, background=background))
                first += len(samples)
        return cls(
            images, image_hw.to(device), Labels.joined(labels, dim=0).map(lambda tensor: tensor.to(device))
        )

    def __len__(self) -> int:
        return len(self.images)


_NO_IMAGE: npt.NDArray[np.uint8] = np.zeros((1, 1, 3), np.uint8)


def _shrunk(sample: Sample, side: int) -> Sample:
    """Return the sample, shrunk if its longer side has more than `side` px."""
    height, width = sample.image.shape[:2]
    share = min(1.0, side / max(height, width))
    if share == 1.0:
        return sample
    size = (max(1, round(width * share)), max(1, round(height * share)))
    scale = np.array((size[0] / width, size[1] / height), np.float32)
    return replace(
        sample,
        image=np.asarray(cv2.resize(sample.image, size, interpolation=cv2.INTER_AREA), np.uint8),
        xy=sample.xy * scale,
        box_xyxy=sample.box_xyxy * np.tile(scale, 2),
        part_box_xyxy=sample.part_box_xyxy * np.tile(scale, 2),
    )
