"""The backends: a description of each one, from which everything else about them is derived.

To add a backend, write its module (see `protocol.BackendModule`), add its `BackendSpec` to `BACKEND_SPECS`,
and add the extra that installs its library to pyproject.toml. This module imports neither libraries nor the
modules of backends.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Final, Literal

from hprnet_rt.errors import UsageError

__all__ = [
    "BACKENDS",
    "BACKEND_SPECS",
    "FLOAT_PRECISIONS",
    "INT8",
    "PRECISIONS",
    "BackendSpec",
    "backend_spec",
    "backend_specs",
    "runs_on_gpu",
]

FLOAT_PRECISIONS: Final = ("fp32", "fp16", "bf16")
INT8: Final = "int8"
"""The precision of engines that are calibrated with real frames."""
PRECISIONS: Final = ("auto", *FLOAT_PRECISIONS, INT8)
"""Precisions of a network that a user can ask for; the decode is always float32."""


@dataclass(frozen=True, kw_only=True)
class BackendSpec:
    """The description of a backend: what it needs and what it can do.

    Attributes:
        name: as the option --backend takes it.
        module: the Python module with its `create`, imported only when the backend is chosen.
        library: the Python module of the library that it runs on; looked up before the backend is imported.
        extra: the extra of hprnet-rt that installs the library; None where the base install has it.
        device: "cpu", or "gpu" for an NVIDIA GPU.
        precisions: of the network; "auto" is always allowed.
        engine_precisions: those of `precisions` that need a built engine.
        batches: it takes several images at a time.
        flip: it can average with the mirrored image (the flip test).
        side_by_side: it works on several images of a file at once, each on a core of its own (`SideBySide`).
        auto: the part it has in the choice of "auto", which goes through the backends in their order here and
            leaves out those whose library or GPU is missing. "use": it is taken, and its error is the user's.
            "try": it is passed over with a warning when it cannot run. "skip": it runs only when named.
        auto_builds: "auto" may build an engine that is missing.
    """

    name: str
    module: str
    library: str
    extra: str | None = None
    device: Literal["cpu", "gpu"]
    precisions: tuple[str, ...]
    engine_precisions: tuple[str, ...] = ()
    batches: bool = True
    flip: bool = False
    side_by_side: bool = False
    auto: Literal["use", "try", "skip"]
    auto_builds: bool = False

    @property
    def installed(self) -> bool:
        """Whether the library can be found; it is not imported."""
        return importlib.util.find_spec(self.library) is not None

    @property
    def package(self) -> str:
        """The name of the library in the package index."""
        return self.library.replace("_", "-")

    @property
    def requirement(self) -> str:
        """The argument of `pip install` that installs the library."""
        return self.package if self.extra is None else f"hprnet-rt[{self.extra}]"

    def needs_engine(self, precision: str) -> bool:
        """Return whether it runs a built engine, in place of the model file, in this precision or "auto"."""
        return precision in self.engine_precisions or set(self.precisions) == set(self.engine_precisions)


BACKEND_SPECS: tuple[BackendSpec, ...] = (
    BackendSpec(
        name="tensorrt",
        module="hprnet_rt.backends.trt.backend",
        library="tensorrt",
        extra="tensorrt",
        device="gpu",
        precisions=FLOAT_PRECISIONS,
        engine_precisions=FLOAT_PRECISIONS,
        auto="try",
        auto_builds=True,
    ),
    BackendSpec(
        name="tensorrt-rtx",
        module="hprnet_rt.backends.trt.backend",
        library="tensorrt_rtx",
        extra="rtx",
        device="gpu",
        precisions=FLOAT_PRECISIONS,
        engine_precisions=FLOAT_PRECISIONS,
        auto="try",
        auto_builds=True,
    ),
    BackendSpec(
        name="torch-cuda",
        module="hprnet_rt.backends.torch_cuda",
        library="torch",
        extra="train",
        device="gpu",
        precisions=FLOAT_PRECISIONS,
        auto="try",
    ),
    BackendSpec(
        name="openvino",
        module="hprnet_rt.backends.openvino",
        library="openvino",
        device="cpu",
        precisions=("fp32", "bf16", INT8),
        engine_precisions=(INT8,),
        batches=False,
        side_by_side=True,
        auto="use",
    ),
    BackendSpec(
        name="onnxruntime",
        module="hprnet_rt.backends.onnxruntime",
        library="onnxruntime",
        device="cpu",
        precisions=("fp32",),
        auto="use",
    ),
    BackendSpec(
        name="torch",
        module="hprnet_rt.backends.torch",
        library="torch",
        extra="train",
        device="cpu",
        precisions=("fp32",),
        flip=True,
        auto="use",
    ),
)
"""All backends, in the order in which "auto" considers them."""

BACKENDS: Final = tuple(spec.name for spec in BACKEND_SPECS)
"""The names of all backends."""


def backend_specs(device: str | None = None) -> tuple[BackendSpec, ...]:
    """Return the registered backends, or those on one device ("cpu" or "gpu")."""
    return tuple(spec for spec in BACKEND_SPECS if device in (None, spec.device))


def backend_spec(name: str) -> BackendSpec:
    """Return the description of a backend.

    Raises:
        UsageError: there is no backend of this name.
    """
    for spec in BACKEND_SPECS:
        if spec.name == name:
            return spec
    names = ", ".join(spec.name for spec in BACKEND_SPECS)
    raise UsageError(f"there is no backend {name!r}; use one of: auto, {names}")


def runs_on_gpu(name: str) -> bool:
    """Return whether a backend runs on an NVIDIA GPU; false for "auto" and for unknown names."""
    return any(spec.name == name for spec in backend_specs("gpu"))
