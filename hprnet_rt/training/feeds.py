"""Where the batches of a run come from: loader processes, or the device itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from hprnet_rt.errors import UsageError
from hprnet_rt.spec import SPECS
from hprnet_rt.training.augment import PaperAugmentation, Transform
from hprnet_rt.training.batches import Batch, TargetSets, part_spreads
from hprnet_rt.training.config import Phase, TrainConfig
from hprnet_rt.training.dataset import WholeBodyDataset, loader_workers
from hprnet_rt.training.feed import DeviceFeed, Store
from hprnet_rt.training.processes import ProcessGroup
from hprnet_rt.training.strong import StrongAugmentation

__all__ = ["Feed", "TrainingData"]


class Feed(Protocol):
    """The batches of one phase, for one process.

    Attributes:
        steps: batches of an epoch.
    """

    steps: int

    def batches(self, epoch: int, skipped: int) -> Iterator[Batch]:
        """Return the batches of an epoch, of the run's number, without the first `skipped` ones."""
        ...


class TrainingData:
    """The training sets of a run.

    Args:
        config: of the run.
        processes: of the run.

    Raises:
        DataError: annotations or images are missing or damaged.
        UsageError: no set is named.
    """

    def __init__(self, config: TrainConfig, processes: ProcessGroup) -> None:
        self._config, self._processes = config, processes
        transform: Transform = PaperAugmentation(config.input_px)
        if config.augmentation == "strong":
            transform = StrongAugmentation((config.input_px, config.input_px))
        sets = config.data.training_sets
        samples = [
            WholeBodyDataset.from_files(
                Path(one.annotations),
                Path(one.images),
                transform,
                seed=config.seed + number,
                with_people_only=True,
            )
            for number, one in enumerate(sets)
        ]
        background = [one.unlabelled_is_background for one in sets]
        self.weights = torch.cat(
            [torch.from_numpy(own.weights) * one.weight for own, one in zip(samples, sets, strict=True)]
        )
        if not self.weights.any():
            raise UsageError("all images have the weight 0")
        self._targets = TargetSets(samples, background, config)
        self._store: Store | None = None
        if config.feed == "device":
            pairs = list(zip(samples, background, strict=True))
            self._store = Store.load(pairs, config.input_px, processes.device)

    def __len__(self) -> int:
        return len(self.weights)

    def first_images(self, count: int) -> Tensor:
        """Return at most `count` images (N, H, W, 3) as the network sees them, on the device."""
        if self._store is not None:
            phase = self._config.all_phases[0]
            feed = self._on_device(self._store, phase, recorded=False)
            return next(feed.batches(0, 0))["image"][:count]
        step = max(1, len(self) // count)
        images = [self._targets[index]["image"] for index in range(0, len(self), step)]
        return torch.stack(images[:count]).to(self._processes.device)

    def feed(self, phase: Phase) -> Feed:
        """Return the feed of a phase.

        Raises:
            UsageError: a batch has more images than an epoch, or cannot be shared by the processes.
        """
        world = self._processes.world
        if phase.batch % world:
            raise UsageError(f"a batch of {phase.batch} cannot be shared by {world} processes")
        images = self._config.epoch_images or len(self)
        if images < phase.batch:
            raise UsageError(f"{images} images do not fill a batch of {phase.batch}")
        if self._store is not None:
            return self._on_device(self._store, phase, recorded=self._config.recorded)
        return _Loader(self._targets, self.weights, self._config, phase, self._processes)

    def _on_device(self, store: Store, phase: Phase, *, recorded: bool) -> _OnDevice:
        return _OnDevice(store, self.weights, self._config, phase, self._processes, recorded=recorded)


class _Order(Sampler[int]):
    """The images of an epoch, split among the processes; whole batches only.

    Without weights each image is shown once, in a new order each epoch. With weights, or where an epoch has
    another number of images, they are drawn: the number of an image that is drawn again is larger by the
    number of all images each time, see `TargetSets`.

    Attributes:
        batch: images of a batch that this process gets.
        steps: batches of an epoch.
        epoch: whose order comes next.
        skipped: batches at the epoch's start that are left out, in a run that is resumed.
    """

    def __init__(self, weights: Tensor, config: TrainConfig, phase: Phase, processes: ProcessGroup) -> None:
        self._weights, self._config, self._processes = weights, config, processes
        self._drawn = bool(config.epoch_images) or not torch.equal(weights, torch.ones_like(weights))
        self._all = phase.batch
        self.batch = phase.batch // processes.world
        self.steps = (config.epoch_images or len(weights)) // phase.batch
        self.epoch = 0
        self.skipped = 0

    def _images(self, generator: torch.Generator) -> Tensor:
        count = self.steps * self._all
        if not self._drawn:
            return torch.randperm(len(self._weights), generator=generator)[:count]
        drawn = torch.multinomial(self._weights, count, replacement=True, generator=generator)
        times = torch.zeros(len(self._weights), dtype=torch.int64)
        numbers = []
        for image in drawn.tolist():
            numbers.append(image + int(times[image]) * len(self._weights))
            times[image] += 1
        return torch.tensor(numbers)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._config.seed * 1_000_003 + self.epoch)
        batches = self._images(generator).view(self.steps, self._processes.world, self.batch)
        own = batches[self.skipped :, self._processes.rank]
        return iter(own.reshape(-1).tolist())

    def __len__(self) -> int:
        return (self.steps - self.skipped) * self.batch


class _Loader:
    """A feed of loader processes; see `Feed`."""

    def __init__(
        self, targets: TargetSets, weights: Tensor, config: TrainConfig, phase: Phase, processes: ProcessGroup
    ) -> None:
        self._targets = targets
        self._order = _Order(weights, config, phase, processes)
        self.steps = self._order.steps
        self._loader: DataLoader[Batch] = DataLoader(
            cast(Any, targets),
            batch_size=self._order.batch,
            sampler=self._order,
            pin_memory=processes.device.type == "cuda",
            drop_last=True,
            **loader_workers(config.data.workers),
        )

    def batches(self, epoch: int, skipped: int) -> Iterator[Batch]:
        self._order.epoch, self._order.skipped = epoch, skipped
        self._targets.set_epoch(epoch)
        return iter(self._loader)


class _OnDevice:
    """A feed of the device itself; see `Feed`."""

    def __init__(
        self,
        store: Store,
        weights: Tensor,
        config: TrainConfig,
        phase: Phase,
        processes: ProcessGroup,
        *,
        recorded: bool,
    ) -> None:
        self._seed, self._rank = config.seed, processes.rank
        self._feed = DeviceFeed(
            store,
            weights,
            SPECS[config.model],
            side=config.input_px,
            batch=phase.batch // processes.world,
            labels=phase.labels,
            spread=config.spread,
            part_shares=part_spreads(config),
            recorded=recorded,
        )
        self.steps = (config.epoch_images or len(weights)) // phase.batch

    def batches(self, epoch: int, skipped: int) -> Iterator[Batch]:
        for step in range(skipped, self.steps):
            seed = np.random.SeedSequence((self._seed, epoch, step, self._rank)).generate_state(1, np.uint64)
            yield self._feed.make(int(seed[0] >> np.uint64(1)))
