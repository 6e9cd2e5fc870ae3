"""Model files for another number of people: a copy in the cache, in which that number is changed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from hprnet_rt.backends.model_file import ModelFile
from hprnet_rt.errors import ModelError, UsageError
from hprnet_rt.onnx_file import require_k, with_k
from hprnet_rt.zoo import cache

__all__ = ["with_people"]


def with_people(model_file: ModelFile, k: int) -> ModelFile:
    """Return the model file for another number of people; it is made once, and kept in the cache.

    Nothing is converted for it, so PyTorch is not needed.

    Args:
        model_file: the network.
        k: the most people of an image, and peaks of a joint.

    Raises:
        UsageError: k is less than 1, or the network returns maps, in which there is no such number.
        ModelError: the model file does not say where the number is in it.
        OutputError: the cache cannot be written.
    """
    name = model_file.spec.name
    if model_file.spec.is_rival:
        raise UsageError(f"{name} has no limit to the number of people; leave --k out")
    require_k(k)
    if k == model_file.k:
        return model_file
    path = cache.model_file_path(name, model_file.sha256, k)
    made = _kept(path, model_file)
    if made is None:
        with cache.locked(path):
            made = _kept(path, model_file) or _copied(model_file, path, k)
    return dataclasses.replace(
        made, checkpoint=model_file.checkpoint, checkpoint_sha256=model_file.checkpoint_sha256
    )


def _kept(path: Path, model_file: ModelFile) -> ModelFile | None:
    """Return the copy in the cache; None where there is none, or only a damaged or an older one."""
    try:
        made = ModelFile.find(path)
    except (ModelError, UsageError):
        return None
    return made if made.spec == model_file.spec else None


def _copied(model_file: ModelFile, path: Path, k: int) -> ModelFile:
    """Write the model file for another number of people to the cache."""
    try:
        data = with_k(model_file.path.read_bytes(), k)
    except OSError as error:
        raise ModelError(f"{model_file.path} cannot be read: {error.strerror or error}") from error
    except ModelError as error:
        raise ModelError(f"{model_file.path}: {error}") from error
    with cache.workshop(path) as made:
        try:
            (made / path.name).write_bytes(data)
            ModelFile.describe(
                made / path.name,
                model_file.spec,
                k,
                model_file.source,
                model_file.licence,
                bf16=model_file.bf16,
            )
        except OSError as error:
            raise cache.refusal(error) from error
        cache.publish(made, path)
    return ModelFile.find(path)
