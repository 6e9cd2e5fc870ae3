"""Every format for the suites that all must pass: those of the package, and a made-up one of the tests."""

import gzip
import zlib

import pytest

from hprnet_rt.errors import DataError, UsageError
from hprnet_rt.formats import FORMATS, Recording
from hprnet_rt.formats.format import Format
from hprnet_rt.formats.jsonl import frame_line, header_line, parse_frame, parse_header
from hprnet_rt.formats.recording import NONSENSE, in_short


def _write(path, header, frames):
    with gzip.open(path, "wt", encoding="utf-8", compresslevel=1) as file:
        file.write(header_line(header))
        file.writelines(frame_line(frame.number, frame.pts_s, frame.poses) for frame in frames)


def _read(path):
    lines = _lines(path)
    return Recording(next(lines), lines)


def _lines(path):
    """The header, then the frames."""
    try:
        with gzip.open(path, "rb") as file:
            yield parse_header(file.readline())
            yield from map(parse_frame, file)
    except (OSError, zlib.error, *NONSENSE) as error:
        raise DataError(f"{path} is not a made-up file, or is damaged: {in_short(error)}") from error


def _require_gzip():
    try:
        import gzip  # noqa: F401
    except ImportError as error:
        raise UsageError(f"made-up needs gzip ({error})") from error


MADE_UP = Format(
    name="made-up",
    suffix=".made.up",
    other_suffixes=(".up",),
    summary="a format that only the tests know",
    read=_read,
    write=_write,
    require_packages=_require_gzip,
)
"""Registered in `FORMATS` for every test of this folder, see `conftest.py`."""

ALL = {**FORMATS, MADE_UP.name: MADE_UP}
"""By name."""

READABLE = [name for name, form in ALL.items() if form.read is not None]
WHOLE = [name for name in READABLE if not ALL[name].loses]
"""Formats that lose nothing."""


def usable(name):
    """The format of this name; the test is skipped where a package for it is missing."""
    try:
        ALL[name].require_packages()
    except UsageError as error:
        pytest.skip(str(error))
    return ALL[name]
