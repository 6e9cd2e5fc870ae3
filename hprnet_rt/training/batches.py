"""Training sets (images with their targets, for torch to batch) and the validation set."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from hprnet_rt.evaluation import read_annotations
from hprnet_rt.spec import SPECS
from hprnet_rt.training.config import TrainConfig
from hprnet_rt.training.dataset import WholeBodyDataset
from hprnet_rt.training.displacement import displace_parts, displace_targets
from hprnet_rt.training.images import ImageFiles
from hprnet_rt.training.targets import HEAT_TARGETS, make_targets
from hprnet_rt.training.validate import Validator

__all__ = ["Batch", "TargetSets", "part_spreads", "validation_set", "without_empty_rows"]

Batch = dict[str, Tensor]
"""`image` (N, H, W, 3) uint8 BGR, and the arrays of `make_targets` by name, stacked along N."""

_DISPLACEMENT = 1  # a stream of random numbers other than the augmentation's


def part_spreads(config: TrainConfig) -> dict[str, float]:
    """Return how far the cells of parts are moved, by name, see `displace_parts`; without those that stay."""
    spec = SPECS[config.model]
    refined = {part.name for part in spec.refinement.parts} if spec.refinement else set()
    shares = {part.name: config.part_spread if part.name in refined else config.spread for part in spec.parts}
    return {name: share for name, share in shares.items() if share}


class TargetSets(Dataset[Batch]):
    """The samples of some sets, one set after another, each with the targets of one network.

    Index i + n * len(self) is the i-th sample with other random numbers, for an image that is shown several
    times in an epoch.

    Args:
        sets: all of one input size, the network's.
        background: for each set whether unlabelled joints count as background.
        config: names the network and the options of its targets.
    """

    def __init__(
        self, sets: Sequence[WholeBodyDataset], background: Sequence[bool], config: TrainConfig
    ) -> None:
        self._sets, self._background = sets, background
        self._first = np.cumsum([0, *(len(one) for one in sets)])
        self._spec = SPECS[config.model]
        self._spread = config.spread
        self._part_spreads = part_spreads(config)

    def __len__(self) -> int:
        return int(self._first[-1])

    def set_epoch(self, epoch: int) -> None:
        """Use the random numbers of another epoch from now on."""
        for one in self._sets:
            one.set_epoch(epoch)

    def __getitem__(self, index: int) -> Batch:
        turn, index = divmod(index, len(self))
        number = int(np.searchsorted(self._first, index, side="right")) - 1
        samples, own = self._sets[number], index - int(self._first[number])
        sample = samples.sample(own, turn)
        targets = make_targets(sample, self._spec, unlabelled_is_background=self._background[number])
        rng = samples.chance(own, _DISPLACEMENT, turn) if turn else samples.chance(own, _DISPLACEMENT)
        if self._spread:
            targets = displace_targets(targets, rng, self._spread)
        targets = displace_parts(targets, self._spec, rng, self._part_spreads)
        arrays: dict[str, Any] = {"image": sample.image, **targets}
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


def without_empty_rows(batch: Batch) -> Batch:
    """Cut the targets of a batch after the last person of its fullest image; at least one row stays."""
    there = batch["person_mask"]
    most = max(1, int(there.any(dim=0).sum()))  # rows with people come first
    maps = ("image", *HEAT_TARGETS)
    return {name: tensor if name in maps else tensor[:, :most] for name, tensor in batch.items()}


def validation_set(config: TrainConfig, device: torch.device, stop: threading.Event) -> Validator | None:
    """Return the validator of a configuration, or None if the configuration names no validation set.

    Args:
        config: of the run.
        device: to run the network on.
        stop: ends a validation when it is set.

    Raises:
        DataError: annotations or images are missing or damaged.
    """
    if not config.data.val_annotations:
        return None
    annotations = read_annotations(Path(config.data.val_annotations))
    images = ImageFiles(annotations.file_names, Path(config.data.val_images))
    return Validator(annotations, images, config.input_px, device, stop)
