"""Conversion of a checkpoint to an ONNX file that runs without torch."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from hprnet_rt.model.checkpoint import load_checkpoint
from hprnet_rt.model.create import create_model
from hprnet_rt.model.export import export_maps, export_onnx
from hprnet_rt.model.rivals import create_rival
from hprnet_rt.spec import DEFAULT_K
from hprnet_rt.spec.rivals import RIVALS

__all__ = ["convert_checkpoint"]

_log = logging.getLogger(__name__)


def convert_checkpoint(name: str, checkpoint: Path, onnx_path: Path, *, k: int = DEFAULT_K) -> None:
    """Convert a checkpoint of a network to an ONNX file.

    Args:
        name: of `SPECS` or `RIVALS`.
        checkpoint: a released file or one of `save_checkpoint`.
        onnx_path: the file to write; its folder exists.
        k: people per image, and peaks per joint.

    Raises:
        UsageError: there is no network of this name.
        ModelError: the checkpoint is damaged or of another network.
        OutputError: the file cannot be written.
    """
    if name in RIVALS:
        rival = load_checkpoint(create_rival(RIVALS[name]), checkpoint)
        weights = [weight for weight in rival.parameters() if weight.ndim == 4]
        millions = sum(weight.numel() for weight in rival.parameters()) / 1e6
        _log.info(
            "%s holds %s: %d convolutions, %.1f M parameters", checkpoint.name, name, len(weights), millions
        )
        export_maps(rival, onnx_path)
        return
    with torch.device("meta"):  # checks the name before the large file is read
        create_model(name)
    network = load_checkpoint(create_model(name), checkpoint)
    export_onnx(network, onnx_path, k=k)
