"""Plans of engines, checked before anything is built."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from hprnet_rt.backends.registry import INT8
from hprnet_rt.building.targets import TARGETS
from hprnet_rt.errors import UsageError
from hprnet_rt.geometry import KEEP
from hprnet_rt.spec import ModelSpec

__all__ = ["BUILD_BACKENDS", "BUILD_PRECISIONS", "BuildPlan", "require_buildable"]

BUILD_BACKENDS: Final = tuple(TARGETS)
BUILD_PRECISIONS: Final = ("fp16", "bf16", "fp32", INT8)
"""Precisions of engines, the usual one first."""
_KEEP_PX: Final = (256, 1024)  # sides of an engine for pictures of any size
_LARGEST_PX: Final = 4096  # of an int8 engine, which is compiled for its size when it is loaded


@dataclass(frozen=True)
class BuildPlan:
    """The engine to build.

    Attributes:
        backend: one of `BUILD_BACKENDS`.
        precision: of the network, one of `BUILD_PRECISIONS`; the decode is always float32.
        batch: the least and the largest number of images at a time.
        height, width: the least, the usual and the largest side, in pixels.
        gpus: kinds of GPU to build for ("sm89"); empty for the library's default.
    """

    backend: str
    precision: str
    batch: tuple[int, int]
    height: tuple[int, int, int]
    width: tuple[int, int, int]
    gpus: tuple[str, ...] = ()

    @classmethod
    def parse(
        cls,
        spec: ModelSpec,
        *,
        backend: str,
        precision: str = BUILD_PRECISIONS[0],
        size: str | None = None,
        batch: str = "1",
        gpu: str = "",
    ) -> BuildPlan:
        """Read a plan from the options of the command line.

        Args:
            spec: the network.
            backend, precision: see the attributes.
            size: "WIDTHxHEIGHT", a number for a square, "keep" for a range; None for the network's own size.
            batch: a number, or "LEAST:LARGEST".
            gpu: kinds of GPU, separated by commas.

        Raises:
            UsageError: an option cannot be read, or the backend cannot do it.
        """
        require_buildable(spec)
        if backend not in BUILD_BACKENDS:
            raise UsageError(f"there is no engine of {backend!r}; use one of: {', '.join(BUILD_BACKENDS)}")
        if precision not in BUILD_PRECISIONS:
            raise UsageError(
                f"there is no precision {precision!r}; use one of: {', '.join(BUILD_PRECISIONS)}"
            )
        if backend == "openvino" and precision not in ("fp32", INT8):
            raise UsageError(
                f"OpenVINO takes {precision} when it loads a network, not from the file: build with "
                "--precision fp32, and say --precision bf16 to annotate or live"
            )
        if precision == INT8:
            if backend != "openvino":
                raise UsageError(f"{INT8} engines are built for openvino only, not for {backend}")
            if size is not None or batch != "1":
                raise UsageError(
                    f"an {INT8} engine takes one image at a time of any size; leave --size and --batch out"
                )
        gpus = tuple(dict.fromkeys(name.strip().lower() for name in gpu.split(",") if name.strip()))
        if gpus and not TARGETS[backend].gpu_kinds:
            names = " or ".join(target.name for target in TARGETS.values() if target.gpu_kinds)
            raise UsageError(f"--gpu is for --backend {names}, not {backend}")
        wrong = [name for name in gpus if not re.fullmatch(r"sm\d{2,3}", name)]
        if wrong:
            raise UsageError(f"--gpu takes names such as sm86,sm89, got {', '.join(wrong)}")
        width, height = _sides(spec, size)
        if precision == INT8:
            width = height = (spec.multiple_px, spec.input_px, _LARGEST_PX)
        return cls(
            backend=backend,
            precision=precision,
            batch=_batch(batch),
            height=height,
            width=width,
            gpus=gpus,
        )

    @property
    def fixed_hw(self) -> tuple[int, int] | None:
        """Height and width of an engine for one size; None for a range."""
        fixed = self.height[0] == self.height[2] and self.width[0] == self.width[2]
        return (self.height[0], self.width[0]) if fixed else None

    @property
    def fixed_batch(self) -> int | None:
        """The batch size of an engine for one; None for a range."""
        low, high = self.batch
        return low if low == high else None


def require_buildable(spec: ModelSpec) -> None:
    """Check that engines are built of a network.

    Raises:
        UsageError: they are not.
    """
    if spec.is_rival:
        raise UsageError(
            f"{spec.name} runs from its model file: engines are built of HPRNet's networks only; use "
            "--backend torch-cuda, openvino or onnxruntime"
        )


def _batch(text: str) -> tuple[int, int]:
    """Return the least and the largest batch size."""
    found = re.fullmatch(r"(\d+)(?::(\d+))?", text.strip())
    low, high = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 0 < low <= high:
        raise UsageError(f"--batch takes a number of images or LEAST:LARGEST, such as 1:8; got {text!r}")
    return low, high


def _sides(spec: ModelSpec, size: str | None) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return width and height, of each the least, the usual and the largest."""
    multiple = spec.multiple_px
    text = str(spec.input_px) if size is None else size.strip().lower()
    if text == KEEP:
        usual = -(-spec.input_px // multiple) * multiple
        low, high = (side // multiple * multiple for side in _KEEP_PX)
        return (low, usual, high), (low, usual, high)
    found = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if found is None:
        raise UsageError(f"--size takes WIDTHxHEIGHT, a number of pixels or {KEEP}; got {size!r}")
    width, height = int(found[1]), int(found[2] or found[1])
    if not width or not height or width % multiple or height % multiple:
        raise UsageError(f"{spec.name} takes sides that are multiples of {multiple}, got {width}x{height}")
    return (width, width, width), (height, height, height)
