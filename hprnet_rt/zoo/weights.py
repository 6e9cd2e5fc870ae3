"""The weights that a model runs with: shipped, imported, fetched, or converted from a checkpoint first.

A checkpoint is converted to a model file once, which is kept in the cache under the SHA-256 of the
checkpoint. The converter needs torch, which the base install lacks, and is imported only when it is needed.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import importlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hprnet_rt.backends.model_file import ModelFile, sha256_of, shipped_models
from hprnet_rt.environment import CACHE_VARIABLE
from hprnet_rt.errors import BackendError, ModelError, OutputError, UsageError
from hprnet_rt.spec import DEFAULT_K
from hprnet_rt.zoo import cache
from hprnet_rt.zoo.download import checkpoint_flaw, stored_checkpoint
from hprnet_rt.zoo.networks import ZooEntry, zoo_entry
from hprnet_rt.zoo.people import with_people

__all__ = [
    "WEIGHTS_STATES",
    "import_checkpoint",
    "imported_model_file",
    "model_file_for",
    "weights_state",
]

_log = logging.getLogger(__name__)

WEIGHTS_STATES: Final = ("shipped", "imported", "pulled", "not here", "none published")
"""The values of `weights_state`."""

_CONVERTER: Final = "hprnet_rt.model.convert"


def model_file_for(
    model: str | Path, weights: str | Path | None = None, *, k: int | None = None
) -> ModelFile:
    """Return the model file of a model, converted now if necessary.

    Args:
        model: a network's name, or an .onnx file with its JSON beside it.
        weights: a checkpoint or a model file (.onnx) of that network; when None, the name decides: the
            shipped model file, the imported one, or that of the fetched checkpoint.
        k: the most people of an image, and peaks of a joint; what the model file has when None. See
            `with_people`.

    Raises:
        UsageError: there is no such model or file, this machine has no weights of it, or k is impossible.
        ModelError: a file is damaged or holds another network.
        BackendError: a conversion needs packages that are not installed.
        OutputError: the cache cannot be written.
    """
    found = _found(str(model), weights)
    return found if k is None else with_people(found, k)


def _found(name: str, weights: str | Path | None) -> ModelFile:
    """Return the model file of a model, with the number of people that it has."""
    if name.endswith(".onnx"):
        if weights is not None:
            raise UsageError(f"{name} has its weights inside; give --model a name or leave --weights out")
        return ModelFile.find(name)
    try:
        entry = zoo_entry(name)
    except UsageError as error:
        raise UsageError(f"{error}, or the path of an .onnx file") from error
    if entry.parts:
        return _combined(entry, weights)
    if weights is not None:
        return _given(name, Path(weights))
    if name in shipped_models():
        return ModelFile.find(name)
    return imported_model_file(name) or _fetched(name)


def import_checkpoint(name: str, path: Path, *, overwrite: bool = False, url: str | None = None) -> ModelFile:
    """Convert a checkpoint and let the network's name stand for it from now on.

    Args:
        name: of a network that does not come with the package.
        path: the checkpoint.
        overwrite: convert it again even if the cache has its model file.
        url: the origin of the checkpoint, for the record.

    Raises:
        UsageError: there is no such network or file.
        ModelError: the file is no checkpoint of this network.
        BackendError: the conversion needs packages that are not installed.
        OutputError: the cache cannot be written.
    """
    entry = zoo_entry(name)
    if entry.parts:
        raise UsageError(f"{name} consists of several networks: {entry.how}")
    if name in shipped_models():
        raise UsageError(
            f"{name} comes with the package; to run it with other weights: "
            f"hprnet-rt annotate --model {name} --weights {path}"
        )
    sha256 = _checkpoint_sha256(path)
    model_file = _converted(name, path, sha256, overwrite=overwrite)
    now = datetime.datetime.now(datetime.UTC)
    cache.write_record(
        cache.import_record_path(name),
        {
            "checkpoint_sha256": sha256,
            "checkpoint": url or str(path.absolute()),
            "date": now.isoformat(timespec="seconds"),
        },
    )
    return model_file


def imported_model_file(name: str) -> ModelFile | None:
    """Return the model file that was imported last for a network, None when there is none.

    Raises:
        ModelError: it is damaged, or was made by another version of hprnet-rt.
    """
    record = cache.read_record(cache.import_record_path(name))
    if record is None:
        return None
    sha256 = str(record.get("checkpoint_sha256"))
    path = cache.model_file_path(name, sha256, DEFAULT_K)
    if not path.with_suffix(".json").is_file() or not path.is_file():
        return None
    flaw, model_file = _open(name, path)
    if model_file is None:
        raise ModelError(
            f"{flaw}; import it again: hprnet-rt models import {name} {record.get('checkpoint')}"
        )
    for checkpoint in (cache.checkpoint_path(name), Path(str(record.get("checkpoint")))):
        if checkpoint.is_file():
            return _with_checkpoint(model_file, checkpoint, sha256)
    return model_file


def weights_state(name: str) -> str:
    """Return where a network's weights are, one of `WEIGHTS_STATES`, from file names alone."""
    if name in shipped_models():
        return "shipped"
    if parts := zoo_entry(name).parts:
        return "imported" if all(weights_state(part) == "imported" for part in parts) else "not here"
    has_model_file = any(path.suffix == ".onnx" for path in cache.files_of(name))
    if has_model_file and cache.import_record_path(name).is_file():
        return "imported"
    if cache.checkpoint_path(name).is_file():
        return "pulled"
    return "not here" if zoo_entry(name).published else "none published"


def _combined(entry: ZooEntry, weights: str | Path | None) -> ModelFile:
    """Return the model file of a model that consists of several: the first one, with the others as crops."""
    if weights is not None:
        raise UsageError(f"{entry.name} consists of several networks; leave --weights out, and {entry.how}")
    missing = [name for name in entry.parts if weights_state(name) not in ("imported", "pulled")]
    if missing:
        raise UsageError(f"{entry.name} lacks weights: " + "; ".join(zoo_entry(name).how for name in missing))
    first, *others = (model_file_for(name) for name in entry.parts)
    whole = hashlib.sha256("".join(each.sha256 for each in (first, *others)).encode()).hexdigest()
    return dataclasses.replace(first, spec=entry.spec, sha256=whole, crops=tuple(others))


def _given(name: str, path: Path) -> ModelFile:
    """Return the model file of weights that the user gave."""
    if path.suffix != ".onnx":
        return _converted(name, path, _checkpoint_sha256(path))
    model_file = ModelFile.find(path)
    held = model_file.spec.name
    if held != name:
        raise UsageError(f"{path} holds {held}, not {name}; use --model {held}")
    return model_file


def _fetched(name: str) -> ModelFile:
    """Return the model file of the fetched checkpoint, and let the name stand for it."""
    found = stored_checkpoint(zoo_entry(name))
    record = cache.read_record(cache.import_record_path(name))
    if record is not None and (found is None or found.sha256 != record.get("checkpoint_sha256")):
        raise ModelError(
            f"the model file of {name} is gone from the cache; import it again: "
            f"hprnet-rt models import {name} {record.get('checkpoint')}"
        )
    if found is not None:
        return import_checkpoint(name, found.path, url=found.url)
    if (entry := zoo_entry(name)).spec.is_rival:
        raise UsageError(
            f"{name} has no weights on this machine; {entry.how}, or give them with --weights FILE"
        )
    get = f"get them with: hprnet-rt models pull {name}, or " if zoo_entry(name).released else ""
    published = "" if zoo_entry(name).released else " and none are published"
    raise UsageError(
        f"{name} has no weights on this machine{published}; {get}give a checkpoint with --weights FILE"
    )


def _checkpoint_sha256(path: Path) -> str:
    try:
        if path.is_dir():
            raise UsageError(f"{path} is a folder; give the checkpoint in it")
        if not path.is_file():
            raise UsageError(f"the checkpoint {path} does not exist")
        flaw = checkpoint_flaw(path)
        if flaw:
            raise ModelError(f"{path} cannot be used: {flaw}")
        return sha256_of(path)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error


def _open(name: str, path: Path) -> tuple[str, ModelFile | None]:
    """Return a model file of the cache, or None and why it cannot be used."""
    try:
        model_file = ModelFile.find(path)
    except (ModelError, UsageError) as error:
        return str(error), None
    if model_file.spec != zoo_entry(name).spec:
        return f"{path} was made by another version of hprnet-rt", None
    return "", model_file


def _converted(name: str, checkpoint: Path, sha256: str, *, overwrite: bool = False) -> ModelFile:
    """Return the model file of a checkpoint from the cache, converted now if missing or damaged."""
    path = cache.model_file_path(name, sha256, DEFAULT_K)

    def find() -> ModelFile | None:
        if overwrite or not path.with_suffix(".json").is_file():
            return None
        flaw, model_file = _open(name, path)
        if model_file is None:
            _log.warning("%s; converting the checkpoint again", flaw)
        return model_file

    found = find()
    if found is not None:
        return _with_checkpoint(found, checkpoint, sha256)
    convert = _converter()
    source, licence = _provenance(name, sha256)
    with cache.locked(path):
        found = find()  # another process was faster
        if found is not None:
            return _with_checkpoint(found, checkpoint, sha256)
        _log.info("converting %s for %s; this happens once", checkpoint, name)
        with cache.workshop(path) as made:
            try:
                convert(name, checkpoint, made / path.name, k=DEFAULT_K)
                ModelFile.describe(made / path.name, zoo_entry(name).spec, DEFAULT_K, source, licence)
            except OutputError as error:
                raise OutputError(f"{error}; {CACHE_VARIABLE} sets another cache folder") from error
            cache.publish(made, path)
    return _with_checkpoint(ModelFile.find(path), checkpoint, sha256)


def _with_checkpoint(model_file: ModelFile, checkpoint: Path, sha256: str) -> ModelFile:
    return dataclasses.replace(model_file, checkpoint=checkpoint, checkpoint_sha256=sha256)


def _provenance(name: str, checkpoint_sha256: str) -> tuple[str, str]:
    """Return source and licence for the model file's JSON: the zoo's if it was fetched, else unknown."""
    entry = zoo_entry(name)
    record = cache.read_record(cache.checkpoint_path(name).with_suffix(".json")) or {}
    fetched = checkpoint_sha256 == record.get("sha256")
    if checkpoint_sha256 == entry.sha256 or (fetched and record.get("url") == entry.drive_url):
        source = f"{entry.origin}, {entry.page}"
    elif fetched and record.get("url"):
        source = f"fetched from {record['url']}"
    else:
        licence = entry.terms if entry.spec.is_rival else "not known"
        return f"checkpoint with SHA-256 {checkpoint_sha256}", licence
    return source, entry.terms if entry.published else "not known"


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
