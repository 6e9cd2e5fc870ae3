"""Weights that anyone can make from a key's name: the released network was run on them."""

import zlib

import numpy as np
import torch

from hprnet_rt.model import create_model
from hprnet_rt.model.peaks import PeakNetwork
from hprnet_rt.spec import ModelSpec

EXPORTED_K = 32  # people per image of the fixture `exported`, as of converted checkpoints
_GAIN = {"hprnet-hourglass104": 0.9}
_UP_GAIN, _HEAD_GAIN, _TRUNK_GAIN = 2.2, 2.0, 1.2


def _values(key: str, shape: tuple[int, ...], heads: set[str], gain: float) -> np.ndarray:
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    z = np.random.RandomState(zlib.crc32(key.encode())).standard_normal(shape)
    root = np.sqrt(np.prod(shape[1:]))
    if key.endswith("running_mean"):
        v = 0.1 * z
    elif key.endswith("running_var"):
        v = 1.0 + 0.2 * np.abs(z)
    elif len(shape) == 1:
        v = 0.1 * z + (1.0 if key.endswith("weight") else 0.0)
    elif "conv_offset_mask" in key:
        v = z / root
    elif ".up_" in key:
        v = 0.25 + 0.25 * z
    elif key.split(".")[0] in heads:
        v = _HEAD_GAIN * z / root
    else:
        v = (_UP_GAIN if "dla_up" in key or "ida_up" in key else gain) * z / root
    return v.astype(np.float32)


def recipe_network(model: str | ModelSpec) -> torch.nn.Module:
    """Return a network, see `create_model`, with the recipe's weights: every head is alive."""
    with torch.device("meta"):
        network = create_model(model)
    heads = {head.name for head in network.spec.heads}
    gain = _GAIN.get(network.spec.name, _TRUNK_GAIN)
    state = {
        key: torch.from_numpy(np.asarray(_values(key, tuple(tensor.shape), heads, gain)))
        for key, tensor in network.state_dict().items()
    }
    network.load_state_dict(state, assign=True)
    return network.eval()


def unrefined_peaks(network: torch.nn.Module, k: int, batch: np.ndarray) -> np.ndarray:
    """(N, k, layout width): what grouping gets of a network, before it refines anything."""
    with torch.no_grad():
        outputs = PeakNetwork(network, k, refine="after")(torch.from_numpy(batch))
    return (outputs if isinstance(outputs, torch.Tensor) else outputs[0]).numpy()


def images(size: tuple[int, int], count: int = 1) -> np.ndarray:
    """(count, *size, 3) smooth noise with strong contrast: many peaks, some at the borders."""
    rng = np.random.default_rng(size[0] + count)
    coarse = rng.integers(0, 256, (count, size[0] // 16, size[1] // 16, 3), np.uint8)
    return coarse.repeat(16, axis=1).repeat(16, axis=2)
