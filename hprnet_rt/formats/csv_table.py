"""CSV: the rows of `formats.table` as text. It has no place for the header."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from hprnet_rt.errors import DataError
from hprnet_rt.formats.recording import NONSENSE, KeypointsFrame, Recording, in_short
from hprnet_rt.formats.table import KEY_COLUMNS, VALUE_COLUMNS, Row, from_rows, to_rows

__all__ = ["read_csv", "write_csv"]

_COLUMNS: Final = [*KEY_COLUMNS, *VALUE_COLUMNS]
_DECIMALS: Final = np.array([4 if name.endswith("score") else 2 for name in VALUE_COLUMNS])


def _cells(row: Row) -> list[Any]:
    """Positions to 0.01 px, scores to 0.0001, None for what is unknown."""
    scale = 10.0**_DECIMALS
    values = (np.rint(row.values.astype(np.float64) * scale) / scale).tolist()
    cells = [None if math.isnan(value) else value for value in values]
    pts_s = None if row.pts_s is None else round(row.pts_s, 6)
    return [row.frame, pts_s, row.person, row.track_id, *cells]


def write_csv(path: Path, _header: dict[str, Any], frames: Iterable[KeypointsFrame]) -> None:
    """Write a table; the header is lost."""
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(_COLUMNS)
        lines.writerows(_cells(row) for row in to_rows(frames))


def read_csv(path: Path) -> Recording:
    """Open a table that `write_csv` has written.

    Raises:
        DataError: it is none.
    """
    frames = _frames(path)
    next(frames)
    return Recording({}, frames)


def _frames(path: Path) -> Iterator[Any]:
    """None once the columns are known to be right, then the frames."""
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.reader(file)
        try:
            if next(lines, None) != _COLUMNS:
                raise DataError(f"{path} is not a table of keypoints: its columns are others")
            yield None
            yield from from_rows(map(_row, lines))
        except (*NONSENSE, csv.Error) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(
                f"{path}, line {lines.line_num}: not a row of keypoints ({in_short(error)})"
            ) from error


def _row(cells: Sequence[str]) -> Row:
    if len(cells) != len(_COLUMNS):
        raise ValueError(f"it has {len(cells)} cells, not {len(_COLUMNS)}")
    frame, pts_s, person, track_id = cells[: len(KEY_COLUMNS)]
    values = [float(cell) if cell else math.nan for cell in cells[len(KEY_COLUMNS) :]]
    return Row(
        int(frame),
        float(pts_s) if pts_s else None,
        int(person) if person else None,
        int(track_id) if track_id else None,
        np.array(values, np.float32),
    )
