"""Built engines, each described by a JSON beside it: an engine that does not match is never loaded."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from hprnet_rt.backends.model_file import ModelFile, sha256_of
from hprnet_rt.backends.registry import INT8
from hprnet_rt.errors import ModelError
from hprnet_rt.spec import DEFAULT_K, ModelSpec

__all__ = [
    "BUILT_FORMAT",
    "BuiltEngine",
    "EngineRecipe",
    "FindEngine",
    "check_sidecar",
    "sidecar_path",
    "spec_sha256",
    "write_sidecar",
]

BUILT_FORMAT: Final = "hprnet-rt-built/1"
_DIGITS: Final = 12  # of a hash in a file name or a message
_TENSORS: Final = {
    "images": {"type": "uint8", "shape": ["batch", "height", "width", 3], "order": "BGR"},
    "peaks": {"type": "float32", "shape": ["batch", "k", "layout"]},
}
"""The input and the output of every engine, by name."""


def spec_sha256(spec: ModelSpec) -> str:
    """Return the SHA-256 of a network's description: names, widths, normalisation."""
    return hashlib.sha256(json.dumps(spec.to_dict(), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class EngineRecipe:
    """Everything that determines a built engine: two engines with equal recipes are interchangeable.

    Attributes:
        backend: "tensorrt", "tensorrt-rtx" or "openvino".
        model: the network's name.
        spec_sha256: of the network's description.
        onnx_sha256: of the ONNX file, which holds the weights.
        k: people per image, and peaks per joint.
        precision: of the network; the decode is float32.
        batch, height, width: the least and the largest size.
        gpus: kinds of GPU ("sm89"), or the GPU that it was built on; empty for the library's default.
        library, library_version: the library that built it.
    """

    backend: str
    model: str
    spec_sha256: str
    onnx_sha256: str
    k: int
    precision: str
    batch: tuple[int, int]
    height: tuple[int, int]
    width: tuple[int, int]
    gpus: tuple[str, ...]
    library: str
    library_version: str

    @property
    def stem(self) -> str:
        """The name of its files without suffix: what a person chooses, and a digest of the whole recipe."""
        plain = json.dumps(dataclasses.asdict(self), sort_keys=True)
        digest = hashlib.sha256(plain.encode()).hexdigest()[:_DIGITS]
        batch, width, height = (_span(axis) for axis in (self.batch, self.width, self.height))
        return f"{self.model}-{self.backend}-{self.precision}-b{batch}-{width}x{height}-{digest}"

    @property
    def command(self) -> str:
        """The command that builds it."""
        people = "" if self.k == DEFAULT_K else f" --k {self.k}"
        if self.precision == INT8:
            return (
                f"hprnet-rt build {self.model} --backend {self.backend} --precision {INT8} --calibrate VIDEO"
                f"{people}"
            )
        low, high = self.batch
        fixed = self.height[0] == self.height[1] and self.width[0] == self.width[1]
        size = f"{self.width[0]}x{self.height[0]}" if fixed else "keep"
        kinds = f" --gpu {','.join(self.gpus)}" if self.gpus and self.backend == "tensorrt-rtx" else ""
        return (
            f"hprnet-rt build {self.model} --backend {self.backend} --precision {self.precision} "
            f"--size {size} --batch {low if low == high else f'{low}:{high}'}{kinds}{people}"
        )


@dataclass(frozen=True)
class BuiltEngine:
    """An engine on disk that matches its JSON.

    Attributes:
        path: its file.
        recipe: its description.
    """

    path: Path
    recipe: EngineRecipe


class FindEngine(Protocol):
    """Finds the built engine that a backend is to run."""

    def __call__(
        self,
        model_file: ModelFile,
        backend: str,
        *,
        precision: str,
        input_hw: tuple[int, int],
        batch: int | None,
        may_build: bool,
    ) -> BuiltEngine:
        """Return an engine for this input, this machine and this version of the library.

        Args:
            model_file: the network.
            backend: name of a backend that needs an engine in this precision.
            precision: of the network; "auto" is the first of `BUILD_PRECISIONS`.
            input_hw: height and width.
            batch: images at a time; any number when None.
            may_build: build one where none fits; int8 engines, which need frames, are never built here.

        Raises:
            BackendError: the library or a GPU is missing, there is no such engine, or a build fails.
            ModelError: there is an engine, but it does not fit; the message has the command that builds it.
        """
        ...


def _span(axis: tuple[int, int]) -> str:
    low, high = axis
    return str(low) if low == high else f"{low}-{high}"


def sidecar_path(engine: Path) -> Path:
    """Return the path of the JSON beside an engine."""
    return engine.with_suffix(".json")


def _engine_sha256(engine: Path) -> str:
    """Return the SHA-256 of an engine; with weights in a second file (OpenVINO) the hash of both hashes."""
    files = [engine, engine.with_suffix(".bin")] if engine.suffix == ".xml" else [engine]
    hashes = [sha256_of(file) for file in files]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def write_sidecar(
    engine: Path,
    recipe: EngineRecipe,
    spec: ModelSpec,
    *,
    build_seconds: float,
    measured: Mapping[str, Any] | None = None,
) -> None:
    """Write the JSON that describes an engine.

    Args:
        engine: its file, under its final name; the JSON is written beside it.
        recipe: its description.
        spec: the network.
        build_seconds: the duration of the build.
        measured: what was measured during the build, for people to read.

    Raises:
        OSError: the engine cannot be read, or the JSON cannot be written.
    """
    data = {
        "format": BUILT_FORMAT,
        **dataclasses.asdict(recipe),
        "tensors": _TENSORS,
        "engine_sha256": _engine_sha256(engine),
        "build_seconds": round(build_seconds, 1),
        **({"measured": dict(measured)} if measured else {}),
        "spec": spec.to_dict(),
    }
    sidecar_path(engine).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def check_sidecar(engine: Path, expected: EngineRecipe) -> None:
    """Refuse an engine that differs from the expected recipe or from its own JSON.

    Raises:
        ModelError: one sentence with the field, the value found, the value expected, and the command that
            builds it again.
    """
    again = f"build it again: {expected.command}"
    sidecar = sidecar_path(engine)
    try:
        data: Any = json.loads(sidecar.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{engine} has no {sidecar.name} beside it; {again}") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{sidecar} cannot be read ({error}); {again}") from error
    if not isinstance(data, dict) or data.get("format") != BUILT_FORMAT:
        raise ModelError(f"{sidecar} does not describe a built engine of format {BUILT_FORMAT}; {again}")
    fields = {**dataclasses.asdict(expected), "tensors": _TENSORS}
    for name, value in fields.items():
        plain = list(value) if isinstance(value, tuple) else value
        found = data.get(name)
        if found != plain:
            raise ModelError(
                f"{engine.name} was built with another {name.replace('_', ' ')}: {_short(found)}, where "
                f"{_short(plain)} is needed; {again}"
            )
    try:
        sha256 = _engine_sha256(engine)
    except OSError as error:
        raise ModelError(f"{engine} cannot be read ({error.strerror or error}); {again}") from error
    if sha256 != data.get("engine_sha256"):
        raise ModelError(
            f"{engine} is damaged or was replaced: its engine sha256 is {_short(sha256)}, where "
            f"{sidecar.name} says {_short(data.get('engine_sha256'))}; {again}"
        )


def _short(value: Any) -> str:
    """Return a value as text for a message, a hash by its first digits."""
    text = json.dumps(value) if not isinstance(value, str) else value
    is_hash = len(text) == hashlib.sha256().digest_size * 2
    return f"{text[:_DIGITS]}..." if is_hash else text
