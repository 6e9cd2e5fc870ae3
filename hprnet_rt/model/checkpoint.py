"""PyTorch checkpoints, the released ones and our own. Nothing in a file is ever executed.

A checkpoint is `{'epoch': ..., 'state_dict': ...}` or a bare state dict; keys may start with `module.`,
which PyTorch's data-parallel wrapper leaves behind.
"""

from __future__ import annotations

import os
import pickle
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
from torch import Tensor

from hprnet_rt.errors import ModelError, OutputError
from hprnet_rt.model.caffe import read_caffe
from hprnet_rt.model.create import create_model
from hprnet_rt.model.network import Network
from hprnet_rt.model.rivals import RivalNetwork, create_rival
from hprnet_rt.onnx_file import CAFFE_SUFFIX
from hprnet_rt.spec import SPECS
from hprnet_rt.spec.rivals import RIVALS

__all__ = ["load_checkpoint", "read_checkpoint", "save_checkpoint", "save_whole"]

NetworkT = TypeVar("NetworkT", bound=Network | RivalNetwork)
_WRAPPER: Final = "module."
_UNUSED: Final = ("base.fc.weight", "base.fc.bias")  # a classifier that the released DLA-34 carries
_SHOWN: Final = 8


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Return the weights in a checkpoint file, by name, without a wrapper's prefix.

    Raises:
        ModelError: the file is missing, damaged or no checkpoint, or holds more than weights and plain
            values; nothing of it was executed.
    """
    try:
        if zipfile.is_zipfile(path):
            _check_sums(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(f"the checkpoint {path} does not exist") from error
    except (IsADirectoryError, PermissionError) as error:
        raise ModelError(f"the checkpoint {path} cannot be read: {error.strerror}") from error
    except pickle.UnpicklingError as error:
        if "Weights only load failed" in str(error) and "GLOBAL" in str(error):
            raise ModelError(
                f"{path} asks to run code, which no checkpoint needs, and was refused; nothing of it was "
                "run. Get the file again from its authors"
            ) from error
        raise ModelError(f"{path} is damaged or no PyTorch checkpoint; get the file again") from error
    except Exception as error:  # torch reports damage with errors of many kinds
        raise ModelError(f"{path} is damaged or no PyTorch checkpoint; get the file again") from error
    if isinstance(data, Mapping) and "state_dict" in data:
        data = data["state_dict"]
    if not isinstance(data, Mapping) or not data:
        raise ModelError(
            f"{path} holds no weights: a checkpoint is a state dict, or a dict with a 'state_dict'"
        )
    wrong = [key for key, value in data.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
    if wrong:
        raise ModelError(f"{path} holds no weights, but other values: {_listed(map(str, wrong))}")
    return {key.removeprefix(_WRAPPER): value for key, value in data.items()}


def _check_sums(path: Path) -> None:
    """Raise BadZipFile where a tensor's bytes do not match their checksum, which torch does not check."""
    with zipfile.ZipFile(path) as archive:
        if not any(member.CRC for member in archive.infolist()):
            return  # written without checksums
        bad = archive.testzip()
        if bad is not None:
            raise zipfile.BadZipFile(f"{bad} does not match its checksum")


def load_checkpoint(network: NetworkT, path: str | Path) -> NetworkT:
    """Fill `network` with the weights of a checkpoint and return it, in evaluation mode.

    Args:
        network: from `create_model` or `create_rival`.
        path: a released file or one of `save_checkpoint`; a Caffe model for networks released as one.

    Raises:
        ModelError: see `read_checkpoint`; or a key is missing, unknown or of another shape (all are
            named); or a value is no number.
    """
    path = Path(path)
    weights = read_caffe(path) if path.suffix == CAFFE_SUFFIX else read_checkpoint(path)
    expected = network.state_dict()
    for key in _UNUSED:
        if key in expected:
            weights.setdefault(key, expected[key])
        else:
            weights.pop(key, None)
    problems = []
    missing = [key for key in expected if key not in weights]
    unknown = [key for key in weights if key not in expected]
    misshapen = [
        f"{key} {_shape(weights[key])} instead of {_shape(tensor)}"
        for key, tensor in expected.items()
        if key in weights and weights[key].shape != tensor.shape
    ]
    if missing:
        problems.append(f"missing: {_listed(missing)}")
    if unknown:
        problems.append(f"unknown: {_listed(unknown)}")
    if misshapen:
        problems.append(f"of another shape: {_listed(misshapen)}")
    if problems:
        real = _network_with({key: tuple(tensor.shape) for key, tensor in weights.items()})
        hint = f" They are weights of {real}." if real else ""
        raise ModelError(f"{path} does not hold weights of {network.spec.name}.{hint} {'; '.join(problems)}")
    broken = [
        key for key, tensor in weights.items() if tensor.is_floating_point() and not tensor.isfinite().all()
    ]
    if broken:
        raise ModelError(f"{path} is damaged: {_listed(broken)} hold values that are no numbers")
    network.load_state_dict(weights)
    network.eval()
    return network


def save_checkpoint(network: Network | RivalNetwork, path: Path, epoch: int = 0) -> None:
    """Write the weights in the released format, which `load_checkpoint` and the authors' code read.

    Raises:
        OutputError: see `save_whole`.
    """
    save_whole({"epoch": epoch, "state_dict": network.state_dict()}, path)


def save_whole(data: dict[str, Any], path: Path) -> None:
    """Save data with PyTorch; an existing file is replaced when the new one is complete and on disk.

    Raises:
        OutputError: the file cannot be written; an existing one is unchanged.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            torch.save(data, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, RuntimeError) as error:  # torch turns a full disk into a RuntimeError
        partial.unlink(missing_ok=True)
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(f"cannot write {path}: {reason}") from error


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _listed(names: Iterable[str]) -> str:
    """Return all names, or the first few and the number of the others."""
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _network_with(shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """Return the name of the network with exactly these weights, None when there is none."""
    for name in (*SPECS, *RIVALS):
        with torch.device("meta"):
            made = create_model(name) if name in SPECS else create_rival(RIVALS[name])
            state = made.state_dict()
        used = {key: tuple(tensor.shape) for key, tensor in state.items() if key not in _UNUSED}
        if used == {key: shape for key, shape in shapes.items() if key not in _UNUSED}:
            return name
    return None
