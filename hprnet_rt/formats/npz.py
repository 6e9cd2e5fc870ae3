"""NPZ: NumPy's archive of arrays, which hold everyone in all frames one after the other.

- `header`: the header, as JSON; `keypoint_names`: (133,).
- of F frames: `frame` (F,) int64, `pts_s` (F,) float64 (NaN where unknown), `people` (F,) int64, a count.
- of M people, frame by frame: `person_frame` (M,) int64, `xy` (M, 133, 2) float32 px (NaN where absent),
  `score` (M, 133), `box_xyxy` and `face_xyxy` (M, 4), `person_score` (M,), `track_id` (M,) int64 (-1 while
  unknown).
"""

from __future__ import annotations

import io
import json
import math
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from hprnet_rt import skeleton
from hprnet_rt.errors import DataError
from hprnet_rt.formats.format import Format
from hprnet_rt.formats.recording import NONSENSE, KeypointsFrame, Recording, in_short
from hprnet_rt.types import Poses

__all__ = ["NPZ", "read_npz", "write_npz"]

_POINTS: Final = skeleton.NUM_KEYPOINTS
_OF_FRAMES: Final[dict[str, tuple[str, tuple[int, ...]]]] = {
    "frame": ("<i8", ()),
    "pts_s": ("<f8", ()),
    "people": ("<i8", ()),
}
_OF_POSES: Final[dict[str, tuple[str, tuple[int, ...]]]] = {
    "xy": ("<f4", (_POINTS, 2)),
    "score": ("<f4", (_POINTS,)),
    "box_xyxy": ("<f4", (4,)),
    "face_xyxy": ("<f4", (4,)),
    "person_score": ("<f4", ()),
    "track_id": ("<i8", ()),
}
_OF_PEOPLE: Final[dict[str, tuple[str, tuple[int, ...]]]] = {"person_frame": ("<i8", ()), **_OF_POSES}
_ARRAYS: Final = {**_OF_FRAMES, **_OF_PEOPLE}


def write_npz(path: Path, header: dict[str, Any], frames: Iterable[KeypointsFrame]) -> None:
    """Write the arrays, which wait in temporary files beside `path` until their lengths are known."""
    with ExitStack() as stack:
        columns = {
            name: stack.enter_context(tempfile.TemporaryFile(prefix="hprnet-rt-", dir=path.parent))
            for name in _ARRAYS
        }
        count = people = 0
        for frame in frames:
            count += 1
            people += len(frame.poses)
            for name, value in _values(frame).items():
                columns[name].write(np.ascontiguousarray(value, _ARRAYS[name][0]).tobytes())
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, text in (
                ("header", json.dumps(header, allow_nan=False)),
                ("keypoint_names", skeleton.KEYPOINT_NAMES),
            ):
                with archive.open(f"{name}.npy", "w") as member:
                    np.lib.format.write_array(member, np.array(text), allow_pickle=False)
            for name, (kind, shape) in _ARRAYS.items():
                length = count if name in _OF_FRAMES else people
                fields = {"descr": kind, "fortran_order": False, "shape": (length, *shape)}
                columns[name].seek(0)
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array_header_1_0(member, fields)
                    shutil.copyfileobj(columns[name], member)


def _values(frame: KeypointsFrame) -> dict[str, Any]:
    poses = frame.poses
    return {
        "frame": frame.number,
        "pts_s": math.nan if frame.pts_s is None else round(frame.pts_s, 6),
        "people": len(poses),
        "person_frame": np.full(len(poses), frame.number),
        **{name: getattr(poses, name) for name in _OF_POSES},
    }


def read_npz(path: Path) -> Recording:
    """Open an archive that `write_npz` has written.

    Raises:
        DataError: the file is not such an archive.
    """
    frames = _frames(path)
    return Recording(next(frames), frames)


def _frames(path: Path) -> Iterator[Any]:
    """Yield the header, then the frames, which are read as they are asked for."""
    try:
        with zipfile.ZipFile(path) as archive, ExitStack() as stack:
            text = io.BytesIO(archive.read("header.npy"))
            yield json.loads(str(np.lib.format.read_array(text, allow_pickle=False)))
            columns = {name: stack.enter_context(archive.open(f"{name}.npy")) for name in _ARRAYS}
            lengths = {name: _length(column, name) for name, column in columns.items()}
            for _ in range(lengths["frame"]):
                number, pts_s, people = (_take(columns[name], name, 1)[0] for name in _OF_FRAMES)
                _take(columns["person_frame"], "person_frame", int(people))
                poses = Poses(**{name: _take(columns[name], name, int(people)) for name in _OF_POSES})
                yield KeypointsFrame(int(number), None if math.isnan(pts_s) else float(pts_s), poses)
            for name, column in columns.items():
                if column.read(1):  # at its end zipfile compares the checksum
                    raise ValueError(f"the array {name} goes on behind the last frame")
    except (zipfile.BadZipFile, zlib.error, *NONSENSE) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is not an archive of keypoints, or is damaged: {in_short(error)}") from error


def _length(member: IO[bytes], name: str) -> int:
    """Read an array's header and return the array's length.

    Raises:
        ValueError: the array has another type or shape than `write_npz` gives it.
    """
    np.lib.format.read_magic(member)
    shape, fortran, kind = np.lib.format.read_array_header_1_0(member)
    expected_kind, row_shape = _ARRAYS[name]
    if fortran or kind.str != expected_kind or shape[1:] != row_shape:
        raise ValueError(f"the array {name} is {kind.str} {shape}")
    return int(shape[0])


def _take(member: IO[bytes], name: str, count: int) -> Any:
    """Read the next `count` rows of an array.

    Raises:
        EOFError: there are fewer.
    """
    kind, shape = _ARRAYS[name]
    size = count * math.prod(shape) * np.dtype(kind).itemsize
    data = member.read(size)
    if len(data) != size:
        raise EOFError(f"the array {name} ends early")
    return np.frombuffer(data, kind).reshape(count, *shape)


NPZ: Final = Format(name="npz", suffix=".npz", summary="NumPy arrays", read=read_npz, write=write_npz)
