"""TRC, which programs of biomechanics read (OpenSim, Pose2Sim): a folder with a file for each person.

`<video>_person<id>.trc`, the id of 2 digits or more, has a row for each frame from the person's first to the
last, and X, Y, Z of 133 markers. TRC knows lengths in space only: a pixel is written as a millimetre, Y
points up from the upper edge of the picture (so that it is negative inside), Z is 0, and an absent point is
NaN. There is no place for scores, boxes and the header; it cannot be read back.
"""

from __future__ import annotations

import math
import shutil
from array import array
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hprnet_rt import skeleton
from hprnet_rt.errors import UsageError
from hprnet_rt.formats.format import Format
from hprnet_rt.formats.recording import KeypointsFrame, rate_of, source_stem

__all__ = ["TRC", "write_trc"]

_KEYS: Final = (
    "DataRate",
    "CameraRate",
    "NumFrames",
    "NumMarkers",
    "Units",
    "OrigDataRate",
    "OrigDataStartFrame",
    "OrigNumFrames",
)
_ABSENT: Final = ("NaN", "NaN", "NaN")  # as OpenSim writes it; programs that split at spaces lose empty cells
_NOBODY: Final = _ABSENT * skeleton.NUM_KEYPOINTS


def write_trc(path: Path, header: Mapping[str, Any], frames: Iterable[KeypointsFrame]) -> None:
    """Write a folder; scores, boxes and the header are lost.

    Raises:
        UsageError: a person has no id, or a frame has no time.
    """
    path.mkdir()
    stem = source_stem(header)
    numbers, times = array("q"), array("d")
    seen: dict[int, tuple[int, int]] = {}  # first and last row of each person, as places in `numbers`
    for place, frame in enumerate(frames):
        if frame.pts_s is None:
            raise UsageError(
                f"frame {frame.number} has no time, which TRC needs: it takes videos, from jsonl, parquet, "
                "npz or csv"
            )
        numbers.append(frame.number)
        times.append(frame.pts_s)
        for xy, track_id in zip(frame.poses.xy, frame.poses.track_id.tolist(), strict=True):
            if track_id < 0:
                raise UsageError(
                    f"frame {frame.number} has a person without an id, and TRC follows one person through a "
                    "video: annotate it with tracking"
                )
            first, last = seen.get(track_id, (place, place - 1))
            with _rows_of(path, track_id).open("a", encoding="utf-8") as rows:
                for missed in range(last + 1, place):
                    rows.write(_row(numbers[missed], times[missed], _NOBODY))
                rows.write(_row(frame.number, frame.pts_s, _cells(xy)))
            seen[track_id] = first, place
    length_s = times[-1] - times[0] if times else 0.0
    rate = (len(times) - 1) / length_s if length_s > 0 else rate_of(header) or 1.0
    for track_id, (first, last) in seen.items():
        name = f"{stem}_person{track_id:02d}.trc"
        rows_path = _rows_of(path, track_id)
        with (path / name).open("w", encoding="utf-8") as file, rows_path.open(encoding="utf-8") as rows:
            file.write(_head(name, f"{rate:.6g}", numbers[first], last + 1 - first))
            shutil.copyfileobj(rows, file)
        rows_path.unlink()


def _rows_of(path: Path, track_id: int) -> Path:
    """Return the file that collects the rows of a person until their number is known."""
    return path / f"{track_id}.rows"


def _head(name: str, rate: str, first: int, count: int) -> str:
    values = (rate, rate, count, skeleton.NUM_KEYPOINTS, "mm", rate, first, count)
    places = range(1, skeleton.NUM_KEYPOINTS + 1)
    lines = (
        ("PathFileType", "4", "(X/Y/Z)", name),
        _KEYS,
        values,
        ("Frame#", "Time", *(cell for marker in skeleton.KEYPOINT_NAMES for cell in (marker, "", ""))),
        ("", "", *(f"{axis}{place}" for place in places for axis in "XYZ")),
        (),
    )
    return "".join("\t".join(map(str, line)) + "\n" for line in lines)


def _row(number: int, time_s: float, cells: Iterable[str]) -> str:
    return "\t".join((str(number), f"{time_s:.6f}", *cells)) + "\n"


def _cells(xy: npt.NDArray[np.float32]) -> list[str]:
    """Return X, Y, Z of the points (133, 2) of a person, to 0.01 px."""
    cells: list[str] = []
    for x, y in xy.tolist():
        cells += _ABSENT if math.isnan(x) else (f"{x:.2f}", f"{-y:.2f}", "0")
    return cells


TRC: Final = Format(
    name="trc",
    suffix=".trc",
    is_folder=True,
    summary="a folder with a file for each person, for OpenSim; pixels as mm, without scores; write only",
    read=None,
    write=write_trc,
    loses=frozenset({"header", "person scores", "boxes", "point scores"}),
    needs_ids=True,
    needs_times=True,
)
