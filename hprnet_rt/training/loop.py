"""The training loop: one process or many (torchrun), resumed bit for bit where the device is deterministic.

Nothing depends on the wall clock, unless the run has a time instead of epochs: the order of the images and
their augmentation follow from the seed, the epoch and the image's index. So a run that was killed continues
as if it had never stopped.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hprnet_rt.errors import ModelError, UsageError
from hprnet_rt.model import create_model
from hprnet_rt.model.network import Network
from hprnet_rt.training.batches import Batch, without_empty_rows
from hprnet_rt.training.config import Phase, TrainConfig
from hprnet_rt.training.feeds import Feed, TrainingData
from hprnet_rt.training.hold import Hold
from hprnet_rt.training.losses import HprLoss
from hprnet_rt.training.optimizer import make_optimizer, make_plain, make_recordable, set_rate
from hprnet_rt.training.processes import ProcessGroup
from hprnet_rt.training.recorded import Recorded
from hprnet_rt.training.schedule import Position, Schedule
from hprnet_rt.training.start import fit_scale, start_from
from hprnet_rt.training.state import LAST, Averaged, load_run, save_state

__all__ = ["Progress", "Trainer"]

_SUM = "sum"
_FIRST_IMAGES = 32  # whose features tell how much each channel varies
_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Progress:
    """The result of one training step.

    Attributes:
        phase: its name.
        epoch: number of the epoch, from 0.
        epochs: number of epochs in the run; 0 where a time ends it.
        step: number of the step in its epoch, from 1.
        steps: number of steps in an epoch.
        loss: the weighted sum.
        losses: the terms by name, before their weights.
        rate: the learning rate.
        images_s: images a second of all processes, since the step before.
        waiting: share of that time spent waiting for the loader.
    """

    phase: str
    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    losses: dict[str, float]
    rate: float
    images_s: float
    waiting: float


class Trainer:
    """One run of a configuration.

    Args:
        config: of the run.
        folder: for the checkpoints; if it holds a checkpoint, that run is continued.
        processes: the group of processes that train together.
        seconds: training time of the run; 0 for the epochs of its phases. See `Schedule`.

    Attributes:
        at: how far the run has come.
        data: the training sets.
        schedule: of the run.
        starts_refinement: the weights to start from have no refinement, so the network's has fresh weights.

    Raises:
        UsageError: the folder holds a run of another configuration, or the set is smaller than a batch.
        ModelError: a checkpoint is damaged.
        DataError: the annotations cannot be read.
        MediaError: images are missing.
    """

    def __init__(
        self, config: TrainConfig, folder: Path, processes: ProcessGroup, seconds: float = 0.0
    ) -> None:
        self.config, self.folder, self.processes = config, folder, processes
        self.schedule, self.at = Schedule(config, seconds), Position()
        torch.manual_seed(config.seed)
        self.network = create_model(config.model)
        self.starts_refinement = bool(config.weights) and start_from(self.network, Path(config.weights))
        self._memory = torch.channels_last if config.channels_last else torch.contiguous_format
        self.network.to(processes.device, memory_format=self._memory)  # type: ignore[call-overload]
        self.data = TrainingData(config, processes)
        if self.starts_refinement:
            assert self.network.refiner is not None
            with torch.no_grad():
                feature = self.network.feature(self.data.first_images(_FIRST_IMAGES))
            fit_scale(self.network.refiner, feature)
        self.averaged = Averaged(self.network, config.ema)
        self.scaler = torch.amp.GradScaler(processes.device.type, enabled=config.precision == "fp16")
        self._hold: Hold | None = None
        self._rate_used, self._saved_s = 0.0, time.perf_counter()
        state = load_run(folder, config, len(self.data))
        if state is not None:
            self._restore_position(state)
        self._begin_phase()
        if state is not None:
            self._restore(state)

    @property
    def steps(self) -> int:
        """Number of steps in an epoch of this phase."""
        return self._feed.steps

    @property
    def phase(self) -> Phase:
        """The phase that is trained, or the last one."""
        return self.schedule.phase(self.at)

    @property
    def phase_is_over(self) -> bool:
        """Whether the phase has trained for its epochs or its time."""
        return self.schedule.progress(self.at, self.steps) >= 1

    @property
    def complete(self) -> bool:
        """Whether all phases are done."""
        return self.schedule.is_last(self.at) and self.phase_is_over

    def _begin_phase(self) -> None:
        """Make everything that a phase has of its own: its feed, loss, and optimizer."""
        phase, config = self.phase, self.config
        self._feed: Feed = self.data.feed(phase)
        self.optimizer = make_optimizer(self.network, config, phase, self.network.unread)
        self.loss = HprLoss(self.network.spec, weights=config.loss, points=config.points, labels=phase.labels)
        if phase.hold and self._hold is None:
            self._hold = Hold(self.network, config.teachers, self.data.first_images(_FIRST_IMAGES))
            self._hold.to_memory(self._memory)
        self._module = _NetworkWithLoss(self.network, self.loss, self._hold if phase.hold else None)
        self._wrapped: nn.Module = self._module
        if self.processes.world > 1:
            device = self.processes.device
            self._wrapped = DistributedDataParallel(
                self._module, device_ids=[device.index] if device.type == "cuda" else None
            )
        self._learn: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] = self._learned
        if config.recorded and self.processes.device.type == "cuda" and self.processes.world == 1:
            make_recordable(self.optimizer, self.processes.device)
            self._learn = Recorded(self._learned, self.processes.device)

    def _next_phase(self) -> None:
        """Go on with the averaged weights in the next phase."""
        at = self.at
        at.phase, at.phase_epoch, at.phase_step, at.phase_s = at.phase + 1, 0, 0, 0.0
        self.network.load_state_dict(self.averaged.state)
        self._begin_phase()

    def _damaged(self, error: Exception) -> ModelError:
        return ModelError(f"{self.folder / LAST} is damaged; delete it to start again ({error})")

    def _restore_position(self, data: dict[str, Any]) -> None:
        try:
            self.at = Position.from_state(data["training"])
        except KeyError as error:
            raise self._damaged(error) from error
        if self.at.phase >= len(self.schedule.phases):
            raise UsageError(f"{self.folder} holds a run with more phases; choose another --out")

    def _restore(self, data: dict[str, Any]) -> None:
        state = data["training"]
        try:
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            if isinstance(self._learn, Recorded):
                make_recordable(self.optimizer, self.processes.device)
            else:
                make_plain(self.optimizer)
            self.scaler.load_state_dict(state["scaler"])
            for name, tensor in data["state_dict"].items():
                self.averaged.state[name].copy_(tensor)
        except (KeyError, RuntimeError, ValueError) as error:
            raise self._damaged(error) from error

    def save(self) -> None:
        """Write the checkpoint, in the first process; in the others do nothing."""
        if not self.processes.first:
            return
        training = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "images": len(self.data),
            **dataclasses.asdict(self.at),
        }
        save_state(
            self.folder / LAST,
            weights=self.averaged.state,
            epoch=self.at.epoch,
            training=training,
            config=self.config.to_dict(),
        )
        self._saved_s = time.perf_counter()

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
        stop, at = stop or threading.Event(), self.at
        try:
            while True:
                if self.phase_is_over:
                    if self.complete:
                        return True
                    self._next_phase()
                if not self._run_epoch(stepped, stop):
                    return False
                at.epoch, at.phase_epoch, at.step = at.epoch + 1, at.phase_epoch + 1, 0
                self.save()
                if epoch_ended is not None:
                    epoch_ended(at.epoch - 1)
                if self._stop_requested(stop):
                    return self.complete
        except RuntimeError as error:
            if self.processes.world > 1 and _is_lost_process(error):
                raise ModelError(
                    "another process of this run has ended; the same command goes on from the last checkpoint"
                ) from error
            raise

    def _stop_requested(self, stop: threading.Event) -> bool:
        """Return whether any process was asked to stop.

        All processes must end at the same step; otherwise those that go on would wait forever.
        """
        return bool(self.processes.largest(float(stop.is_set())))

    def _run_epoch(self, stepped: Callable[[Progress], None] | None, stop: threading.Event) -> bool:
        """Train until the epoch or the phase ends; return False if it was stopped before."""
        self._wrapped.train()
        for module in self.network.modules():  # a module that does not learn keeps its statistics too
            if not any(parameter.requires_grad for parameter in module.parameters()):
                module.eval()
        at = self.at
        pending: list[_Result] = []  # on a GPU the results of a step are read while the next one runs
        late = 1 if self.processes.device.type == "cuda" else 0
        before_s = time.perf_counter()
        for batch in self._feed.batches(at.epoch, at.step):
            ready_s = time.perf_counter()
            losses = self._step(batch)
            at.step, at.total, at.phase_step = at.step + 1, at.total + 1, at.phase_step + 1
            spent_s = time.perf_counter() - before_s
            pending.append(_Result.of(losses, at.step, self._rate_used, spent_s, ready_s - before_s))
            while len(pending) > late:
                self._read(pending.pop(0), stepped)
            before_s += spent_s
            at.phase_s += self.processes.largest(spent_s) if self.schedule.seconds else spent_s
            over = bool(self.schedule.seconds) and self.phase_is_over
            if over or at.step == self.steps:
                break
            stopped = self._stop_requested(stop)
            if stopped or self._is_save_due():
                for result in pending:
                    self._read(result, stepped)
                pending.clear()
                self.save()
            if stopped:
                return False
        for result in pending:
            self._read(result, stepped)
        return True

    def _is_save_due(self) -> bool:
        config = self.config
        waited_s = time.perf_counter() - self._saved_s
        return self.at.total % config.save_every == 0 or 0 < config.save_every_s <= waited_s

    def _read(self, result: _Result, stepped: Callable[[Progress], None] | None) -> None:
        """Check a step's loss, and report the step.

        Raises:
            ModelError: the loss is not finite.
        """
        loss, losses = result.numbers()
        if not math.isfinite(loss):
            raise ModelError(
                f"the loss is {loss} in epoch {self.at.epoch + 1}, step {result.step}: lower "
                "learning_rate, or set clip_norm; the last checkpoint is kept"
            )
        if stepped is not None:
            stepped(
                Progress(
                    phase=self.phase.name,
                    epoch=self.at.epoch,
                    epochs=0 if self.schedule.seconds else self.schedule.epochs,
                    step=result.step,
                    steps=self.steps,
                    loss=loss,
                    losses=losses,
                    rate=result.rate,
                    images_s=self.phase.batch / result.spent_s,
                    waiting=result.waited_s / result.spent_s,
                )
            )

    def _step(self, batch: Batch) -> dict[str, Tensor]:
        """Learn from a batch, and return the losses; the sum is `_SUM`."""
        device = self.processes.device
        self._rate_used = self.schedule.rate(self.at, self.steps)
        set_rate(self.optimizer, self._rate_used)
        self.averaged.set_step(self.at.total + 1)
        if batch["image"].device.type == "cpu":
            batch = without_empty_rows(batch)
        return self._learn({name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()})

    def _learned(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Learn from a batch on the device. The host is asked nothing, so that this can be recorded."""
        config = self.config
        self.optimizer.zero_grad(set_to_none=True)
        half = contextlib.nullcontext()
        if config.precision != "fp32":
            half = cast(Any, torch.autocast(self.processes.device.type, _TYPES[config.precision]))
        targets = {name: tensor for name, tensor in batch.items() if name != "image"}
        with half:
            total, losses = self._wrapped(batch["image"], targets)
        self.scaler.scale(total).backward()
        if config.clip_norm:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.network.parameters(), config.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.averaged.update(self.network)
        return {_SUM: total.detach(), **losses}


@dataclass(frozen=True)
class _Result:
    """What a step gave; its losses may still be on their way from the device."""

    step: int
    rate: float
    spent_s: float
    waited_s: float
    names: tuple[str, ...]
    values: Tensor
    there: torch.cuda.Event | None

    @classmethod
    def of(
        cls, losses: Mapping[str, Tensor], step: int, rate: float, spent_s: float, waited_s: float
    ) -> _Result:
        """Begin to bring the losses to the host, without waiting for them."""
        values, there = torch.stack([value.float() for value in losses.values()]), None
        if values.is_cuda:
            values = values.to("cpu", non_blocking=True)
            there = torch.cuda.Event()  # type: ignore[no-untyped-call]
            there.record()
        return cls(step, rate, spent_s, waited_s, tuple(losses), values, there)

    def numbers(self) -> tuple[float, dict[str, float]]:
        """Wait for the losses, and return their sum and each."""
        if self.there is not None:
            self.there.synchronize()
        losses = dict(zip(self.names, self.values.tolist(), strict=True))
        return losses.pop(_SUM), losses


def _is_lost_process(error: RuntimeError) -> bool:
    """Return whether the error of gloo or NCCL means that another process is gone."""
    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error)


class _NetworkWithLoss(nn.Module):
    """Network and losses as one module, for DistributedDataParallel to wrap."""

    def __init__(self, network: Network, loss: HprLoss, hold: Hold | None) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.hold = hold

    def forward(self, images: Tensor, targets: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        stacks = self.network.stacks(images)
        total, losses = self.loss.sparse(stacks, targets, self.network.refiner)
        if self.hold is not None:
            held = self.hold(self.network, stacks[-1], images, targets)
            total = total + torch.stack(list(held.values())).sum()
            losses |= {name: value.detach() for name, value in held.items()}
        return total, losses
