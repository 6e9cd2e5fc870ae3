"""Fetching of checkpoints: from the first address that has the file, checked, and recorded.

The part that an interrupted download leaves is kept beside the checkpoint, one per address (bytes of two
addresses are never mixed), and continued by the next `pull`. Where no SHA-256 is known, the first one is
recorded, and later downloads must match it.
"""

from __future__ import annotations

import datetime
import hashlib
import logging
import os
import shutil
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from hprnet_rt.backends.model_file import sha256_of
from hprnet_rt.errors import ModelError, UsageError
from hprnet_rt.onnx_file import CAFFE_SUFFIX
from hprnet_rt.zoo import cache
from hprnet_rt.zoo.fetch import Progress, SourceError, fetch_url
from hprnet_rt.zoo.networks import ZooEntry

__all__ = ["MIRROR_VARIABLE", "Checkpoint", "checkpoint_flaw", "pull", "stored_checkpoint"]

_log = logging.getLogger(__name__)

MIRROR_VARIABLE: Final = "HPRNET_RT_MIRROR"
_FIRST_BYTES: Final = 512


@dataclass(frozen=True)
class Checkpoint:
    """A fetched checkpoint.

    Attributes:
        path: in the cache.
        sha256: of the file.
        url: the address it came from; None when the file was put into the cache by hand.
        size: bytes.
        fresh: it was fetched now, not found in the cache.
    """

    path: Path
    sha256: str
    url: str | None
    size: int
    fresh: bool = False


def checkpoint_flaw(path: Path) -> str | None:
    """Return why a file cannot be a whole PyTorch checkpoint or a Caffe model, None when it may be one.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        first = file.read(_FIRST_BYTES)
    if not first:
        return "it is empty"
    if path.suffix == CAFFE_SUFFIX and first[:1] in (b"\n", b"\x12", b"\xa2"):
        return None  # whether it is whole is seen when it is read
    if first.startswith(b"\x80"):  # a pickle: torch before 1.6
        return None
    if not first.startswith(b"PK"):
        text = first.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
            return "it is a web page, not a PyTorch checkpoint"
        return f"it is not a {'Caffe model' if path.suffix == CAFFE_SUFFIX else 'PyTorch checkpoint'}"
    try:
        with zipfile.ZipFile(path) as archive:
            summed = any(member.CRC for member in archive.infolist())  # torch can leave checksums out
            damaged = archive.testzip() if summed else None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
        return "it is cut off or damaged"
    return damaged and f"its part {damaged} is damaged"


def _sources(entry: ZooEntry, url: str | None) -> list[str]:
    """Return the addresses to try, in order; an address that the user gave is the only one."""
    mirror = os.environ.get(MIRROR_VARIABLE, "").strip()
    if url is not None:
        found = [url]
    else:
        found = [f"{mirror.rstrip('/')}/{entry.name}.pth"] if mirror else []
        found += [*entry.mirrors, *([entry.drive_url] if entry.drive_url else [])]
    for address in found:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            whose = f"{MIRROR_VARIABLE}: " if url is None else ""
            raise UsageError(
                f"{whose}{address!r} is no address that begins with https:// or http://; for a file on this "
                f"machine use: {_by_hand(entry)}"
            )
    return found


def stored_checkpoint(entry: ZooEntry) -> Checkpoint | None:
    """Return a network's checkpoint from the cache, None when it is missing or differs from its record.

    Raises:
        ModelError: it or its record cannot be read.
        OutputError: a new record cannot be written.
    """
    path = cache.checkpoint_path(entry.name)
    record = cache.read_record(path.with_suffix(".json")) or {}
    try:
        if not path.is_file():
            return None
        sha256 = sha256_of(path)
        flaw = _mismatch(sha256, entry, record) or (None if record else checkpoint_flaw(path))
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error
    if flaw:
        _log.warning("%s is not used: %s", path, flaw)
        return None
    found = Checkpoint(path, sha256, record.get("url"), path.stat().st_size)
    if not record:
        _record(found)
    return found


def pull(
    entry: ZooEntry, *, url: str | None = None, overwrite: bool = False, progress: Progress | None = None
) -> Checkpoint:
    """Fetch a network's checkpoint into the cache, unless the cache has it.

    Args:
        entry: the network.
        url: the only address to try; otherwise $HPRNET_RT_MIRROR, the mirrors and Google Drive in turn.
        overwrite: fetch it again, and accept a file that differs from the one recorded earlier.
        progress: called while bytes arrive.

    Raises:
        UsageError: no weights are published, or $HPRNET_RT_OFFLINE forbids the network.
        BackendError: the downloader is not installed.
        ModelError: no address has the file; the message gives the reason for each one, and a remedy.
        OutputError: the cache folder cannot be written.
    """
    path = cache.checkpoint_path(entry.name)
    sources = _sources(entry, url)
    if not overwrite and (found := stored_checkpoint(entry)):
        return found
    if not sources and entry.spec.is_rival:
        raise UsageError(f"{entry.name} is not fetched for you: {entry.how}. {entry.terms}")
    if not sources:
        raise UsageError(f"{entry.name} has no published weights; give your own with: {_by_hand(entry)}")
    if cache.offline():
        raise UsageError(
            f"{cache.OFFLINE_VARIABLE} forbids the network, and {entry.name} is not on this machine; unset "
            f"it, or bring the file from {entry.page} and run: {_by_hand(entry)}"
        )
    with cache.locked(path):
        if not overwrite and (found := stored_checkpoint(entry)):  # another process was faster
            return found
        record = None if overwrite else cache.read_record(path.with_suffix(".json"))
        failures = []
        for i, address in enumerate(sources):
            try:
                return _fetch(address, entry, record or {}, progress)
            except SourceError as error:
                failures.append(f"{address}: {error}")
                if i + 1 < len(sources):
                    _log.warning("%s; trying %s", failures[-1], sources[i + 1])
    raise ModelError(
        f"cannot get {entry.name}: {'; '.join(failures)}. Try again later, or get the file from "
        f"{entry.page} with a browser and run: {_by_hand(entry)}"
    )


def _by_hand(entry: ZooEntry) -> str:
    return f"hprnet-rt models import {entry.name} PATH"


def _fetch(url: str, entry: ZooEntry, record: dict[str, Any], progress: Progress | None) -> Checkpoint:
    """Fetch the file from one address, check it, record it, and move it to its name."""
    path = cache.checkpoint_path(entry.name)
    # One name per address: a part from one is not continued with bytes from another.
    whole = path.with_name(f"{path.name}.{hashlib.sha256(url.encode()).hexdigest()[:8]}")
    try:
        whole.unlink(missing_ok=True)
        fetch_url(url, whole, progress)
        sha256 = sha256_of(whole)
        known = entry.sha256 or record.get("sha256")
        flaw = (None if sha256 == known else checkpoint_flaw(whole)) or _mismatch(sha256, entry, record)
        if flaw:
            whole.unlink()
            raise SourceError(f"what it sent is not kept: {flaw}")
        fetched = Checkpoint(path, sha256, url, whole.stat().st_size, fresh=True)
        _record(fetched)  # before the file: a file that differs from its record is fetched again
        shutil.copymode(path.with_suffix(".json"), whole)  # gdown's files are for their owner only
        whole.replace(path)
        for part in path.parent.glob(f"{path.name}.*"):
            part.unlink(missing_ok=True)
    except OSError as error:
        raise cache.refusal(error) from error
    return fetched


def _mismatch(sha256: str, entry: ZooEntry, record: dict[str, Any]) -> str | None:
    """Return why a checkpoint with a hash is not the expected one, None when it is."""
    if entry.sha256 and sha256 != entry.sha256:
        return (
            f"its SHA-256 is {sha256}, but the published file's is {entry.sha256} "
            f"(your own weights? download them and run: {_by_hand(entry)})"
        )
    recorded = record.get("sha256")
    if recorded and sha256 != recorded:
        return (
            f"its SHA-256 is {sha256}, but {recorded} was recorded on {record.get('date', 'an earlier day')} "
            f"(to accept the new file: hprnet-rt models pull {entry.name} --overwrite)"
        )
    return None


def _record(found: Checkpoint) -> None:
    now = datetime.datetime.now(datetime.UTC)
    cache.write_record(
        found.path.with_suffix(".json"),
        {
            "sha256": found.sha256,
            "url": found.url,
            "date": now.isoformat(timespec="seconds"),
            "size": found.size,
        },
    )
