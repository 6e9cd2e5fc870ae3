"""Model files: an ONNX file, and beside it a JSON with its description and its hash."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import ModelError, UsageError
from hprnet_rt.onnx_file import FOR_GROUPING, only_outputs, read_weights
from hprnet_rt.spec import ModelSpec

__all__ = ["ModelFile", "sha256_of", "shipped_models"]

_FORMAT = "hprnet-rt-engine/1"


def _shipped_folder() -> Path:
    """Return `engines/` in an installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "engines"
    return installed if installed.is_dir() else package.parent / "engines"


def shipped_models() -> tuple[str, ...]:
    """Return the names of the models that came with the package."""
    return tuple(sorted(path.stem for path in _shipped_folder().glob("*.onnx")))


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@dataclass(frozen=True)
class ModelFile:
    """A network in ONNX, checked against its sidecar.

    Attributes:
        path: the ONNX file.
        spec: the network.
        k: people per image, and peaks per joint.
        sha256: of the ONNX file.
        source, licence: the origin of the weights and their terms.
        bf16: running the network in bf16 was measured to cost no accuracy, so that "auto" may do it.
        checkpoint, checkpoint_sha256: the PyTorch checkpoint that it was converted from, where that is on
            this machine (not in the JSON); the torch backend reads it.
        crops: the model files of networks that look at each person besides (not in the JSON).
    """

    path: Path
    spec: ModelSpec
    k: int
    sha256: str
    source: str = ""
    licence: str = ""
    bf16: bool = False
    checkpoint: Path | None = field(default=None, compare=False)
    checkpoint_sha256: str = field(default="", compare=False)
    crops: tuple[ModelFile, ...] = ()

    @classmethod
    def find(cls, model: str | Path) -> ModelFile:
        """Open a shipped model by name, or an ONNX file that has its JSON beside it.

        Raises:
            UsageError: there is no such model.
            ModelError: the file is damaged, or differs from its JSON.
        """
        text = str(model)
        if text.endswith(".onnx"):
            path = Path(model)
        elif text in shipped_models():
            path = _shipped_folder() / f"{text}.onnx"
        else:
            known = ", ".join(shipped_models())
            raise UsageError(f"there is no model {text!r}; use one of: {known}, or the path of an .onnx file")
        if not path.is_file():
            raise UsageError(f"the model file {path} does not exist")
        return cls._open(path)

    def for_grouping(self) -> str | bytes:
        """Return the network for a backend that leaves refinement to grouping.

        It is the file's path, or, where the network refines, its bytes without the layers that compute
        refined peaks.

        Raises:
            ModelError: the file cannot be read.
        """
        if self.spec.refinement is None:
            return str(self.path)
        return only_outputs(self._read(), FOR_GROUPING)

    def refiner_weights(self) -> dict[str, npt.NDArray[np.float32]] | None:
        """Return the weights with which grouping refines points; None where the network has no refinement.

        Raises:
            ModelError: the file cannot be read.
        """
        if self.spec.refinement is None:
            return None
        return read_weights(self._read(), "refiner")

    def _read(self) -> bytes:
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise ModelError(f"{self.path} cannot be read: {error.strerror or error}") from error

    @classmethod
    def _open(cls, path: Path) -> ModelFile:
        sidecar = path.with_suffix(".json")
        try:
            data = json.loads(sidecar.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ModelError(f"{path} has no {sidecar.name} beside it; copy both files together") from error
        except (OSError, ValueError) as error:
            raise ModelError(f"{sidecar} cannot be read: {error}") from error
        if not isinstance(data, dict) or data.get("format") != _FORMAT:
            raise ModelError(f"{sidecar} does not describe a model file of format {_FORMAT}")
        try:
            spec = ModelSpec.from_dict(data["spec"])
            model_file = cls(
                path=path,
                spec=spec,
                k=int(data["k"]),
                sha256=data["sha256"],
                source=data["source"],
                licence=data["licence"],
                bf16=bool(data["bf16"]),
            )
        except KeyError as error:
            raise ModelError(f"{sidecar} lacks {error}") from error
        found = sha256_of(path)
        if found != model_file.sha256:
            raise ModelError(
                f"{path} is damaged or was replaced: its SHA-256 is {found[:12]}..., but {sidecar.name} says "
                f"{model_file.sha256[:12]}...; install the package again or copy both files together"
            )
        return model_file

    @classmethod
    def describe(
        cls, path: Path, spec: ModelSpec, k: int, source: str, licence: str, *, bf16: bool = False
    ) -> ModelFile:
        """Write the JSON of a freshly exported ONNX file, and return the model file."""
        model_file = cls(
            path=path,
            spec=spec,
            k=k,
            sha256=sha256_of(path),
            source=source,
            licence=licence,
            bf16=bf16,
        )
        data: dict[str, Any] = {"format": _FORMAT, **dataclasses.asdict(model_file), "spec": spec.to_dict()}
        for own in ("path", "checkpoint", "checkpoint_sha256", "crops"):
            del data[own]
        path.with_suffix(".json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        return model_file
