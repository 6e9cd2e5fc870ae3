"""COCO-WholeBody results, which evaluators read: a list of people, each with the number of its frame.

The image's id is the frame's number, and a person who has an id over time gives it as `track_id`. There is no
place for the header, for times, and for frames without anyone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import numpy as np

from hprnet_rt import skeleton
from hprnet_rt.errors import DataError
from hprnet_rt.evaluation.parts import FIELDS
from hprnet_rt.evaluation.results import ABSENT_PX, dump_results, to_results
from hprnet_rt.formats.format import Format
from hprnet_rt.formats.recording import NONSENSE, KeypointsFrame, Recording, in_short
from hprnet_rt.types import Poses

__all__ = ["COCO", "read_coco", "write_coco"]

_UNKNOWN_BOX: Final = (np.nan,) * 4


def write_coco(path: Path, _header: dict[str, Any], frames: Iterable[KeypointsFrame]) -> None:
    """Write one person a line; the header, times and frames without anyone are lost."""
    with path.open("w", encoding="utf-8") as file:
        dump_results(file, _results(frames))


def _results(frames: Iterable[KeypointsFrame]) -> Iterator[dict[str, Any]]:
    for frame in frames:
        people = to_results(frame.number, frame.poses)
        for person, track_id in zip(people, frame.poses.track_id.tolist(), strict=True):
            yield person if track_id < 0 else {**person, "track_id": track_id}


def read_coco(path: Path) -> Recording:
    """Read results; the whole file is held in memory. Parts that it does not have are absent.

    Raises:
        DataError: the file does not hold results.
    """
    try:
        people = json.loads(path.read_bytes())
        people.sort(key=itemgetter("image_id"))
        groups = groupby(people, key=itemgetter("image_id"))
        frames = [KeypointsFrame(int(number), None, _poses(list(group))) for number, group in groups]
    except NONSENSE as error:
        raise DataError(f"{path} is not a file of COCO-WholeBody results: {in_short(error)}") from error
    return Recording({}, iter(frames))


def _poses(people: Sequence[dict[str, Any]]) -> Poses:
    points = np.full((len(people), skeleton.NUM_KEYPOINTS, 3), np.nan)
    for n, person in enumerate(people):
        for field, part in FIELDS.items():
            if field in person:
                points[n, part] = np.reshape(person[field], (-1, 3))
    points[(points[..., 0] <= ABSENT_PX) | ~points.any(axis=2)] = np.nan
    faces = [person.get("face_box", _UNKNOWN_BOX) for person in people]
    return Poses(
        points[..., :2].astype(np.float32),
        np.where(np.isnan(points[..., 2]), 0.0, points[..., 2]).astype(np.float32),
        _xyxy([person["bbox"] for person in people]),
        _xyxy(faces),
        np.array([person["score"] for person in people], np.float32),
        np.array([person.get("track_id", -1) for person in people], np.int64),
    )


def _xyxy(boxes: Sequence[Sequence[float]]) -> Any:
    """Return the boxes (N, 4) of x, y, width, height as x1, y1, x2, y2."""
    xywh = np.array(boxes, np.float64)
    return np.concatenate((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), axis=1).astype(np.float32)


COCO: Final = Format(
    name="coco",
    suffix=".coco.json",
    other_suffixes=(".json",),
    summary="results of COCO-WholeBody, without header and times",
    read=read_coco,
    write=write_coco,
    loses=frozenset({"header", "times", "empty frames"}),
)
