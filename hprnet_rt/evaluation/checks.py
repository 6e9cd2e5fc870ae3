"""Conversion of JSON to arrays. Every fault raises an error that says in a sentence where it is."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import DataError
from hprnet_rt.evaluation.parts import FIELDS
from hprnet_rt.skeleton import NUM_KEYPOINTS

__all__ = ["Item", "ItemName", "boxes", "flags", "load", "numbers", "objects", "points", "whole_numbers"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Item = Mapping[str, Any]
ItemName = Callable[[int], str]
"""Names the n-th item in error messages, such as "val.json: annotation 17"."""

_NOT_NUMBERS = (TypeError, ValueError, OverflowError)  # numpy's errors for anything but numbers


def load(source: Any, otherwise: str) -> tuple[str, Any]:
    """Load a JSON file.

    Args:
        source: path of a file (.gz is unpacked), or the content itself.
        otherwise: name for a content that is given directly.

    Returns:
        name and content. In the content of a file the lists of people's points are arrays.

    Raises:
        DataError: the file is missing, unreadable, or not JSON.
    """
    if not isinstance(source, (str, Path)):
        return otherwise, source
    path = Path(source)
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path} is damaged or not compressed: {error}") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not JSON: it is not even text") from error
    try:
        return path.name, json.loads(text, object_hook=_with_arrays)
    except json.JSONDecodeError as error:
        if not text.strip():
            raise DataError(f"{path} is empty") from error
        if text.rstrip()[-1] not in "]}":
            raise DataError(f"{path} breaks off in the middle; write or copy it again") from error
        raise DataError(
            f"{path} is not JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        ) from error
    except RecursionError as error:
        raise DataError(f"{path} is nested too deeply for annotations or results") from error


def _with_arrays(item: dict[str, Any]) -> dict[str, Any]:
    """Convert a person's long lists to arrays while the file is still being read: this saves most memory."""
    if "image_id" in item:
        item.pop("segmentation", None)
        for field in FIELDS:
            if isinstance(item.get(field), list):
                try:
                    item[field] = np.array(item[field], np.float64)
                except _NOT_NUMBERS:
                    return item  # reported later, with the person's id
    return item


def objects(items: Sequence[Any], what: str) -> list[Item]:
    """Return the items as a list, and check that all of them are JSON objects.

    Args:
        items: of a JSON list.
        what: name of an item in error messages.

    Raises:
        DataError: an item is not an object.
    """
    for n, item in enumerate(items):
        if not isinstance(item, Mapping):
            raise DataError(f"{what} is a JSON object, got {type(item).__name__} at place {n + 1}")
    return list(items)


def whole_numbers(items: Sequence[Item], key: str, what: str) -> IntArray:
    """Return the whole number (N,) that each item has under a key; `what` names it in error messages.

    Raises:
        DataError: a number is missing or not whole.
    """
    values = [item.get(key) for item in items]
    for n, value in enumerate(values):
        number = math.nan if isinstance(value, bool) or not isinstance(value, (int, float)) else value
        if number != number // 1 or abs(number) >= 2**53:
            got = "none" if value is None else repr(value)
            raise DataError(f"{what} is a whole number, got {got} at place {n + 1}")
    return np.array(values, np.int64)


def numbers(items: Sequence[Item], key: str, item_name: ItemName, default: float | None = None) -> FloatArray:
    """Return the finite number (N,) that each item has under a key, or the default where it is missing.

    Raises:
        DataError: a value is not a finite number, or is missing and there is no default.
    """
    values = [item.get(key) for item in items]
    return _rows([default if value is None else value for value in values], None, key, item_name)


def boxes(items: Sequence[Item], key: str, item_name: ItemName) -> tuple[FloatArray, BoolArray]:
    """Return the box of each item, and whether it has one.

    Returns:
        (N, 4) x, y, width, height, NaN where the box is missing or an empty list; (N,) bool.

    Raises:
        DataError: a value is not a box.
    """
    values = [item.get(key) for item in items]
    has = np.array(
        [not (value is None or (isinstance(value, list) and not value)) for value in values], np.bool_
    )
    boxes = _rows(
        [value if h else [0.0] * 4 for value, h in zip(values, has, strict=True)], 4, key, item_name
    )
    boxes[~has] = np.nan
    return boxes, has


def flags(items: Sequence[Item], key: str, item_name: ItemName) -> BoolArray:
    """Return the flag (N,) that each item has under a key; False where it is missing.

    Raises:
        DataError: a value is neither true nor false.
    """
    values = [item.get(key) for item in items]
    for n, value in enumerate(values):
        if value not in (None, True, False):  # 0 and 1 are equal to these
            raise DataError(f"{item_name(n)} has {value!r} in {key}; it must hold true or false")
    return np.array([bool(value) for value in values], np.bool_)


def points(
    items: Sequence[Item], item_name: ItemName, may_lack: BoolArray | None = None
) -> tuple[FloatArray, FloatArray, frozenset[str]]:
    """Return everyone's points.

    Args:
        items: N people.
        item_name: names one of them.
        may_lack: (N,) people whose missing fields count as unlabelled; None for nobody.

    Returns:
        xy (N, 133, 2), v (N, 133), and the names of the fields that the people have.

    Raises:
        DataError: a field does not hold points, or only some people have it.
    """
    xy = np.zeros((len(items), NUM_KEYPOINTS, 2))
    v = np.zeros((len(items), NUM_KEYPOINTS))
    excused = np.zeros(len(items), np.bool_) if may_lack is None else may_lack
    fields = set()
    for field, where in FIELDS.items():
        values = [item.get(field) for item in items]
        lacks = np.array([value is None for value in values], np.bool_)
        if lacks.all() and len(items):
            continue
        if (lacks & ~excused).any():
            n = int(np.argmax(lacks & ~excused))
            raise DataError(f"{item_name(n)} has no {field}, though others have; give it to all or to none")
        fields.add(field)
        width = 3 * (where.stop - where.start)
        rows = _rows([[0.0] * width if value is None else value for value in values], width, field, item_name)
        triples = rows.reshape(len(items), where.stop - where.start, 3)
        xy[:, where], v[:, where] = triples[..., :2], triples[..., 2]
    return xy, v, frozenset(fields)


def _rows(values: Sequence[Any], width: int | None, field: str, item_name: ItemName) -> FloatArray:
    """Convert one value per item to finite numbers (N, width), or (N,) if width is None.

    Raises:
        DataError: a value does not hold these numbers.
    """
    shape = () if width is None else (width,)
    try:
        rows = np.array(values, np.float64).reshape(len(values), *shape)
    except _NOT_NUMBERS:
        rows = None
    if rows is not None and np.isfinite(rows).all():
        return rows
    for n, value in enumerate(values):
        if value is None:
            raise DataError(f"{item_name(n)} has no {field}")
        try:
            row = np.array(value, np.float64)
        except _NOT_NUMBERS as error:
            raise DataError(f"{item_name(n)} has something in {field} that is not a number") from error
        if row.shape != shape:
            points = f", that is {width // 3} points of x, y, v" if width and width % 3 == 0 else ""
            got = "a single number" if row.ndim == 0 else f"{row.size}"
            raise DataError(
                f"{item_name(n)} has {got} in {field}; it must hold {width or 'one number'}{points}"
            )
        if not np.isfinite(row).all():
            raise DataError(f"{item_name(n)} has a number in {field} that is infinite, or none (NaN)")
    raise DataError(f"{field} does not hold numbers")  # unreachable: one of the rows is at fault
