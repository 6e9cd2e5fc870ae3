"""Networks as engines in a folder: with random weights, or those of an engine (extra: train).

Nothing imports this module but by name, when it is needed.
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
    "export_engine",
    "gmac",
    "has_deform_conv",
    "network_of",
    "random_network",
    "use_threads",
]


def use_threads(threads: int | None) -> None:
    """Let torch compute with so many CPU threads; as it is when None."""
    if threads is not None:
        torch.set_num_threads(threads)


def random_network(name: str) -> Network:
    """Random weights; a fresh network's offsets are all 0, which no trained one's are."""
    torch.manual_seed(0)
    network = create_model(name).eval()
    for module in network.modules():
        if isinstance(module, DeformConv):
            torch.nn.init.kaiming_normal_(module.conv_offset_mask.weight, nonlinearity="linear")
    return network


def network_of(engine: ModelFile) -> Network:
    """The network of an engine with its weights.

    Raises:
        ModelError: they cannot be read.
    """
    network = create_model(engine.spec.name).eval()
    if engine.checkpoint is None:
        return load_weights(network, engine.path)
    return load_checkpoint(network, engine.checkpoint)


def export_engine(
    network: Network, folder: Path, *, k: int, bf16: bool = False, deform: DeformForm = "deform_conv"
) -> ModelFile:
    """An engine of `network` in `folder`, with a checkpoint beside it for the backend torch."""
    path = folder / f"{network.spec.name}-{k}-{deform}.onnx"
    export_onnx(network, path, k=k, deform=deform)
    checkpoint = path.with_suffix(".pth")
    save_checkpoint(network, checkpoint)
    engine = ModelFile.describe(path, network.spec, k, "made for a benchmark", "-", bf16=bf16)
    return replace(engine, checkpoint=checkpoint, checkpoint_sha256=sha256_of(checkpoint))


def export_dense(network: Network, folder: Path) -> Path:
    """An ONNX file of `network` in `folder` whose outputs are all heads everywhere."""
    path = folder / f"{network.spec.name}-dense.onnx"
    export_onnx(network, path, dense=True)
    return path


def gmac(name: str, side_px: int, *, dense: bool) -> float:
    """1e9 multiply-accumulates of a network for a square input."""
    with torch.device("meta"):
        shadow = create_model(name).eval()
    module = DenseNetwork(shadow) if dense else PeakNetwork(shadow)
    with FlopCounterMode(display=False) as counter, torch.no_grad(), torch.device("meta"):
        module(torch.zeros(1, side_px, side_px, 3, dtype=torch.uint8))
    return float(counter.get_total_flops()) / 2e9


def dense_torch(network: Network, names: Sequence[str]) -> Callable[[Any], Any]:
    """All heads of `network` everywhere by PyTorch: (1, H, W, 3) uint8 -> an array for each name."""

    def run(images: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        with torch.inference_mode():
            heads = network.dense(torch.from_numpy(images))
            return [heads[name].numpy() for name in names]

    return run
