"""The training set (images with their targets, for torch to batch) and the validation set."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from hprnet_rt.evaluation import read_annotations
from hprnet_rt.spec import SPECS
from hprnet_rt.training.augment import PaperAugmentation, Transform
from hprnet_rt.training.config import TrainConfig
from hprnet_rt.training.dataset import WholeBodyDataset
from hprnet_rt.training.displacement import displace_parts, displace_targets
from hprnet_rt.training.images import ImageFiles
from hprnet_rt.training.strong import StrongAugmentation
from hprnet_rt.training.targets import HEAT_TARGETS, make_targets
from hprnet_rt.training.validate import Validator

__all__ = ["Batch", "TargetSet", "training_set", "validation_set"]

Batch = dict[str, Tensor]
"""`image` (N, H, W, 3) uint8 BGR, and the arrays of `make_targets` by name, stacked along N."""

_DISPLACEMENT = 1  # a stream of random numbers other than the augmentation's


class TargetSet(Dataset[Batch]):
    """A data set of samples, each with the targets of one network.

    Args:
        samples: all of one input size, the network's.
        config: names the network and the options of its targets.
    """

    def __init__(self, samples: WholeBodyDataset, config: TrainConfig) -> None:
        self._samples = samples
        self._spec = SPECS[config.model]
        self._background = config.data.unlabelled_is_background
        self._spread = config.spread
        refinement = self._spec.refinement
        refined = {part.name for part in refinement.parts} if refinement else set()
        shares = {
            part.name: config.part_spread if part.name in refined else config.spread
            for part in self._spec.parts
        }
        self._part_spreads = {name: share for name, share in shares.items() if share}

    def __len__(self) -> int:
        return len(self._samples)

    def set_epoch(self, epoch: int) -> None:
        """Use the random numbers of another epoch from now on."""
        self._samples.set_epoch(epoch)

    def __getitem__(self, index: int) -> Batch:
        sample = self._samples[index]
        targets = make_targets(sample, self._spec, unlabelled_is_background=self._background)
        rng = self._samples.chance(index, _DISPLACEMENT)
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


def training_set(config: TrainConfig) -> TargetSet:
    """Return the training set of a configuration.

    Raises:
        DataError: annotations or images are missing or damaged.
    """
    transform: Transform = PaperAugmentation(config.input_px)
    if config.augmentation == "strong":
        transform = StrongAugmentation((config.input_px, config.input_px))
    samples = WholeBodyDataset.from_files(
        Path(config.data.train_annotations),
        Path(config.data.train_images),
        transform,
        seed=config.seed,
        with_people_only=True,
    )
    return TargetSet(samples, config)


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
