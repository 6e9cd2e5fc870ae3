"""Which layers a network on an NVIDIA GPU is made of: our own kernels, torchvision's, or PyTorch's."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import subprocess
from typing import Any, Final

import torch
from torch import Tensor

from hprnet_rt.model.deform import DeformForm, choose_deform_form, has_deform_conv
from hprnet_rt.model.network import Network
from hprnet_rt.model.peaks import PeakNetwork

__all__ = ["HALVES", "peak_network"]

_log = logging.getLogger(__name__)

HALVES: Final = {"fp16": torch.float16, "bf16": torch.bfloat16}
"""Half precisions by name."""
_NEAR: Final = {"fp16": 0.01, "bf16": 0.08}
"""How far maps may be from those of PyTorch's layers, as a share of the largest value: both are rounded."""
_FORMS: Final[dict[DeformForm, str]] = {"torchvision": "torchvision", "grid_sample": "GridSample"}


def peak_network(network: Network, precision: str, device: torch.device, k: int) -> tuple[PeakNetwork, str]:
    """Return a network whose output is its peaks, and what a backend's description says of its layers.

    In half precision on a GPU it has our own kernels, if Triton is there, runs, and gives the maps that
    PyTorch's own layers give (a small picture is tried). Otherwise a warning says why not, and deformable
    convolutions are torchvision's if that is installed, or else a sampling of nine maps each (GridSample).

    Args:
        network: from `for_inference`.
        precision: "fp32", "fp16" or "bf16".
        device: the network's.
        k: people per image, and peaks per joint.
    """
    plain = PeakNetwork(network, k)
    if device.type == "cuda" and precision in HALVES:
        try:
            gpu: Any = importlib.import_module("hprnet_rt.model.gpu.decode")
            made: PeakNetwork = gpu.fused_peaks(network, HALVES[precision], k)
            difference = _difference(made.network, network, device)
            if not difference <= _NEAR[precision]:
                raise RuntimeError(f"their maps differ by {100 * difference:.1f}% from PyTorch's")
            return made, f", fused kernels (Triton {importlib.import_module('triton').__version__})"
        except torch.cuda.OutOfMemoryError:
            raise
        except (ImportError, OSError, RuntimeError, subprocess.SubprocessError) as error:
            _log.warning("torch-cuda does without its fused kernels, and is slower: %s", _first_line(error))
    if device.type != "cuda" or not has_deform_conv(network):
        return plain, ""
    form: DeformForm = "grid_sample" if importlib.util.find_spec("torchvision") is None else "torchvision"
    choose_deform_form(network, form)
    return plain, f", deformable convolutions by {_FORMS[form]}"


def _difference(made: Network, network: Network, device: torch.device) -> float:
    """Return the largest difference of two networks' maps, as a share of the largest value of each."""
    side = network.spec.multiple_px
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (1, side, side, 3), generator=generator, dtype=torch.uint8).to(device)
    shares = []
    with torch.inference_mode():
        maps = [each.feature(images) for each in (made, network)]
        heads = [head.name for head in network.spec.heads if head.dense]
        pairs = [(maps[0], maps[1])]
        pairs += [(_heat(made, name, maps[0]), network.head(name)(maps[1])) for name in heads]
        for ours, theirs in pairs:
            largest = theirs.float().abs().max().clamp(min=1e-12)
            shares.append(((ours.float() - theirs.float()).abs().max() / largest).item())
    return max(shares) if all(share == share for share in shares) else float("nan")


def _heat(made: Any, name: str, feature: Tensor) -> Tensor:
    """Return the logits of a fused network's heat-maps, and see that its peaks are theirs."""
    score, cell, logits = made.peaks(name, feature, 1)
    if not torch.equal(logits.flatten(2).gather(2, cell), logits.flatten(2).amax(2, keepdim=True)):
        raise RuntimeError(f"the highest peak of {name} is not the highest value: {score.flatten().tolist()}")
    result: Tensor = logits
    return result


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
