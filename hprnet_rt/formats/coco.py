"""COCO-WholeBody results, which evaluators read: a list of people, each with the number of its frame.

The image's id is the frame's number, and a person who has an id over time gives it as `track_id`. There is no
place for the header, for times, and for frames without anyone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from hprnet_rt.errors import DataError
from hprnet_rt.evaluation.results import dump_results
from hprnet_rt.formats.format import Format
from hprnet_rt.formats.recording import NONSENSE, KeypointsFrame, Recording, in_short
from hprnet_rt.types.coco import from_results, to_results_with_ids

__all__ = ["COCO", "read_coco", "write_coco"]


def write_coco(path: Path, _header: dict[str, Any], frames: Iterable[KeypointsFrame]) -> None:
    """Write one person a line; the header, times and frames without anyone are lost."""
    with path.open("w", encoding="utf-8") as file:
        dump_results(file, _results(frames))


def _results(frames: Iterable[KeypointsFrame]) -> Iterator[dict[str, Any]]:
    for frame in frames:
        yield from to_results_with_ids(frame.number, frame.poses)


def read_coco(path: Path) -> Recording:
    """Read results; the whole file is held in memory. Parts that it does not have are absent.

    Raises:
        DataError: the file does not hold results.
    """
    try:
        people = json.loads(path.read_bytes())
        people.sort(key=itemgetter("image_id"))
        groups = groupby(people, key=itemgetter("image_id"))
        frames = [KeypointsFrame(int(number), None, from_results(list(group))) for number, group in groups]
    except NONSENSE as error:
        raise DataError(f"{path} is not a file of COCO-WholeBody results: {in_short(error)}") from error
    return Recording({}, iter(frames))


COCO: Final = Format(
    name="coco",
    suffix=".coco.json",
    other_suffixes=(".json",),
    summary="results of COCO-WholeBody, without header and times",
    read=read_coco,
    write=write_coco,
    loses=frozenset({"header", "times", "empty frames"}),
)
