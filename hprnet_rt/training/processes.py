"""The processes of a run: one, or many that torchrun started."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

__all__ = ["ProcessGroup"]


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

    def largest(self, value: float) -> float:
        """Return the largest value that any process gives; all of them must ask at the same step."""
        if self.world == 1:
            return value
        values = torch.tensor(value, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(values, torch.distributed.ReduceOp.MAX)
        return float(values)

    def leave(self) -> None:
        """Leave the process group."""
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
