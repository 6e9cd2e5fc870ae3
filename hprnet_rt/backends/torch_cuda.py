"""PyTorch on an NVIDIA GPU: the network in fp16 unless asked otherwise, the decode in fp32, as a CUDA graph.

It is for machines without TensorRT (extra: train, with a PyTorch built for CUDA).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hprnet_rt.backends.protocol import BackendRequest, refinement_text
from hprnet_rt.backends.slots import SLOTS, Slots
from hprnet_rt.backends.torch import network_of, rival_of
from hprnet_rt.backends.torch_layers import HALVES, peak_network
from hprnet_rt.backends.trt.device import too_little_memory
from hprnet_rt.errors import BackendError
from hprnet_rt.machine import nvidia
from hprnet_rt.model.deform import DeformConv
from hprnet_rt.model.half import fold_batch_norms, use_half
from hprnet_rt.model.network import Network
from hprnet_rt.model.rivals import RivalNetwork

__all__ = ["Replayed", "create", "for_inference"]

ImageArray = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]

_USUAL: Final = "fp16"
_USUAL_BATCH: Final = 8
NetworkT = TypeVar("NetworkT", bound=Network | RivalNetwork)
_WARM_UP: Final = 3  # runs before a capture, in which libraries choose their kernels and take their memory


def for_inference(network: NetworkT, precision: str, device: torch.device) -> NetworkT:
    """Return a copy of a network on a device: norms folded, channels last, in "fp32", "fp16" or "bf16"."""
    made: NetworkT = copy.deepcopy(network)
    made.eval().requires_grad_(False)
    fold_batch_norms(made)
    if precision in HALVES:
        use_half(made, HALVES[precision])
    made.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    for layer in made.modules():
        if isinstance(layer, DeformConv):  # reads its weights in the other order
            layer.weight.data = layer.weight.data.contiguous()
    return made


class Replayed:
    """A module for one shape of images: captured once as a CUDA graph and replayed; run directly on a CPU.

    Args:
        module: (N, H, W, 3) uint8 -> one tensor or several.
        shape: of the images.
        device: of the module.
    """

    def __init__(self, module: nn.Module, shape: tuple[int, int, int, int], device: torch.device) -> None:
        self._module = module
        self._on_gpu = device.type == "cuda"
        self._host = torch.zeros(shape, dtype=torch.uint8, pin_memory=self._on_gpu)
        self._images = torch.zeros(shape, dtype=torch.uint8, device=device)
        self._graph: Any = None
        if self._on_gpu:
            self._stream: Any = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            self._done: Any = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._capture()
        else:
            self._outputs = self._run()
        self._results = [
            torch.zeros(output.shape, dtype=output.dtype, pin_memory=self._on_gpu) for output in self._outputs
        ]

    def _run(self) -> tuple[Tensor, ...]:
        with torch.inference_mode():
            outputs = self._module(self._images)
        return outputs if isinstance(outputs, tuple) else (outputs,)

    def _capture(self) -> None:
        self._stream.wait_stream(torch.cuda.current_stream())
        kernels = torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False)
        with torch.cuda.stream(self._stream), kernels:
            for _ in range(_WARM_UP):
                self._run()
            self._stream.synchronize()
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local"):
                self._outputs = self._run()

    def start(self, images: Sequence[ImageArray], *, to_host: bool = True) -> None:
        """Begin to process images on the device, and return at once.

        Args:
            images: (n, H, W, 3) each, at most N images in all; the caller may reuse their memory afterwards.
            to_host: copy the outputs back too.
        """
        first = 0
        for part in images:
            self._host[first : first + len(part)] = torch.from_numpy(part)
            first += len(part)
        if not self._on_gpu:
            self._images.copy_(self._host)
            self._outputs = self._run()
            self._copy_back(to_host)
            return
        with torch.cuda.stream(self._stream):
            self._images.copy_(self._host, non_blocking=True)
            self._graph.replay()
            self._copy_back(to_host)
            self._done.record()

    def _copy_back(self, to_host: bool) -> None:
        for result, output in zip(self._results, self._outputs, strict=True):
            if to_host:
                result.copy_(output, non_blocking=True)

    def finish(self) -> list[npt.NDArray[Any]]:
        """Wait for the outputs and return them, in memory that the next `start` overwrites."""
        if self._on_gpu:
            self._done.synchronize()
        return [result.numpy() for result in self._results]


class _TorchCudaBackend:
    name = "torch-cuda"

    def __init__(self, request: BackendRequest, device: torch.device) -> None:
        model_file, input_hw = request.model_file, request.input_hw
        precision = _USUAL if request.precision == "auto" else request.precision
        batch = request.batch or _USUAL_BATCH
        self.spec = model_file.spec
        self.precision = precision
        self.input_hw = input_hw
        self.max_batch = batch
        self._slots = Slots()
        module: nn.Module
        if self.spec.is_rival:
            module, layers = for_inference(rival_of(model_file), precision, device), ""
        else:
            made = for_inference(network_of(model_file), precision, device)
            module, layers = peak_network(made, precision, device, model_file.k)
        try:
            self._networks: list[Replayed] | None = [
                Replayed(module, (batch, *input_hw, 3), device) for _ in range(SLOTS)
            ]
        except torch.cuda.OutOfMemoryError as error:
            needed = torch.cuda.max_memory_allocated(device) - torch.cuda.memory_allocated(device)
            raise too_little_memory(needed, torch.cuda.mem_get_info(device)) from error
        except RuntimeError as error:
            raise BackendError(f"torch-cuda cannot load {model_file.spec.name}: {error}") from error
        where = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
        graph = ", CUDA graph" if device.type == "cuda" else ""
        together = f", {batch} images at a time" if batch > 1 else ""
        refined = refinement_text(model_file.spec, after_grouping=False)
        self.description = (
            f"PyTorch {torch.__version__}, {where}, {precision}{layers}{graph}{together}{refined}"
        )

    def run(self, images: ImageArray) -> FloatArray:
        return self.submit([images])()

    def submit(self, images: Sequence[ImageArray]) -> Callable[[], FloatArray]:
        def start(slot: int) -> None:
            network = self._network(slot)
            self._checked(lambda: network.start(images))

        def finish(slot: int, count: int) -> FloatArray:
            (peaks,) = self._checked(self._network(slot).finish)
            result: FloatArray = peaks[:count].copy()
            return result

        return self._slots.submit(images, self.max_batch, start, finish)

    def _network(self, slot: int) -> Replayed:
        networks = self._networks
        if networks is None:
            raise BackendError("the torch-cuda backend is closed")
        return networks[slot]

    def _checked(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except RuntimeError as error:
            raise BackendError(f"torch-cuda failed on a frame: {error}") from error

    def close(self) -> None:
        self._networks = None


def create(request: BackendRequest) -> _TorchCudaBackend:
    """Load the network on the current GPU; see `BackendModule`. "auto" is fp16.

    Raises:
        BackendError: there is no GPU that PyTorch can use, or it has too little memory.
    """
    if not torch.cuda.is_available():
        built = torch.version.cuda
        why = nvidia().why or (
            "it was built without CUDA" if built is None else f"it was built for CUDA {built}"
        )
        raise BackendError(f"torch-cuda needs an NVIDIA GPU that PyTorch {torch.__version__} can use: {why}")
    return _TorchCudaBackend(request, torch.device("cuda", torch.cuda.current_device()))
