"""The network that is measured: with its weights, or with random ones where none are on this machine."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hprnet_rt.backends import ModelFile
from hprnet_rt.errors import BackendError, UsageError
from hprnet_rt.inference.model import PoseModel
from hprnet_rt.zoo.networks import ZOO
from hprnet_rt.zoo.weights import DEFAULT_K, model_file_for, weights_state

__all__ = ["Running", "Subject", "on_demand", "subject"]


@dataclass(frozen=True)
class Running:
    """How the network runs; see `PoseModel`."""

    backend: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    input_px: int | None = None

    def open(self, model_file: ModelFile) -> PoseModel:
        """A model, ready to be called."""
        return PoseModel(
            model_file,
            backend=self.backend,
            precision=self.precision,
            threads=self.threads,
            input_px=self.input_px,
        )

    def settings(self, model_file: ModelFile) -> dict[str, Any]:
        """What must be equal for figures to be compared."""
        return {
            "model": model_file.spec.name,
            "k": model_file.k,
            "backend": self.backend,
            "precision": self.precision,
            "threads": self.threads,
            "size": self.input_px or model_file.spec.input_px,
        }


@dataclass(frozen=True)
class Subject:
    """A network on this machine.

    Attributes:
        model_file: its ONNX file.
        random: the weights are random: times hold, people are not found.
        folder: for files that are gone afterwards.
    """

    model_file: ModelFile
    random: bool
    folder: Path


def on_demand(name: str, package: str = '"hprnet-rt[train]"') -> Any:
    """A module of this package that needs torch.

    Raises:
        BackendError: torch, or what it needs, is not installed.
    """
    try:
        return importlib.import_module(f"hprnet_rt.bench.{name}")
    except ImportError as error:
        raise BackendError(
            f"this measurement needs torch and onnx ({error.name or error} is missing): pip install {package}"
        ) from error


@contextmanager
def subject(model: str, weights: Path | None = None, k: int | None = None) -> Iterator[Subject]:
    """The network called `model`.

    Args:
        model, weights: as `model_file_for` takes them; where a network has no weights on this machine, random
            ones are made.
        k: people per image; an engine for another number is exported again.

    Raises:
        UsageError: there is no such model, or k is less than 1.
        BackendError: torch is needed and missing.
    """
    if k is not None and k < 1:
        raise UsageError(f"k is at least 1, got {k}")
    with tempfile.TemporaryDirectory(prefix="hprnet-rt-bench-") as folder:
        if weights is None and model in ZOO and weights_state(model) in ("not here", "none published"):
            networks = on_demand("networks")
            network = networks.random_network(model)
            made = networks.export_engine(network, Path(folder), k=k or DEFAULT_K)
            yield Subject(made, True, Path(folder))
            return
        model_file = model_file_for(model, weights)
        if k is not None and k != model_file.k:
            networks = on_demand("networks")
            model_file = networks.export_engine(
                networks.network_of(model_file), Path(folder), k=k, bf16=model_file.bf16
            )
        yield Subject(model_file, False, Path(folder))
