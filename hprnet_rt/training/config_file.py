"""Read the configuration of a run from a TOML file. Unknown keys are errors."""

from __future__ import annotations

import dataclasses
import tomllib
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hprnet_rt.errors import UsageError
from hprnet_rt.training.config import Phase, TrainConfig

__all__ = ["read_config"]

_PLACES = ("train_annotations", "train_images", "val_annotations", "val_images")
_SET_PLACES = ("annotations", "images")


def _parse_value(text: str) -> Any:
    """Parse a TOML value; text that is no TOML value is returned as it is."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _flatten(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested tables into one with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{prefix}{key}"
        flat.update(_flatten(value, f"{name}.") if isinstance(value, Mapping) else {name: value})
    return flat


def _from_table(kind: type, values: Mapping[str, Any], where: str) -> Any:
    """Make a dataclass from a table, checking keys and types."""
    known = {entry.name for entry in dataclasses.fields(kind)}
    types = typing.get_type_hints(kind)
    result = {}
    for key, value in values.items():
        if key not in known:
            raise UsageError(f"{where}: there is no key {key!r}; the keys are {', '.join(types)}")
        result[key] = _value(types[key], value, key, where)
    return kind(**result)


def _value(wanted: Any, value: Any, key: str, where: str) -> Any:
    """Check the value of a key and bring it to the type that is wanted."""
    if dataclasses.is_dataclass(wanted):
        if not isinstance(value, Mapping):
            raise UsageError(f"{where}: {key} is a table, written [{key}]")
        return _from_table(typing.cast(type, wanted), value, f"{where} [{key}]")
    origin, inner = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is tuple and dataclasses.is_dataclass(inner[0]):
        if not (isinstance(value, list) and all(isinstance(item, Mapping) for item in value)):
            raise UsageError(f"{where}: {key} is a list of tables, written [[{key}]]")
        return tuple(_from_table(typing.cast(type, inner[0]), item, f"{where} [[{key}]]") for item in value)
    if origin is dict:
        table = _flatten(value) if isinstance(value, Mapping) else {}
        if (not table and value != {}) or not all(type(item) in (int, float) for item in table.values()):
            raise UsageError(f"{where}: {key} is a table of numbers, written [{key}]")
        return {name: float(item) for name, item in table.items()}
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if origin is tuple and isinstance(value, list):
        value = tuple(value)
        fits = all(type(item) is int for item in value)
    else:
        fits = type(value) is wanted
    if not fits:
        raise UsageError(f"{where}: {key} cannot be {value!r}")
    return value


def _with_defaults(values: dict[str, Any]) -> dict[str, Any]:
    """Give every phase the values of the file's top that it does not have itself."""
    phases = values.get("phases")
    if not isinstance(phases, list) or not all(isinstance(phase, Mapping) for phase in phases):
        return values
    shared = {entry.name for entry in dataclasses.fields(Phase)} & values.keys() - {"name"}
    above = {key: values[key] for key in shared}
    names = [{"name": f"phase {number}"} for number in range(1, len(phases) + 1)]
    return values | {
        "phases": [{**name, **above, **phase} for name, phase in zip(names, phases, strict=True)]
    }


def _change(values: dict[str, Any], change: str) -> None:
    """Apply a change KEY=VALUE to the values of a file."""
    key, equals, text = change.partition("=")
    *parents, last = key.strip().split(".")
    if not equals or not last:
        raise UsageError(f"a change is KEY=VALUE, got {change!r}")
    table: Any = values
    for parent in parents:
        if isinstance(table, list) and parent.isdecimal() and int(parent) < len(table):
            table = table[int(parent)]
            continue
        table = table.setdefault(parent, {}) if isinstance(table, dict) else None
        if not isinstance(table, (dict, list)):
            raise UsageError(f"{change!r}: {parent} is not a table")
    if not isinstance(table, dict):
        raise UsageError(f"{change!r}: {'.'.join(parents)} is a list; name one of it, counting from 0")
    value = _parse_value(text.strip())
    if last in (*_PLACES, *_SET_PLACES, "weights"):
        place = value if isinstance(value, str) else text.strip()
        value = str(Path(place).absolute()) if place else ""
    table[last] = value


def _placed(config: TrainConfig, folder: Path) -> TrainConfig:
    """Return the configuration with paths that start at a folder instead of being relative."""

    def at(place: str) -> str:
        return str(folder / place) if place else ""

    data: dict[str, Any] = {name: at(getattr(config.data, name)) for name in _PLACES}
    data["sets"] = tuple(
        dataclasses.replace(one, annotations=at(one.annotations), images=at(one.images))
        for one in config.data.sets
    )
    teachers = tuple(dataclasses.replace(one, weights=at(one.weights)) for one in config.teachers)
    return dataclasses.replace(
        config,
        weights=at(config.weights),
        data=dataclasses.replace(config.data, **data),
        teachers=teachers,
    )


def read_config(path: Path, changes: Sequence[str] = ()) -> TrainConfig:
    """Read the configuration of a run from a TOML file.

    Args:
        path: the file.
        changes: KEY=VALUE, which replace values of the file; data.KEY for a key of the table [data], and
            phases.0.KEY for one of the first table [[phases]]. Values are written as in TOML. Relative paths
            start at the working folder.

    Raises:
        UsageError: the file is missing or not TOML, or a key or value is wrong.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    for change in changes:
        _change(values, change)
    config: TrainConfig = _from_table(TrainConfig, _with_defaults(values), path.name)
    return _placed(config, path.parent)
