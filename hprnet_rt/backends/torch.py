"""PyTorch on the CPU, float32: the reference of the other backends, and the only one with the flip test.

Weights come from the checkpoint that an engine was made of, or for the shipped model from the engine itself
(extra: train).
"""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hprnet_rt.backends.model_file import ModelFile, sha256_of
from hprnet_rt.backends.protocol import refined_where
from hprnet_rt.errors import BackendError, ModelError, UsageError
from hprnet_rt.grouping import average_flipped, pack_peaks
from hprnet_rt.model import create_model, load_checkpoint, load_weights
from hprnet_rt.model.network import Network
from hprnet_rt.model.peaks import PeakNetwork
from hprnet_rt.types import Maps

__all__ = ["create", "network_of"]


def network_of(engine: ModelFile) -> Network:
    """The network of an engine, with its weights.

    Raises:
        BackendError: they are not on this machine.
    """
    network = create_model(engine.spec)
    try:
        if engine.checkpoint is None:
            return load_weights(network, engine.path)
        if sha256_of(engine.checkpoint) != engine.checkpoint_sha256:
            raise ModelError(f"{engine.checkpoint} is no longer the file that the engine was made of")
        return load_checkpoint(network, engine.checkpoint)
    except (ModelError, OSError) as error:
        raise BackendError(
            f"torch cannot load {engine.spec.name}: {error}; give its checkpoint with --weights FILE"
        ) from error


class _TorchBackend:
    name = "torch"
    precision = "fp32"

    def __init__(
        self, engine: ModelFile, input_hw: tuple[int, int], threads: int, flip: bool, batch: int
    ) -> None:
        self.spec = engine.spec
        self.input_hw = input_hw
        self.max_batch = batch
        self._k = engine.k
        self._flip = flip
        self._network: PeakNetwork | None = PeakNetwork(network_of(engine), engine.k, refine="after")
        torch.set_num_threads(threads)
        flipped = ", flip test" if flip else ""
        self.gives_maps = engine.spec.refinement is not None
        refined = refined_where(engine.spec, self.gives_maps)
        self.description = f"PyTorch {torch.__version__}, CPU, fp32{flipped}, {threads} threads{refined}"

    def run(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return self.run_with_maps(images)[0]

    def run_with_maps(
        self, images: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float32], list[Maps | None]]:
        if self._network is None:
            raise BackendError("the torch engine is closed")
        try:
            with torch.inference_mode():
                if self._flip:
                    return self._averaged(self._network, images)
                outputs = self._network(torch.from_numpy(images))
                if isinstance(outputs, Tensor):
                    return outputs.numpy(), [None] * len(images)
                peaks, *maps = (output.contiguous().numpy() for output in outputs)
                return peaks, [Maps(*each) for each in zip(*maps, strict=True)]
        except RuntimeError as error:
            raise BackendError(f"torch failed on a frame: {error}") from error

    def _averaged(
        self, peaks: PeakNetwork, images: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float32], list[Maps | None]]:
        """Points are refined on the maps of the image as it is."""
        network = peaks.network
        both = np.concatenate((images, images[:, :, ::-1]))
        feature = network.feature(torch.from_numpy(both))
        heads = {head.name: network.head(head.name)(feature).numpy() for head in network.spec.heads}
        plain = {name: maps[: len(images)] for name, maps in heads.items()}
        mirrored = {name: maps[len(images) :] for name, maps in heads.items()}
        averaged = average_flipped(plain, mirrored, self.spec)
        packed = pack_peaks(averaged, self.spec, self._k, probabilities=True)
        if network.refiner is None:
            return packed, [None] * len(images)
        own = feature[: len(images)]
        last = (
            maps.permute(0, 2, 3, 1).contiguous().numpy() for maps in (own, network.refiner.local_maps(own))
        )
        return packed, [Maps(*each) for each in zip(*last, strict=True)]

    def close(self) -> None:
        self._network = None


def create(
    engine: ModelFile,
    input_hw: tuple[int, int],
    precision: str,
    threads: int | None,
    *,
    flip: bool = False,
    batch: int = 1,
) -> _TorchBackend:
    """See `create_backend`."""
    if precision not in ("auto", "fp32"):
        raise UsageError(f"torch runs on the CPU in fp32 only, not {precision}; use --backend openvino")
    return _TorchBackend(engine, input_hw, threads or os.cpu_count() or 1, flip, batch)
