"""CSV: the rows of `formats.table` as text. It has no place for the header."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from hprnet_rt.errors import DataError
from hprnet_rt.formats.format import Format
from hprnet_rt.formats.recording import NONSENSE, KeypointsFrame, Recording, in_short
from hprnet_rt.formats.table import Row, from_rows, to_rows
from hprnet_rt.types.values import KEY_COLUMNS, VALUE_COLUMNS

__all__ = ["CSV", "read_csv", "write_csv"]

_COLUMNS: Final = [*KEY_COLUMNS, *VALUE_COLUMNS]
_DECIMALS: Final = np.array([4 if name.endswith("score") else 2 for name in VALUE_COLUMNS])


def _cells(row: Row) -> list[Any]:
    """Round positions to 0.01 px and scores to 0.0001; unknown values are None."""
    scale = 10.0**_DECIMALS
    values = (np.rint(row.values.astype(np.float64) * scale) / scale).tolist()
    cells = [None if math.isnan(value) else value for value in values]
    pts_s = None if row.pts_s is None else round(row.pts_s, 6)
    return [row.frame, pts_s, row.person, row.track_id, *cells]


def write_csv(path: Path, _header: dict[str, Any], frames: Iterable[KeypointsFrame]) -> None:
    """Write a table; the header is lost."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows(_cells(row) for row in to_rows(frames))


def read_csv(path: Path) -> Recording:
    """Open a table that `write_csv` has written.

    Raises:
        DataError: the file is not such a table.
    """
    frames = _frames(path)
    next(frames)
    return Recording({}, frames)


def _frames(path: Path) -> Iterator[Any]:
    """Yield None once the columns are known to be right, then the frames."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        try:
            if next(reader, None) != _COLUMNS:
                raise DataError(f"{path} is not a table of keypoints: it has other columns")
            yield None
            yield from from_rows(map(_row, reader))
        except (*NONSENSE, csv.Error) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(
                f"{path}, line {reader.line_num}: not a row of keypoints ({in_short(error)})"
            ) from error


def _row(cells: Sequence[str]) -> Row:
    if len(cells) != len(_COLUMNS):
        raise ValueError(f"it has {len(cells)} cells, not {len(_COLUMNS)}")
    frame, pts_s, person, track_id = cells[: len(KEY_COLUMNS)]
    values = [float(cell) if cell else math.nan for cell in cells[len(KEY_COLUMNS) :]]
    return Row(
        frame=int(frame),
        pts_s=float(pts_s) if pts_s else None,
        person=int(person) if person else None,
        track_id=int(track_id) if track_id else None,
        values=np.array(values, np.float32),
    )


CSV: Final = Format(
    name="csv",
    suffix=".csv",
    summary="the rows and columns of parquet, without the header",
    read=read_csv,
    write=write_csv,
    loses=frozenset({"header"}),
)
