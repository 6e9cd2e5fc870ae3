"""Where a run stands, and the learning rate there."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Final

from hprnet_rt.training.config import Phase, TrainConfig

__all__ = ["Position", "Schedule"]

_LEAST_RATE: Final = 0.02  # at the end of a cosine


@dataclass
class Position:
    """How far a run has come.

    Attributes:
        phase: number of the phase, from 0.
        epoch: complete epochs of the run.
        step: complete steps of this epoch.
        total: complete steps of the run.
        phase_epoch, phase_step: complete epochs and steps of this phase.
        phase_s: seconds that this phase has trained.
    """

    phase: int = 0
    epoch: int = 0
    step: int = 0
    total: int = 0
    phase_epoch: int = 0
    phase_step: int = 0
    phase_s: float = 0.0

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Position:
        """Read a position back; one from before there were phases is in the first.

        Raises:
            KeyError: a number is missing.
        """
        found = {entry.name: state[entry.name] for entry in fields(cls) if entry.name in state}
        for name in ("epoch", "step", "total"):
            found[name] = state[name]
        found.setdefault("phase_epoch", found["epoch"])
        found.setdefault("phase_step", found["total"])
        return cls(**found)


class Schedule:
    """Phases one after another, each for its epochs or for its share of a time.

    Args:
        config: of the run.
        seconds: training time of the whole run, shared by the phases as their epochs are; 0 for the epochs
            themselves.
    """

    def __init__(self, config: TrainConfig, seconds: float = 0.0) -> None:
        self.phases, self.seconds = config.all_phases, seconds
        self._rate_batch = config.rate_batch

    @property
    def epochs(self) -> int:
        """Epochs of the run; with a time, only what the phases' shares are reckoned by."""
        return sum(phase.epochs for phase in self.phases)

    def phase(self, at: Position) -> Phase:
        """Return the phase of a position."""
        return self.phases[at.phase]

    def is_last(self, at: Position) -> bool:
        """Return whether no phase comes after that of a position."""
        return at.phase == len(self.phases) - 1

    def progress(self, at: Position, steps: int) -> float:
        """Return which share of its phase is done, 1 or more at its end.

        Args:
            at: the position.
            steps: in an epoch of this phase.
        """
        phase = self.phase(at)
        if self.seconds:
            return at.phase_s / (self.seconds * phase.epochs / self.epochs)
        return (at.phase_epoch * steps + at.step) / (phase.epochs * steps)

    def rate(self, at: Position, steps: int) -> float:
        """Return the learning rate of the next step."""
        phase = self.phase(at)
        rate = phase.learning_rate * (phase.batch / self._rate_batch if self._rate_batch else 1.0)
        if phase.schedule == "cosine":
            fallen = 0.5 * (1 + math.cos(math.pi * min(1.0, self.progress(at, steps))))
            rate *= _LEAST_RATE + (1 - _LEAST_RATE) * fallen
        else:
            rate *= 0.1 ** sum(at.phase_epoch >= drop for drop in phase.drops)
        if at.phase_step < phase.warm_up:
            rate *= (at.phase_step + 1) / phase.warm_up
        return rate
