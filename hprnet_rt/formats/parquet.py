"""Parquet by pyarrow: the rows of `formats.table`, in a column for each number or with all points in one.

Nothing here works without pyarrow: `Format.require_packages` is called first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from hprnet_rt import skeleton
from hprnet_rt.errors import DataError, UsageError
from hprnet_rt.formats.format import Format
from hprnet_rt.formats.recording import NONSENSE, KeypointsFrame, Recording, in_short
from hprnet_rt.formats.table import Row, from_rows, to_rows
from hprnet_rt.types.values import KEY_COLUMNS, VALUE_COLUMNS

__all__ = ["COMPACT_PARQUET", "PARQUET", "read_parquet", "write_compact_parquet", "write_parquet"]

_HEADER: Final = b"hprnet_rt"
_ROWS: Final = 4096  # written at once: 7 MB in memory
_READ_ROWS: Final = 256
_KEYPOINTS: Final = "keypoints"
_FIELDS: Final = {
    "score": slice(0, 1),
    "box_xyxy": slice(1, 5),
    "face_xyxy": slice(5, 9),
    _KEYPOINTS: slice(9, 9 + 3 * skeleton.NUM_KEYPOINTS),
}
"""The columns of the compact form, and the part of `VALUE_COLUMNS` that each holds."""


def _require_pyarrow() -> None:
    """Check that Parquet can be read and written.

    Raises:
        UsageError: pyarrow is missing.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"Parquet needs pyarrow ({error}); install it: pip install 'hprnet-rt[parquet]'"
        ) from error


def _key_fields() -> list[Any]:
    import pyarrow as pa

    types = (pa.int64(), pa.float64(), pa.int32(), pa.int64())
    return [pa.field(*pair) for pair in zip(KEY_COLUMNS, types, strict=True)]


def _schema(compact: bool) -> Any:
    import pyarrow as pa

    if not compact:
        return pa.schema([*_key_fields(), *(pa.field(name, pa.float32()) for name in VALUE_COLUMNS)])
    values = []
    for name, part in _FIELDS.items():
        width = part.stop - part.start
        values.append(pa.field(name, pa.float32() if width == 1 else pa.list_(pa.float32(), width)))
    return pa.schema([*_key_fields(), *values])


def write_parquet(path: Path, header: dict[str, Any], frames: Iterable[KeypointsFrame]) -> None:
    """Write a column for each number; an absent one is null."""
    _write(path, header, frames, compact=False)


def write_compact_parquet(path: Path, header: dict[str, Any], frames: Iterable[KeypointsFrame]) -> None:
    """Write all points of a person to the column `keypoints`: x, y, score of each, NaN where absent."""
    _write(path, header, frames, compact=True)


def _write(path: Path, header: dict[str, Any], frames: Iterable[KeypointsFrame], *, compact: bool) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(compact).with_metadata({_HEADER: json.dumps(header, allow_nan=False).encode()})
    rows = to_rows(frames)
    settings = {"compression": "zstd", "write_page_checksum": True}
    with path.open("wb") as file, pq.ParquetWriter(file, schema, **settings) as writer:
        while batch := list(islice(rows, _ROWS)):
            keys = zip(*((row.frame, row.pts_s, row.person, row.track_id) for row in batch), strict=True)
            columns = [
                pa.array(column, field.type) for column, field in zip(keys, _key_fields(), strict=True)
            ]
            values = np.stack([row.values for row in batch])
            columns += _compact_columns(batch, values) if compact else _plain_columns(values)
            writer.write_batch(pa.record_batch(columns, schema=schema), row_group_size=_ROWS)


def _plain_columns(values: Any) -> list[Any]:
    import pyarrow as pa

    return [pa.array(column, pa.float32(), from_pandas=True) for column in np.ascontiguousarray(values.T)]


def _compact_columns(batch: list[Row], values: Any) -> list[Any]:
    import pyarrow as pa

    columns = []
    nobody = np.array([row.person is None for row in batch])
    for name, part in _FIELDS.items():
        flat = np.ascontiguousarray(values[:, part]).reshape(-1)
        width = part.stop - part.start
        if width == 1:
            columns.append(pa.array(flat, pa.float32(), from_pandas=True))
            continue
        unknown = nobody if name == _KEYPOINTS else np.isnan(values[:, part.start])
        listed = pa.FixedSizeListArray.from_arrays(pa.array(flat), width, mask=pa.array(unknown))
        columns.append(listed)
    return columns


def read_parquet(path: Path) -> Recording:
    """Open a table of either form.

    Raises:
        DataError: the file is not Parquet, or has other columns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
    except (pa.ArrowException, *NONSENSE) as error:
        raise DataError(f"{path} is not a Parquet file, or is cut off: {in_short(error)}") from error
    schema = file.schema_arrow
    compact = _KEYPOINTS in schema.names
    if schema.names != _schema(compact).names:
        file.close()
        raise DataError(f"{path} is not a table of keypoints: it has other columns")
    text = (schema.metadata or {}).get(_HEADER, b"{}")  # lost when another program has rewritten the table
    try:
        header = json.loads(text)
    except NONSENSE as error:
        file.close()
        raise DataError(f"{path} has a header that makes no sense: {in_short(error)}") from error
    return Recording(header, _frames(path, file, compact))


def _frames(path: Path, file: Any, compact: bool) -> Iterator[KeypointsFrame]:
    import pyarrow as pa

    with file:
        try:
            yield from from_rows(_rows(file, compact))
        except (pa.ArrowException, OSError, *NONSENSE) as error:
            raise DataError(f"{path} is damaged: {in_short(error)}") from error


def _rows(file: Any, compact: bool) -> Iterator[Row]:
    for batch in file.iter_batches(_READ_ROWS):
        keys = [batch.column(name).to_pylist() for name in KEY_COLUMNS]
        values = _compact_values(batch) if compact else _plain_values(batch)
        for n, (frame, pts_s, person, track_id) in enumerate(zip(*keys, strict=True)):
            yield Row(frame, pts_s, person, track_id, values[n])


def _plain_values(batch: Any) -> Any:
    columns = (batch.column(name).to_numpy(zero_copy_only=False) for name in VALUE_COLUMNS)
    return np.stack([column.astype(np.float32) for column in columns], axis=1)


def _compact_values(batch: Any) -> Any:
    import pyarrow as pa

    parts = []
    for name, part in _FIELDS.items():
        column, width = batch.column(name), part.stop - part.start
        if width > 1:  # a null list holds nothing of use
            known = ~column.is_null().to_numpy(zero_copy_only=False)
            table = np.full((len(column), width), np.nan, np.float32)
            flat = column.filter(pa.array(known)).flatten().to_numpy(zero_copy_only=False)
            table[known] = flat.astype(np.float32).reshape(-1, width)
            parts.append(table)
        else:
            parts.append(column.to_numpy(zero_copy_only=False).astype(np.float32)[:, None])
    return np.concatenate(parts, axis=1)


PARQUET: Final = Format(
    name="parquet",
    suffix=".parquet",
    summary="a row for each person and frame, a column for each number",
    read=read_parquet,
    write=write_parquet,
    require_packages=_require_pyarrow,
)

COMPACT_PARQUET: Final = Format(
    name="parquet-compact",
    suffix=".compact.parquet",
    summary="all points of a person in one column",
    read=read_parquet,
    write=write_compact_parquet,
    require_packages=_require_pyarrow,
)
