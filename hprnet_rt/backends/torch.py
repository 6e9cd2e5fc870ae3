"""PyTorch on the CPU, float32: the reference of the other backends, and the only one with the flip test.

Weights come from the checkpoint that a model file was converted from, or for the shipped model from the model
file itself (extra: train).
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hprnet_rt.backends.model_file import ModelFile, sha256_of
from hprnet_rt.backends.protocol import BackendRequest, refinement_text
from hprnet_rt.errors import BackendError, ModelError, UsageError
from hprnet_rt.grouping import average_flipped, pack_peaks
from hprnet_rt.model import create_model, load_checkpoint, load_weights
from hprnet_rt.model.network import Network
from hprnet_rt.model.peaks import PeakNetwork
from hprnet_rt.model.rivals import RivalNetwork, create_rival
from hprnet_rt.types import Maps

__all__ = ["create", "network_of", "rival_of"]

NetworkT = TypeVar("NetworkT", bound=Network | RivalNetwork)


def rival_of(model_file: ModelFile) -> RivalNetwork:
    """Return the network of a rival's model file, with its weights.

    Raises:
        BackendError: they are not on this machine.
    """
    return _with_weights(create_rival(model_file.spec), model_file)


def network_of(model_file: ModelFile) -> Network:
    """Return the network of a model file, with its weights.

    Raises:
        BackendError: they are not on this machine.
    """
    return _with_weights(create_model(model_file.spec), model_file)


def _with_weights(network: NetworkT, model_file: ModelFile) -> NetworkT:
    try:
        if model_file.checkpoint is None:
            return load_weights(network, model_file.path)
        if sha256_of(model_file.checkpoint) != model_file.checkpoint_sha256:
            raise ModelError(f"{model_file.checkpoint} is no longer the file that the model file was made of")
        return load_checkpoint(network, model_file.checkpoint)
    except (ModelError, OSError) as error:
        raise BackendError(
            f"torch cannot load {model_file.spec.name}: {error}; give its checkpoint with --weights FILE"
        ) from error


class _TorchBackend:
    name = "torch"
    precision = "fp32"

    def __init__(self, request: BackendRequest) -> None:
        model_file = request.model_file
        self.spec = model_file.spec
        self.input_hw = request.input_hw
        self.max_batch = request.batch or 1
        self._k = model_file.k
        self._flip = request.flip
        if request.flip and self.spec.is_rival:
            raise UsageError(
                f"{self.spec.name} is averaged with the mirrored image after the network, not in it"
            )
        self._network: PeakNetwork | RivalNetwork | None = (
            rival_of(model_file)
            if self.spec.is_rival
            else PeakNetwork(network_of(model_file), model_file.k, refine="after")
        )
        torch.set_num_threads(request.threads)
        flipped = ", flip test" if request.flip else ""
        self.gives_maps = model_file.spec.refinement is not None
        refined = refinement_text(model_file.spec, after_grouping=self.gives_maps)
        self.description = (
            f"PyTorch {torch.__version__}, CPU, fp32{flipped}, {request.threads} threads{refined}"
        )

    def run(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return self.run_with_maps(images)[0]

    def run_with_maps(
        self, images: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float32], list[Maps | None]]:
        if self._network is None:
            raise BackendError("the torch backend is closed")
        try:
            with torch.inference_mode():
                if self._flip and isinstance(self._network, PeakNetwork):
                    return self._averaged(self._network, images)
                outputs = self._network(torch.from_numpy(images))
                if isinstance(outputs, Tensor):
                    return outputs.numpy(), [None] * len(images)
                peaks, *maps = (output.contiguous().numpy() for output in outputs)
                return peaks, [Maps(features, local) for features, local in zip(*maps, strict=True)]
        except RuntimeError as error:
            raise BackendError(f"torch failed on a frame: {error}") from error

    def _averaged(
        self, peaks: PeakNetwork, images: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float32], list[Maps | None]]:
        """Average the heads of images and of their mirrored ones; the maps are those of the plain images."""
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
        return packed, [Maps(features, local) for features, local in zip(*last, strict=True)]

    def close(self) -> None:
        self._network = None


def create(request: BackendRequest) -> _TorchBackend:
    """Load the network; see `BackendModule`."""
    return _TorchBackend(request)
