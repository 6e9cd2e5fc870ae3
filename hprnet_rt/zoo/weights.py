"""Which weights a model runs with: shipped, imported, fetched, or a checkpoint that is converted first.

A checkpoint is converted to an engine once and kept in the cache under its SHA-256. The converter needs
torch, which the base install has not; it is looked up when it is needed.
"""

from __future__ import annotations

import dataclasses
import datetime
import importlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hprnet_rt.backends.model_file import ModelFile, sha256_of, shipped_models
from hprnet_rt.environment import CACHE_VARIABLE
from hprnet_rt.errors import BackendError, ModelError, OutputError, UsageError
from hprnet_rt.zoo import cache
from hprnet_rt.zoo.download import checkpoint_flaw, stored_checkpoint
from hprnet_rt.zoo.networks import ZOO, zoo_entry

__all__ = [
    "DEFAULT_K",
    "WEIGHTS_STATES",
    "import_checkpoint",
    "imported_engine",
    "model_file_for",
    "weights_state",
]

_log = logging.getLogger(__name__)

DEFAULT_K: Final = 32
"""People per image, and peaks per joint, of an engine unless told otherwise."""

WEIGHTS_STATES: Final = ("shipped", "imported", "pulled", "not here", "none published")
"""What `weights_state` says."""

_CONVERTER: Final = "hprnet_rt.model.convert"


def model_file_for(model: str | Path, weights: str | Path | None = None, *, k: int = DEFAULT_K) -> ModelFile:
    """The engine that runs a model, converted now if need be.

    Args:
        model: a network's name, or an .onnx file with its JSON beside it.
        weights: a checkpoint of that network, or an engine of it (.onnx); None takes what the name stands
            for: the shipped engine, the imported one, or the fetched checkpoint.
        k: people per image of an engine that is made of a checkpoint.

    Raises:
        UsageError: there is no such model or file, or no weights are on this machine.
        ModelError: a file is damaged or holds another network.
        BackendError: a conversion needs packages that are not installed.
        OutputError: the cache cannot be written.
    """
    name = str(model)
    if name.endswith(".onnx"):
        if weights is not None:
            raise UsageError(f"{name} has its weights inside; give --model a name or leave --weights out")
        return ModelFile.find(model)
    if name not in ZOO:
        raise UsageError(
            f"there is no model {name!r}; use one of: {', '.join(ZOO)}, or the path of an .onnx file"
        )
    if weights is not None:
        return _given(name, Path(weights), k)
    if name in shipped_models():
        return ModelFile.find(name)
    return imported_engine(name, k=k) or _fetched(name, k)


def import_checkpoint(
    name: str, path: Path, *, k: int = DEFAULT_K, overwrite: bool = False, url: str | None = None
) -> ModelFile:
    """Convert a checkpoint and let the network's name stand for it from now on.

    Args:
        name: of a network that does not come with the package.
        path: the checkpoint.
        k: people per image of the engine.
        overwrite: convert it again though the cache has its engine.
        url: where the checkpoint came from, for the record.

    Raises:
        UsageError: there is no such network or file.
        ModelError: the file is no checkpoint of this network.
        BackendError: the conversion needs packages that are not installed.
        OutputError: the cache cannot be written.
    """
    if zoo_entry(name).name in shipped_models():
        raise UsageError(
            f"{name} comes with the package; to run it with other weights: "
            f"hprnet-rt annotate --model {name} --weights {path}"
        )
    sha256 = _checkpoint_sha256(path)
    engine = _converted(name, path, sha256, k, overwrite=overwrite)
    now = datetime.datetime.now(datetime.UTC)
    cache.write_record(
        cache.choice_path(name),
        {
            "checkpoint_sha256": sha256,
            "checkpoint": url or str(path.absolute()),
            "date": now.isoformat(timespec="seconds"),
        },
    )
    return engine


def imported_engine(name: str, *, k: int = DEFAULT_K) -> ModelFile | None:
    """The engine that was imported last for a network, None when there is none.

    Raises:
        ModelError: it is damaged, or an older version made it.
    """
    choice = cache.read_record(cache.choice_path(name))
    if choice is None:
        return None
    sha256 = str(choice.get("checkpoint_sha256"))
    path = cache.engine_path(name, sha256, k)
    if not path.with_suffix(".json").is_file() or not path.is_file():
        return None
    flaw, engine = _open(name, path)
    if engine is None:
        raise ModelError(
            f"{flaw}; import it again: hprnet-rt models import {name} {choice.get('checkpoint')}"
        )
    for checkpoint in (cache.checkpoint_path(name), Path(str(choice.get("checkpoint")))):
        if checkpoint.is_file():
            return _made_of(engine, checkpoint, sha256)
    return engine


def weights_state(name: str) -> str:
    """Where a network's weights are, one of `WEIGHTS_STATES`; looks at file names only."""
    if name in shipped_models():
        return "shipped"
    if any(path.suffix == ".onnx" for path in cache.files_of(name)) and cache.choice_path(name).is_file():
        return "imported"
    if cache.checkpoint_path(name).is_file():
        return "pulled"
    return "not here" if zoo_entry(name).released else "none published"


def _given(name: str, path: Path, k: int) -> ModelFile:
    if path.suffix != ".onnx":
        return _converted(name, path, _checkpoint_sha256(path), k)
    engine = ModelFile.find(path)
    if engine.spec.name != name:
        raise UsageError(f"{path} holds {engine.spec.name}, not {name}; use --model {engine.spec.name}")
    return engine


def _fetched(name: str, k: int) -> ModelFile:
    """The engine of the checkpoint that `pull` has left, which becomes what the name stands for."""
    found = stored_checkpoint(zoo_entry(name))
    choice = cache.read_record(cache.choice_path(name))
    if choice is not None and (found is None or found.sha256 != choice.get("checkpoint_sha256")):
        raise ModelError(
            f"the engine of {name} is gone from the cache; import it again: "
            f"hprnet-rt models import {name} {choice.get('checkpoint')}"
        )
    if found is not None:
        return import_checkpoint(name, found.path, k=k, url=found.url)
    get = f"get them with: hprnet-rt models pull {name}, or " if zoo_entry(name).released else ""
    published = "" if zoo_entry(name).released else " and none are published"
    raise UsageError(
        f"{name} has no weights on this machine{published}; {get}give a checkpoint with --weights FILE"
    )


def _checkpoint_sha256(path: Path) -> str:
    try:
        if not path.is_file():
            raise UsageError(f"the checkpoint {path} does not exist")
        flaw = checkpoint_flaw(path)
        if flaw:
            raise ModelError(f"{path} cannot be used: {flaw}")
        return sha256_of(path)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error


def _open(name: str, path: Path) -> tuple[str, ModelFile | None]:
    """An engine of the cache, or why it cannot be used."""
    try:
        engine = ModelFile.find(path)
    except (ModelError, UsageError) as error:
        return str(error), None
    if engine.spec != zoo_entry(name).spec:
        return f"{path} was made by another version of hprnet-rt", None
    return "", engine


def _converted(name: str, checkpoint: Path, sha256: str, k: int, *, overwrite: bool = False) -> ModelFile:
    """The engine of a checkpoint from the cache, made now unless it is there and sound."""
    path = cache.engine_path(name, sha256, k)

    def find() -> ModelFile | None:
        if overwrite or not path.with_suffix(".json").is_file():
            return None
        flaw, engine = _open(name, path)
        if engine is None:
            _log.warning("%s; converting the checkpoint again", flaw)
        return engine

    found = find()
    if found is not None:
        return _made_of(found, checkpoint, sha256)
    convert = _converter()
    source, licence = _provenance(name, sha256)
    with cache.locked(path):
        found = find()  # another process was faster
        if found is not None:
            return _made_of(found, checkpoint, sha256)
        _log.info("converting %s for %s; this happens once", checkpoint, name)
        with cache.workshop(path) as made:
            try:
                convert(name, checkpoint, made / path.name, k=k)
                ModelFile.describe(made / path.name, zoo_entry(name).spec, k, source, licence)
            except OutputError as error:
                raise OutputError(f"{error}; {CACHE_VARIABLE} sets another cache folder") from error
            cache.publish(made, path)
    return _made_of(ModelFile.find(path), checkpoint, sha256)


def _made_of(engine: ModelFile, checkpoint: Path, sha256: str) -> ModelFile:
    return dataclasses.replace(engine, checkpoint=checkpoint, checkpoint_sha256=sha256)


def _provenance(name: str, checkpoint_sha256: str) -> tuple[str, str]:
    """Source and licence for the engine's JSON: the zoo's where the file was fetched, else unknown."""
    entry = zoo_entry(name)
    record = cache.read_record(cache.checkpoint_path(name).with_suffix(".json")) or {}
    fetched = checkpoint_sha256 == record.get("sha256")
    if checkpoint_sha256 == entry.sha256 or (fetched and record.get("url") == entry.drive_url):
        source = f"{entry.origin}, {entry.page}"
    elif fetched and record.get("url"):
        source = f"fetched from {record['url']}"
    else:
        return f"checkpoint with SHA-256 {checkpoint_sha256}", "not known"
    return source, entry.terms if entry.released else "not known"


def _converter() -> Callable[..., None]:
    try:
        module = importlib.import_module(_CONVERTER)
    except ImportError as error:
        raise BackendError(
            f"converting a checkpoint needs torch and onnx ({error.name or error} is missing): "
            'pip install "hprnet-rt[train]"'
        ) from error
    convert: Callable[..., None] = module.convert_checkpoint
    return convert
