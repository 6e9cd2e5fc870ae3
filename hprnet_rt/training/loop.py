"""The training loop: one process or many (torchrun), resumed bit for bit where the device is deterministic.

Nothing depends on the wall clock: the order of the images and their augmentation follow from the seed, the
epoch and the image's index. So a run that was killed continues as if it had never stopped.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Sampler

from hprnet_rt.errors import ModelError, UsageError
from hprnet_rt.model import create_model
from hprnet_rt.model.network import Network
from hprnet_rt.training.batches import Batch, training_set, without_empty_rows
from hprnet_rt.training.config import TrainConfig
from hprnet_rt.training.dataset import loader_workers
from hprnet_rt.training.losses import HprLoss
from hprnet_rt.training.optimizer import make_optimizer
from hprnet_rt.training.start import fit_scale, start_from
from hprnet_rt.training.state import Averaged, load_state, save_state

__all__ = ["ProcessGroup", "Progress", "Trainer"]

_log = logging.getLogger(__name__)

LAST = "last.pth"
_FIRST_IMAGES = 16  # to which the input scale of a fresh refinement is fitted
_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class ProcessGroup:
    """The processes of a run, started by torchrun.

    Attributes:
        rank: number of this process, from 0.
        world: number of processes.
        device: of this process.
    """

    rank: int
    world: int
    device: torch.device

    @classmethod
    def join(cls) -> ProcessGroup:
        """Join the process group that torchrun's environment describes, or make a group of one process."""
        world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
        local = int(os.environ.get("LOCAL_RANK", "0"))
        device = torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")
        if device.type == "cuda":
            torch.cuda.set_device(device)
        if world > 1 and not torch.distributed.is_initialized():
            torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return cls(rank, world, device)

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and messages."""
        return self.rank == 0

    def leave(self) -> None:
        """Leave the process group."""
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


@dataclass(frozen=True)
class Progress:
    """The result of one training step.

    Attributes:
        epoch: number of the epoch, from 0.
        epochs: number of epochs in the run.
        step: number of the step in its epoch, from 1.
        steps: number of steps in an epoch.
        loss: the weighted sum.
        losses: the terms by name, before their weights.
        rate: the learning rate.
        images_s: images a second of all processes, since the step before.
        waiting: share of that time spent waiting for the loader.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    losses: dict[str, float]
    rate: float
    images_s: float
    waiting: float


class _Order(Sampler[int]):
    """A new order of images each epoch, split among the processes; whole batches only.

    Attributes:
        batch: images of a batch that this process gets.
        steps: batches of an epoch.
        epoch: whose order comes next.
        skipped: batches at the epoch's start that are left out, in a run that is resumed.
    """

    def __init__(self, count: int, config: TrainConfig, processes: ProcessGroup) -> None:
        self._count, self._config, self._processes = count, config, processes
        self.batch = config.batch // processes.world
        self.steps = count // config.batch
        self.epoch = 0
        self.skipped = 0

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._config.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self._count, generator=generator)[: self.steps * self._config.batch]
        batches = order.view(self.steps, self._processes.world, self.batch)
        own = batches[self.skipped :, self._processes.rank]
        return iter(own.reshape(-1).tolist())

    def __len__(self) -> int:
        return (self.steps - self.skipped) * self.batch


class Trainer:
    """One run of a configuration.

    Args:
        config: of the run.
        folder: for the checkpoints; if it holds a checkpoint, that run is continued.
        processes: the group of processes that train together.

    Attributes:
        starts_refinement: the weights to start from have no refinement, so the network's has fresh weights.

    Raises:
        UsageError: the folder holds a run of another configuration, or the set is smaller than a batch.
        ModelError: a checkpoint is damaged.
        DataError: the annotations cannot be read.
        MediaError: images are missing.
    """

    def __init__(self, config: TrainConfig, folder: Path, processes: ProcessGroup) -> None:
        if config.batch % processes.world:
            raise UsageError(f"a batch of {config.batch} cannot be shared by {processes.world} processes")
        self.config, self.folder, self.processes = config, folder, processes
        torch.manual_seed(config.seed)
        self.network = create_model(config.model)
        self.starts_refinement = bool(config.weights) and start_from(self.network, Path(config.weights))
        memory = torch.channels_last if config.channels_last else torch.contiguous_format
        self.network.to(processes.device, memory_format=memory)  # type: ignore[call-overload]
        self.dataset = training_set(config)
        if self.starts_refinement:
            self._fit_scale()
        self.optimizer = make_optimizer(self.network, config, self.network.unread)
        self.scaler = torch.amp.GradScaler(processes.device.type, enabled=config.precision == "fp16")
        self.averaged = Averaged(self.network, config.ema)
        self.loss = HprLoss(self.network.spec, weights=config.loss, points=config.points)
        self._order = _Order(len(self.dataset), config, processes)
        if self._order.steps < 1:
            raise UsageError(f"{len(self.dataset)} images do not fill a batch of {config.batch}")
        self._loader: DataLoader[Batch] = DataLoader(
            cast(Any, self.dataset),
            batch_size=self._order.batch,
            sampler=self._order,
            pin_memory=processes.device.type == "cuda",
            drop_last=True,
            **loader_workers(config.data.workers),
        )
        self.epoch = self.step = self.total = 0
        self._rate_used = 0.0
        self._resume()
        self._module = _NetworkWithLoss(self.network, self.loss)
        self._wrapped: nn.Module = self._module
        if processes.world > 1:
            devices = [processes.device.index] if processes.device.type == "cuda" else None
            self._wrapped = DistributedDataParallel(self._module, device_ids=devices)

    @property
    def steps(self) -> int:
        """Number of steps in an epoch."""
        return self._order.steps

    def _fit_scale(self) -> None:
        """Fit the input scale of a fresh refinement to the first images of the training set."""
        assert self.network.refiner is not None
        count = min(_FIRST_IMAGES, len(self.dataset))
        images = torch.stack([self.dataset[index]["image"] for index in range(count)])
        with torch.no_grad():
            feature = self.network.feature(images.to(self.processes.device))
        fit_scale(self.network.refiner, feature)

    def _resume(self) -> None:
        path = self.folder / LAST
        if not path.exists():
            return
        data = load_state(path)
        now, then = self.config.to_dict(), TrainConfig().to_dict() | data["config"]  # `now` may have new keys
        changed = [key for key in now if key not in ("epochs", "data") and now[key] != then.get(key)]
        if changed:
            raise UsageError(
                f"{self.folder} holds a run with another {', '.join(changed)}; choose another --out"
            )
        state, images = data["training"], len(self.dataset)
        if state.get("images", images) != images:
            raise UsageError(
                f"{self.folder} holds a run over {state['images']} images, and there are {images} now; "
                "choose another --out"
            )
        try:
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.scaler.load_state_dict(state["scaler"])
            for name, tensor in data["state_dict"].items():
                self.averaged.state[name].copy_(tensor)
            self.epoch, self.step, self.total = state["epoch"], state["step"], state["total"]
        except (KeyError, RuntimeError, ValueError) as error:
            raise ModelError(f"{path} is damaged; delete it to start again ({error})") from error

    def save(self) -> None:
        """Write the checkpoint, in the first process; in the others do nothing."""
        if not self.processes.first:
            return
        training = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "total": self.total,
            "images": len(self.dataset),
        }
        save_state(
            self.folder / LAST,
            weights=self.averaged.state,
            epoch=self.epoch,
            training=training,
            config=self.config.to_dict(),
        )

    def _rate(self) -> float:
        """Return the learning rate of the next step."""
        config = self.config
        rate = config.learning_rate * (config.batch / config.rate_batch if config.rate_batch else 1.0)
        rate *= 0.1 ** sum(self.epoch >= drop for drop in config.drops)
        if self.total < config.warm_up:
            rate *= (self.total + 1) / config.warm_up
        return rate

    def _batches(self) -> Iterator[Batch]:
        """Return the batches of the epoch that are not done yet."""
        self._order.epoch, self._order.skipped = self.epoch, self.step
        self.dataset.set_epoch(self.epoch)
        return iter(self._loader)

    def run(
        self,
        *,
        stepped: Callable[[Progress], None] | None = None,
        epoch_ended: Callable[[int], None] | None = None,
        stop: threading.Event | None = None,
    ) -> bool:
        """Train until the last epoch is done.

        Args:
            stepped: called after each step.
            epoch_ended: called with the epoch's number after its checkpoint is written.
            stop: when it is set, the run ends after the current step, with a checkpoint.

        Returns:
            whether the run is complete.

        Raises:
            ModelError: the loss is not finite, or another process of the run has ended.
        """
        stop = stop or threading.Event()
        try:
            while self.epoch < self.config.epochs:
                if not self._run_epoch(stepped, stop):
                    return False
                ended = self.epoch
                self.epoch, self.step = self.epoch + 1, 0
                self.save()
                if epoch_ended is not None:
                    epoch_ended(ended)
                if self._stop_requested(stop):
                    return self.epoch >= self.config.epochs
        except RuntimeError as error:
            if self.processes.world > 1 and _is_lost_process(error):
                raise ModelError(
                    "another process of this run has ended; the same command goes on from the last checkpoint"
                ) from error
            raise
        return True

    def _stop_requested(self, stop: threading.Event) -> bool:
        """Return whether any process was asked to stop.

        All processes must end at the same step; otherwise those that go on would wait forever.
        """
        if self.processes.world == 1:
            return stop.is_set()
        asked = torch.tensor(float(stop.is_set()), device=self.processes.device)
        torch.distributed.all_reduce(asked, torch.distributed.ReduceOp.MAX)
        return bool(asked.item())

    def _run_epoch(self, stepped: Callable[[Progress], None] | None, stop: threading.Event) -> bool:
        self._wrapped.train()
        for module in self.network.modules():  # a module that does not learn keeps its statistics too
            if not any(parameter.requires_grad for parameter in module.parameters()):
                module.eval()
        before_s = time.perf_counter()
        for batch in self._batches():
            ready_s = time.perf_counter()
            total, losses = self._step(batch)
            self.step += 1
            self.total += 1
            now_s = time.perf_counter()
            if stepped is not None:
                spent_s = now_s - before_s
                stepped(
                    Progress(
                        epoch=self.epoch,
                        epochs=self.config.epochs,
                        step=self.step,
                        steps=self.steps,
                        loss=float(total),
                        losses={name: float(value) for name, value in losses.items()},
                        rate=self._rate_used,
                        images_s=self.config.batch / spent_s,
                        waiting=(ready_s - before_s) / spent_s,
                    )
                )
            before_s = now_s
            if self.step < self.steps and self._stop_requested(stop):
                self.save()
                return False
            if self.total % self.config.save_every == 0:
                self.save()
        return True

    def _step(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        device, config = self.processes.device, self.config
        self._rate_used = self._rate()
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate_used * group["multiple"]
        batch = without_empty_rows(batch)
        images = batch["image"].to(device, non_blocking=True)
        targets = {
            name: tensor.to(device, non_blocking=True) for name, tensor in batch.items() if name != "image"
        }
        self.optimizer.zero_grad(set_to_none=True)
        half = contextlib.nullcontext()
        if config.precision != "fp32":
            half = cast(Any, torch.autocast(device.type, _TYPES[config.precision]))
        with half:
            total, losses = self._wrapped(images, targets)
        if not torch.isfinite(total):
            raise ModelError(
                f"the loss is {total.item()} in epoch {self.epoch + 1}, step {self.step + 1}: lower "
                "learning_rate, or set clip_norm; the last checkpoint is kept"
            )
        self.scaler.scale(total).backward()
        if config.clip_norm:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.network.parameters(), config.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.averaged.update(self.network, self.total + 1)
        return total.detach(), {name: value.detach() for name, value in losses.items()}


def _is_lost_process(error: RuntimeError) -> bool:
    """Return whether the error of gloo or NCCL means that another process is gone."""
    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error)


class _NetworkWithLoss(nn.Module):
    """Network and loss as one module, for DistributedDataParallel to wrap."""

    def __init__(self, network: Network, loss: HprLoss) -> None:
        super().__init__()
        self.network = network
        self.loss = loss

    def forward(self, images: Tensor, targets: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        result: tuple[Tensor, dict[str, Tensor]] = self.loss(self.network, images, targets)
        return result
