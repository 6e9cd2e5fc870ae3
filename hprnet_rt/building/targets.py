"""The libraries that engines are built for: a description of each one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["TARGETS", "BuildTarget"]


@dataclass(frozen=True, kw_only=True)
class BuildTarget:
    """A library that engines are built for.

    Attributes:
        name: as the option --backend of `hprnet-rt build` takes it.
        suffix: of the engine's file.
        tensorrt: TensorRT or TensorRT-RTX builds it.
        own_gpu: it is built on the GPU that will run it, and for no other.
        gpu_kinds: it can be built for kinds of GPU ("sm89"), without one.
        timing_cache: its library times kernels while it builds, and can start from earlier timings.
    """

    name: str
    suffix: str
    tensorrt: bool = False
    own_gpu: bool = False
    gpu_kinds: bool = False
    timing_cache: bool = False


TARGETS: Final = {
    target.name: target
    for target in (
        BuildTarget(name="tensorrt", suffix=".engine", tensorrt=True, own_gpu=True, timing_cache=True),
        BuildTarget(name="tensorrt-rtx", suffix=".engine", tensorrt=True, gpu_kinds=True),
        BuildTarget(name="openvino", suffix=".xml"),
        BuildTarget(name="onnx", suffix=".onnx"),  # no engine: another model file
    )
}
"""By name."""
