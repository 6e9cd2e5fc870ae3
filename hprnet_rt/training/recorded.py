"""A function of tensors as a CUDA graph: recorded once, then played.

Launching a step's thousands of small kernels from Python takes longer than running them. A graph launches all
of them at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

__all__ = ["Recorded"]

_WARM_UP = (
    3  # calls before the recording, in which libraries choose their kernels and optimizers make their state
)


class Recorded:
    """A function whose fourth call is recorded.

    Args:
        function: takes and returns tensors by name. It asks the host nothing, its shapes are the same in
            every call, and whatever else it reads or changes stays where it is in memory.
        device: an NVIDIA GPU, on which all tensors lie.

    The tensors that it returns are overwritten by the next call.
    """

    def __init__(
        self, function: Callable[[Mapping[str, Tensor]], dict[str, Tensor]], device: torch.device
    ) -> None:
        self._function = function
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: dict[str, Tensor] = {}
        self._outputs: dict[str, Tensor] = {}

    def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Call the function."""
        if self._calls < _WARM_UP:
            self._calls += 1
            return self._called(inputs)
        if self._graph is None:
            self._graph = self._recorded(inputs)
        torch._foreach_copy_(
            list(self._inputs.values()), [inputs[name] for name in self._inputs], non_blocking=True
        )
        self._graph.replay()
        return self._outputs

    def _called(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Call the function on the stream that will be recorded."""
        current = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            outputs = self._function(inputs)
        current.wait_stream(self._stream)
        return outputs

    def _recorded(self, inputs: Mapping[str, Tensor]) -> torch.cuda.CUDAGraph:
        """Record the function; this runs nothing."""
        torch.cuda.synchronize(self._stream.device)
        torch.cuda.empty_cache()
        self._inputs = {name: tensor.clone() for name, tensor in inputs.items()}
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream):
            self._outputs = self._function(self._inputs)
        return graph
