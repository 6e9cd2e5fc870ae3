"""A check of whether a file is still the same, without reading all of it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

from hprnet_rt.video.media import is_sequence, sequence_files

__all__ = ["source_check"]

_END_BYTES: Final = 1 << 16
_DIGITS: Final = 16


def source_check(source: Path | str, size_bytes: int | None) -> str | None:
    """Return a hash of the first and the last 64 KiB of a file.

    For numbered images it covers the names and sizes of all, and the first and last 64 KiB of the first and
    the last image.

    Args:
        source: a file, numbered images, or an address.
        size_bytes: the length of a file; bytes that were appended since are not counted.

    Returns:
        hexadecimal digits; None for an address, and for a file that cannot be read.
    """
    if isinstance(source, str) or size_bytes is None:
        return None
    digest = hashlib.sha256()
    try:
        if is_sequence(source):
            files = [file for _, file in sequence_files(source)]
            for file in files:
                digest.update(os.fsencode(f"{file.name} {file.stat().st_size}\n"))
            for file in (files[0], files[-1]):
                digest.update(_ends(file, file.stat().st_size))
        elif source.is_file():
            digest.update(_ends(source, size_bytes))
        else:
            return None
    except (OSError, IndexError):
        return None
    return digest.hexdigest()[:_DIGITS]


def _ends(path: Path, size_bytes: int) -> bytes:
    with path.open("rb") as file:
        begin = file.read(min(size_bytes, _END_BYTES))
        file.seek(max(len(begin), size_bytes - _END_BYTES))
        return begin + file.read(size_bytes - file.tell())
