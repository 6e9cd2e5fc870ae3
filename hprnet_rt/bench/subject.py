"""The network that is measured, with its weights, or with random ones if none are on this machine."""

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
from hprnet_rt.onnx_file import require_k
from hprnet_rt.spec import DEFAULT_K
from hprnet_rt.zoo.networks import ZOO
from hprnet_rt.zoo.people import with_people
from hprnet_rt.zoo.weights import model_file_for, weights_state

__all__ = ["ModelOptions", "Subject", "on_demand", "open_subject"]


@dataclass(frozen=True)
class ModelOptions:
    """How the network runs: the arguments of `PoseModel` with these names."""

    backend: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    input_px: int | None = None

    def open(self, model_file: ModelFile, batch: int | None = 1) -> PoseModel:
        """Open a model, ready to be called; with no batch, as files take it."""
        return PoseModel(
            model_file,
            backend=self.backend,
            precision=self.precision,
            threads=self.threads,
            input_px=self.input_px,
            batch=batch,
        )

    def settings(self, model_file: ModelFile) -> dict[str, Any]:
        """Return the settings that must be equal for figures to be compared."""
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
    """The network that is measured.

    Attributes:
        model_file: its model file.
        random: the weights are random: the times are right, but no people are found.
        folder: for temporary files.
    """

    model_file: ModelFile
    random: bool
    folder: Path


def on_demand(name: str, package: str = '"hprnet-rt[train]"') -> Any:
    """Import a module of this package that needs torch.

    Args:
        name: of the module.
        package: to install if the import fails, for the message.

    Raises:
        BackendError: torch or onnx is not installed.
    """
    try:
        return importlib.import_module(f"hprnet_rt.bench.{name}")
    except ImportError as error:
        raise BackendError(
            f"this measurement needs torch and onnx ({error.name or error} is missing): pip install {package}"
        ) from error


@contextmanager
def open_subject(model: str, weights: Path | None = None, k: int | None = None) -> Iterator[Subject]:
    """Open the network called `model`, for the duration of the block.

    Args:
        model, weights: see `model_file_for`; a network without weights on this machine gets random ones.
        k: most people per image; the model file's own when None.

    Raises:
        UsageError: there is no such model, or k is less than 1.
        BackendError: torch is needed and not installed.
    """
    if k is not None:
        require_k(k)
    with tempfile.TemporaryDirectory(prefix="hprnet-rt-bench-") as folder:
        if weights is None and model in ZOO and weights_state(model) in ("not here", "none published"):
            networks = on_demand("networks")
            network = networks.random_network(model)
            made = networks.export_model_file(network, Path(folder), k=k or DEFAULT_K)
            yield Subject(made, True, Path(folder))
            return
        model_file = model_file_for(model, weights)
        if model_file.spec.is_rival:
            raise UsageError(
                f"{model} is a rival's network: `hprnet-rt bench people --rivals` times it beside HPRNet's"
            )
        yield Subject(model_file if k is None else with_people(model_file, k), False, Path(folder))
