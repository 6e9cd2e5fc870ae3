"""Networks exported to model files in a folder, with random weights or those of a model file (extra: train).

This module is only imported on demand, by `subject.on_demand`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.flop_counter import FlopCounterMode

from hprnet_rt.backends.model_file import ModelFile, sha256_of
from hprnet_rt.model import create_model, export_onnx, load_checkpoint, load_weights, save_checkpoint
from hprnet_rt.model.deform import DeformConv, DeformForm, has_deform_conv
from hprnet_rt.model.network import Network
from hprnet_rt.model.peaks import DenseNetwork, PeakNetwork

__all__ = [
    "dense_torch",
    "export_dense",
    "export_model_file",
    "gmac",
    "has_deform_conv",
    "network_of",
    "random_network",
    "use_threads",
]


def use_threads(threads: int | None) -> None:
    """Set the number of torch's CPU threads; None leaves it."""
    if threads is not None:
        torch.set_num_threads(threads)


def random_network(name: str) -> Network:
    """Make a network with random weights.

    The offsets of its deformable convolutions are random too: in a fresh network they are all 0, in a trained
    one they are not.
    """
    torch.manual_seed(0)
    network = create_model(name).eval()
    for module in network.modules():
        if isinstance(module, DeformConv):
            torch.nn.init.kaiming_normal_(module.conv_offset_mask.weight, nonlinearity="linear")
    return network


def network_of(model_file: ModelFile) -> Network:
    """Make the network of a model file, with its weights.

    Raises:
        ModelError: the weights cannot be read.
    """
    network = create_model(model_file.spec.name).eval()
    if model_file.checkpoint is None:
        return load_weights(network, model_file.path)
    return load_checkpoint(network, model_file.checkpoint)


def export_model_file(
    network: Network, folder: Path, *, k: int, bf16: bool = False, deform: DeformForm = "deform_conv"
) -> ModelFile:
    """Write a model file of `network` to `folder`, and a checkpoint beside it for the backend torch."""
    path = folder / f"{network.spec.name}-{k}-{deform}.onnx"
    export_onnx(network, path, k=k, deform=deform)
    checkpoint = path.with_suffix(".pth")
    save_checkpoint(network, checkpoint)
    model_file = ModelFile.describe(path, network.spec, k, "made for a benchmark", "-", bf16=bf16)
    return replace(model_file, checkpoint=checkpoint, checkpoint_sha256=sha256_of(checkpoint))


def export_dense(network: Network, folder: Path) -> Path:
    """Write an ONNX file of `network` to `folder` whose outputs are the dense maps of all heads."""
    path = folder / f"{network.spec.name}-dense.onnx"
    export_onnx(network, path, dense=True)
    return path


def gmac(name: str, side_px: int, *, dense: bool) -> float:
    """Return the multiply-accumulates of a network for a square input, in units of 1e9."""
    with torch.device("meta"):
        shadow = create_model(name).eval()
    module = DenseNetwork(shadow) if dense else PeakNetwork(shadow)
    with FlopCounterMode(display=False) as counter, torch.no_grad(), torch.device("meta"):
        module(torch.zeros(1, side_px, side_px, 3, dtype=torch.uint8))
    return float(counter.get_total_flops()) / 2e9


def dense_torch(network: Network, names: Sequence[str]) -> Callable[[Any], Any]:
    """Return a function that runs all heads of `network` densely: (1, H, W, 3) uint8 -> an array per name."""

    def run(images: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        with torch.inference_mode():
            heads = network.dense(torch.from_numpy(images))
            return [heads[name].numpy() for name in names]

    return run
