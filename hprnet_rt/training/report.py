"""A training run with everything that a user sees: progress, logs, validation, pictures, the best weights."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from hprnet_rt import machine
from hprnet_rt.errors import HprnetError, ModelError, OutputError
from hprnet_rt.evaluation import Evaluation, to_text
from hprnet_rt.files import output_errors
from hprnet_rt.model import save_checkpoint
from hprnet_rt.training.batches import validation_set
from hprnet_rt.training.config_file import read_config
from hprnet_rt.training.loop import Progress, Trainer
from hprnet_rt.training.memory import keep_freed_memory
from hprnet_rt.training.processes import ProcessGroup
from hprnet_rt.training.state import LAST
from hprnet_rt.training.validate import Validator

__all__ = ["train"]

_log = logging.getLogger(__name__)

Say = Callable[[str], None]
BEST = "best.pth"
_LOG = "log.jsonl"


def _silent(_text: str) -> None:
    """Ignore a message."""


class _Journal:
    """Writes the numbers of a run: as lines of JSON, and for TensorBoard if that is installed."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _LOG
        self._board: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            _log.info("tensorboard is not installed: numbers go to %s only", self._path)
        else:
            self._board = SummaryWriter(folder / "tensorboard")

    def add(self, total: int, **numbers: float) -> None:
        """Write numbers of the step `total`, counted from the start of the run."""
        with output_errors(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": total, **numbers}) + "\n")
        if self._board is not None:
            for name, value in numbers.items():
                self._board.add_scalar(name, value, total)

    def close(self) -> None:
        if self._board is not None:
            self._board.close()


def _name_of_epoch(progress: Progress) -> str:
    """Return how far a run is, in words."""
    of = f"/{progress.epochs}" if progress.epochs else ""
    phase = "" if progress.phase == "run" else f"{progress.phase}, "
    return f"{phase}epoch {progress.epoch + 1}{of}"


class _Watcher:
    """Follows a trainer: shows progress, logs, validates, and keeps the best weights."""

    def __init__(self, trainer: Trainer, validator: Validator | None, say: Say | None) -> None:
        self._trainer, self._validator = trainer, validator
        self._quiet = say is None
        self._say = say or _silent
        self._record = trainer.folder / "best.json"
        self._best, self._validated = self._read_record()
        self._journal = _Journal(trainer.folder)
        self._bar: tqdm[None] | None = None

    def stepped(self, progress: Progress) -> None:
        if self._bar is None:
            self._bar = tqdm(
                total=progress.steps,
                initial=progress.step - 1,
                desc=_name_of_epoch(progress),
                unit=" steps",
                file=sys.stderr,
                disable=self._quiet or None,  # None: only on a terminal
                dynamic_ncols=True,
                leave=False,
            )
        self._bar.update()
        self._bar.set_postfix_str(f"loss {progress.loss:.3f}", refresh=False)
        self._journal.add(
            self._trainer.at.total,
            loss=progress.loss,
            rate=progress.rate,
            images_s=progress.images_s,
            waiting=progress.waiting,
            **{f"loss/{name}": value for name, value in progress.losses.items()},
        )
        if progress.step == progress.steps:
            self._close_bar()
            self._say(
                f"{_name_of_epoch(progress)}: loss {progress.loss:.3f}, {progress.images_s:.1f} images/s"
            )

    def _read_record(self) -> tuple[dict[str, Any], int]:
        """Return the best validation so far, and the number of epochs done at the last validation."""
        if not self._record.exists():
            return {"AP": -1.0}, 0
        try:
            best = json.loads(self._record.read_text(encoding="utf-8"))
            return {key: best[key] for key in ("epoch", "part", "AP")}, int(best.get("validated", 0))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ModelError(
                f"{self._record} is damaged; delete it, and the next validation counts as the best"
            ) from error

    @property
    def owes_validation(self) -> bool:
        """Whether the validation after the last complete epoch is due and has not been completed."""
        at = self._trainer.at
        due = at.epoch > 0 and at.step == 0 and self._is_due(at.epoch - 1)
        return due and self._validated < at.epoch

    def _is_due(self, epoch: int) -> bool:
        config = self._trainer.config
        due = epoch == 0 or self._trainer.complete or (epoch + 1) % config.validate_every == 0
        return self._validator is not None and due

    def epoch_ended(self, epoch: int) -> None:
        self._close_bar()
        if self._validator is None or not self._is_due(epoch):
            return
        try:
            self._validate(self._validator, epoch)
        except HprnetError:
            raise
        except OSError as error:
            raise OutputError(f"cannot write in {self._trainer.folder}: {error.strerror}") from error

    def _validate(self, validator: Validator, epoch: int) -> None:
        config, weights = self._trainer.config, self._trainer.averaged.state
        if config.pictures:
            folder = self._trainer.folder / "pictures" / f"epoch-{epoch + 1:03d}"
            folder.mkdir(parents=True, exist_ok=True)
            validator.draw(self._trainer.network, weights, folder, config.pictures)
        evaluation = validator.evaluate(self._trainer.network, weights)
        if evaluation is None:
            return
        self._say(to_text(evaluation))
        scores = {
            f"AP/{part}": values["AP"]
            for part, values in evaluation.scores.items()
            if values["AP"] is not None
        }
        self._journal.add(self._trainer.at.total, **{name: value or 0.0 for name, value in scores.items()})
        self._keep_best(evaluation, epoch)

    def _keep_best(self, evaluation: Evaluation, epoch: int) -> None:
        """Save the averaged weights if they are the best so far, by whole-body AP or else the body's AP."""
        part = "whole_body" if "whole_body" in evaluation.scores else next(iter(evaluation.scores))
        score = evaluation[part]["AP"] or 0.0
        if score > self._best["AP"]:
            network, own = self._trainer.network, self._trainer.network.state_dict()
            kept = {name: tensor.clone() for name, tensor in own.items()}
            network.load_state_dict(self._trainer.averaged.state)
            save_checkpoint(network, self._trainer.folder / BEST, epoch + 1)
            network.load_state_dict(kept)
            self._best = {"epoch": epoch + 1, "part": part, "AP": score}
        self._validated = epoch + 1
        partial = self._record.with_name(f".{self._record.name}.partial")
        partial.write_text(json.dumps({**self._best, "validated": epoch + 1}) + "\n", encoding="utf-8")
        partial.replace(self._record)

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def close(self) -> None:
        self._close_bar()
        self._journal.close()


def train(
    path: Path,
    changes: Sequence[str],
    out: Path,
    *,
    stop: threading.Event,
    say: Say | None = None,
    seconds: float = 0.0,
) -> bool:
    """Start the run of a configuration file, or continue it.

    Args:
        path, changes: see `read_config`.
        out: the folder in which the run's folder is made, with the name from the configuration.
        stop: when it is set, the run ends after the current step, with a checkpoint.
        seconds: training time of the whole run, without loading and validation; 0 for its epochs.
        say: called with each message for the user, a line or a table; None for no messages.

    Returns:
        whether the run is complete.

    Raises:
        HprnetError: see `read_config` and `Trainer`.
    """
    speak = say or _silent
    config = read_config(path, changes)
    folder = out / config.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from error
    processes = ProcessGroup.join()
    if processes.device.type == "cpu":
        keep_freed_memory()
        features = machine.cpu().features
        if (
            config.precision == "bf16"
            and features is not None
            and not {"avx512_bf16", "amx_bf16"} & {*features}
        ):
            speak(
                "this CPU has no bf16 arithmetic and emulates it, some hundred times slower: "
                "--set precision=fp32 is what it computes in"
            )
    try:
        trainer = Trainer(config, folder, processes, seconds)
        if not processes.first:
            return trainer.run(stop=stop)
        watcher = _Watcher(trainer, validation_set(config, processes.device, stop), say)
        at = ""
        if trainer.at.total:
            at = (
                ", all epochs are done" if trainer.complete else f", going on at epoch {trainer.at.epoch + 1}"
            )
        if trainer.starts_refinement and not trainer.at.total:
            speak(f"{config.weights} has no refinement; that of {config.model} starts fresh")
        speak(
            f"{config.model} on {processes.world} x {processes.device.type}, {config.precision}: "
            f"{len(trainer.data)} images, {trainer.steps} steps an epoch{at}"
        )
        try:
            if watcher.owes_validation:
                watcher.epoch_ended(trainer.at.epoch - 1)
            complete = trainer.run(stepped=watcher.stepped, epoch_ended=watcher.epoch_ended, stop=stop)
            complete = complete and not watcher.owes_validation
        finally:
            watcher.close()
        speak(f"{'done' if complete else 'kept'}: {folder / LAST}")
        return complete
    finally:
        processes.leave()
