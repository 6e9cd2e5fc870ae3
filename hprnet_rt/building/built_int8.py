"""The int8 engine of a network, found by its description."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hprnet_rt.backends import ModelFile
from hprnet_rt.backends.built_engine import INT8, check_sidecar
from hprnet_rt.building.make import built_folder, recipe_of
from hprnet_rt.building.plan import BuildPlan
from hprnet_rt.errors import BackendError

__all__ = ["find_int8"]

_BACKEND: Final = "openvino"


def find_int8(engine: ModelFile) -> Path:
    """The engine that `build` has left for this network and this version of OpenVINO.

    Raises:
        BackendError: there is none.
        ModelError: one is there that is damaged, or was made of other weights or by another version; the
            sentence says what builds it again.
    """
    wanted = recipe_of(engine, BuildPlan.parse(engine.spec, backend=_BACKEND, precision=INT8), None)
    folder = built_folder()
    path = folder / f"{wanted.stem}.xml"
    if not path.is_file():
        others = sorted(folder.glob(f"{engine.spec.name}-{_BACKEND}-{INT8}-*.xml"))
        if not others:
            raise BackendError(f"there is no {INT8} engine of {engine.spec.name}; build it: {wanted.command}")
        path = max(others, key=lambda each: each.stat().st_mtime)
    check_sidecar(path, wanted)
    return path
