"""By what a file is known again without reading all of it."""

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
    """A hash of how a file begins and ends, 64 KiB each.

    Of numbered images the names and sizes of all, and the ends of the first and the last.

    Args:
        source: a file, numbered images, or an address.
        size_bytes: where a file ends: what has been appended since does not count.

    Returns:
        hexadecimal digits; None of an address, and of what cannot be read.
    """
    if isinstance(source, str) or size_bytes is None:
        return None
    found = hashlib.sha256()
    try:
        if is_sequence(source):
            files = [file for _, file in sequence_files(source)]
            for file in files:
                found.update(os.fsencode(f"{file.name} {file.stat().st_size}\n"))
            for file in (files[0], files[-1]):
                found.update(_ends(file, file.stat().st_size))
        elif source.is_file():
            found.update(_ends(source, size_bytes))
        else:
            return None
    except (OSError, IndexError):
        return None
    return found.hexdigest()[:_DIGITS]


def _ends(path: Path, size_bytes: int) -> bytes:
    with path.open("rb") as file:
        begin = file.read(min(size_bytes, _END_BYTES))
        file.seek(max(len(begin), size_bytes - _END_BYTES))
        return begin + file.read(size_bytes - file.tell())
