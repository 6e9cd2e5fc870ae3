"""A sequence of poses that is kept in a file, so that it may be as long as a film."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from types import TracebackType
from typing import Self, overload

import numpy as np

from hprnet_rt.errors import OutputError
from hprnet_rt.types import Poses

__all__ = ["PoseSpool"]

TimedPoses = tuple[float, Poses]
_FIELDS = ("xy", "score", "box_xyxy", "face_xyxy", "person_score", "track_id")


class PoseSpool(Sequence[TimedPoses]):
    """(seconds, everyone) of each frame, kept in a temporary file; some bytes a frame stay in memory.

    Raises:
        OutputError: no temporary file can be made.
    """

    def __init__(self) -> None:
        self._starts: list[int] = []
        try:
            self._file = tempfile.TemporaryFile(prefix="hprnet-rt-")  # noqa: SIM115 - closed by `close`
        except OSError as error:
            raise OutputError(f"cannot make a temporary file: {error.strerror}") from error

    def append(self, item: TimedPoses) -> None:
        """Add a frame.

        Raises:
            OutputError: the disk of temporary files is full.
        """
        time_s, poses = item
        try:
            start = self._file.seek(0, 2)
            np.save(self._file, np.array([time_s]))
            for name in _FIELDS:
                np.save(self._file, getattr(poses, name))
        except OSError as error:
            folder = tempfile.gettempdir()
            raise OutputError(f"cannot keep poses in {folder}: {error.strerror}; make room there") from error
        self._starts.append(start)

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, index: int) -> TimedPoses: ...

    @overload
    def __getitem__(self, index: slice) -> list[TimedPoses]: ...

    def __getitem__(self, index: int | slice) -> TimedPoses | list[TimedPoses]:
        if isinstance(index, slice):
            return [self[n] for n in range(*index.indices(len(self)))]
        self._file.seek(self._starts[index])
        time_s = float(np.load(self._file)[0])
        return time_s, Poses(**{name: np.load(self._file) for name in _FIELDS})

    def close(self) -> None:
        """Delete the file; further calls do nothing."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
