"""The cache: fetched checkpoints and the model files converted from them, one folder per user.

    checkpoints/<name>.pth             as fetched, with <name>.json: its SHA-256, address, date and size
    engines/<name>-<sha>-k<k>.onnx     the model file of the file with this SHA-256 (12 digits), for K people
    engines/<name>.json                the checkpoint whose model file the bare name stands for

`hprnet_rt.environment` decides where the folder is. A file appears under its name only when it is complete.
Locks keep two processes from fetching or converting the same file at once; the system releases them when a
process dies.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from hprnet_rt.environment import CACHE_VARIABLE, cache_folder
from hprnet_rt.errors import ModelError, OutputError, UsageError

__all__ = [
    "OFFLINE_VARIABLE",
    "checkpoint_path",
    "files_of",
    "import_record_path",
    "locked",
    "model_file_path",
    "offline",
    "publish",
    "read_record",
    "refusal",
    "remove",
    "require_folder",
    "workshop",
    "write_record",
]

_log = logging.getLogger(__name__)

OFFLINE_VARIABLE: Final = "HPRNET_RT_OFFLINE"
_YES: Final = ("1", "true", "yes", "on")
_NO: Final = ("", "0", "false", "no", "off")


def offline() -> bool:
    """Return whether $HPRNET_RT_OFFLINE forbids the use of the network.

    Raises:
        UsageError: the variable is neither yes nor no.
    """
    text = os.environ.get(OFFLINE_VARIABLE, "").strip().lower()
    if text not in (*_YES, *_NO):
        raise UsageError(f"{OFFLINE_VARIABLE} is {text!r}; set it to 1 (no network) or 0")
    return text in _YES


def checkpoint_path(name: str) -> Path:
    """Return the path of the fetched checkpoint of a network; its record is the JSON beside it."""
    return cache_folder() / "checkpoints" / f"{name}.pth"


def model_file_path(name: str, checkpoint_sha256: str, k: int) -> Path:
    """Return the path of the model file of a checkpoint."""
    return cache_folder() / "engines" / f"{name}-{checkpoint_sha256[:12]}-k{k}.onnx"


def import_record_path(name: str) -> Path:
    """Return the path of the record that says which checkpoint's model file a bare name stands for."""
    return cache_folder() / "engines" / f"{name}.json"


def refusal(error: OSError) -> OutputError:
    """Return the error for the system's refusal to write in the cache, with a remedy."""
    return OutputError(
        f"cannot write in the cache folder {cache_folder()}: {error.strerror or error}; make room there, or "
        f"set {CACHE_VARIABLE} to another folder"
    )


def require_folder(path: Path) -> Path:
    """Create a folder of the cache unless it exists, and return it.

    Raises:
        OutputError: the system refuses.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refusal(error) from error
    return path


def read_record(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file, None when there is no such file.

    Raises:
        ModelError: the file holds something else, or cannot be read.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error}); delete it and try again") from error
    if not isinstance(data, dict):
        raise ModelError(f"{path} holds no JSON object; delete it and try again")
    return data


def write_record(path: Path, data: dict[str, Any]) -> None:
    """Write a JSON object so that a reader finds the old one or the new one, never a part.

    Raises:
        OutputError: the system refuses.
    """
    require_folder(path.parent)
    partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        partial.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise refusal(error) from error


@contextlib.contextmanager
def workshop(path: Path) -> Iterator[Path]:
    """Create a hidden folder beside `path` in which to make it; it is deleted afterwards.

    The caller holds the lock of `path`: remains of a killed process are deleted first.

    Raises:
        OutputError: the system refuses to create it.
    """
    require_folder(path.parent)
    made = path.with_name(f".{path.stem}.making")
    try:
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
    except OSError as error:
        raise refusal(error) from error
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def publish(made: Path, path: Path) -> None:
    """Move the files of a workshop to the folder of `path`.

    The JSON of `path` comes last: its presence means that the others are complete.

    Raises:
        OutputError: the system refuses.
    """
    last = path.with_suffix(".json").name
    try:
        for file in sorted(made.iterdir(), key=lambda file: (file.name == last, file.name)):
            file.replace(path.parent / file.name)
    except OSError as error:
        raise refusal(error) from error


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes from making `path`, after waiting for one that does.

    Raises:
        OutputError: the system refuses to write the lock.
    """
    lock = FileLock(require_folder(path.parent) / f".{path.name}.lock")
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            _log.warning("another process is making %s; waiting for it", path.name)
            lock.acquire()
    except OSError as error:
        raise refusal(error) from error
    try:
        yield
    finally:
        lock.release()


def files_of(name: str) -> list[Path]:
    """Return all files that the cache holds for a network, sorted; unfinished downloads too.

    Raises:
        OutputError: the folder cannot be read.
    """
    of_network = re.compile(
        rf"{re.escape(name)}(\.json|\.pth.*|-[0-9a-f]{{12}}-k\d+\.(onnx|json).*)", flags=re.DOTALL
    )
    found = []
    for part in ("checkpoints", "engines"):
        try:
            found += [path for path in (cache_folder() / part).iterdir() if of_network.fullmatch(path.name)]
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise OutputError(
                f"cannot read the cache folder {cache_folder()}: {error.strerror or error}; set "
                f"{CACHE_VARIABLE} to another folder"
            ) from error
    return sorted(found)


def remove(name: str) -> list[Path]:
    """Delete all files that the cache holds for a network, and return their paths.

    Raises:
        OutputError: the system refuses.
    """
    found = files_of(name)
    try:
        for path in found:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot delete {path}: {error.strerror or error}") from error
    return found
