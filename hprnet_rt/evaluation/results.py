"""Files of results in COCO-WholeBody's format, for `read_results` and other evaluators."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

from hprnet_rt.files import PartialFile, output_errors

__all__ = ["dump_results", "write_results"]


def dump_results(out: TextIO, results: Iterable[Mapping[str, Any]]) -> int:
    """Write detections to an open file as `write_results` does, and return their number.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    count = 0
    out.write("[")
    for result in results:
        out.write(",\n" if count else "\n")
        out.write(json.dumps(result, allow_nan=False, separators=(",", ":")))
        count += 1
    out.write("\n]\n")
    return count


def write_results(path: str | Path, results: Iterable[Mapping[str, Any]]) -> int:
    """Write detections as a JSON list, one per line. The file appears when it is complete.

    Args:
        path: of the file, in an existing folder; an existing file is replaced.
        results: of any number of images, read one by one.

    Returns:
        the number of detections.

    Raises:
        OutputError: the file cannot be written.
        ValueError: a number is NaN or infinite.
    """
    file = PartialFile(Path(path))
    file.create()
    try:
        with output_errors(file.path), file.partial.open("w", encoding="utf-8") as out:
            count = dump_results(out, results)
    except BaseException:
        file.partial.unlink(missing_ok=True)
        raise
    file.commit()
    return count
