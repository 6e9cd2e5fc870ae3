"""A worker: a model, and the piece of a source that it processes. It does not depend on the cluster."""

from __future__ import annotations

import dataclasses
import functools
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

from hprnet_rt.cluster.requests import Chunk, FoundPoses, Greeting, ModelChoice, Piece, SourceFile
from hprnet_rt.errors import HprnetError, MediaError
from hprnet_rt.inference.model import ModelFacts, PoseModel, load
from hprnet_rt.inference.regions import Region
from hprnet_rt.inference.stages import finding_stages
from hprnet_rt.pipeline import Pipeline
from hprnet_rt.types import Frame, FramePoses
from hprnet_rt.version import __version__
from hprnet_rt.video import (
    DEFAULT_RATE,
    BorrowedFrames,
    FileSource,
    PartDiffers,
    VideoIndex,
    VideoSource,
    chosen_frames,
    open_source,
    read_index,
)
from hprnet_rt.video.identity import source_check
from hprnet_rt.video.media import size_bytes

__all__ = ["CHUNK_FRAMES", "Worker"]

CHUNK_FRAMES: Final = 512
"""The largest number of frames in an answer."""

T = TypeVar("T")


def _answered(method: Callable[..., T]) -> Callable[..., T | HprnetError]:
    """Let a method return errors for users instead of raising them.

    The cluster would wrap a raised error in a traceback of this machine.
    """

    @functools.wraps(method)
    def answer(*arguments: Any) -> T | HprnetError:
        try:
            return method(*arguments)
        except HprnetError as error:
            return error

    return answer


class Worker:
    """Finds everyone in pieces of sources, one piece after the other.

    Args:
        choice: the model, opened by `load`.
    """

    def __init__(self, choice: ModelChoice) -> None:
        os.environ.pop("OMP_NUM_THREADS", None)  # set by the cluster; --threads is the number of threads
        self._choice = choice
        self._model: PoseModel | None = None
        self._key: int | None = None
        self._source: FileSource | None = None
        self._found: Iterator[FoundPoses] = iter(())

    def greet(self) -> Greeting:
        """Return the worker's process, machine and version."""
        return Greeting(os.getpid(), socket.gethostname(), __version__)

    @_answered
    def load(self) -> ModelFacts:
        """Open the model, and return what its results depend on."""
        if self._model is None:
            self._model = load(
                **{f.name: getattr(self._choice, f.name) for f in dataclasses.fields(self._choice)}
            )
        return self._model.facts

    @_answered
    def index(self, file: SourceFile) -> VideoIndex | None:
        """Index a video; see `read_index`."""
        _require(file)
        return read_index(file.place)

    @_answered
    def look(self, key: int, piece: Piece, skip: int) -> Chunk:
        """Find everyone in the next frames of a piece.

        Args:
            key: identifies the piece; with the key of the call before, its next frames follow.
            piece: the frames.
            skip: with a new key, the number of frames at the start of the piece that are done already.
        """
        if key != self._key:
            self._stop()
            self._found = self._begin(piece, skip)
            self._key = key
        found: list[FoundPoses] = []
        try:
            for poses in islice(self._found, CHUNK_FRAMES):
                found.append(poses)  # noqa: PERF402 - kept if the next one raises
        except PartDiffers:
            return Chunk(found, differs=True)
        more = len(found) == CHUNK_FRAMES
        damage = None if more or piece.part is not None or self._source is None else self._source.damage
        return Chunk(found, more, damage=damage)

    def _begin(self, piece: Piece, skip: int) -> Iterator[FoundPoses]:
        _require(piece.file)
        source = self._source = open_source(
            piece.file.place, piece.file.rate or DEFAULT_RATE, piece.file.deinterlace
        )
        frames: Iterator[Frame]
        if piece.part is None:
            frames = chosen_frames(source, piece.selection, piece.done)
        else:
            if not isinstance(source, VideoSource):
                raise PartDiffers
            chosen = set(piece.chosen.tolist())
            frames = (frame for frame in source.part(piece.part) if frame.sequence in chosen)
        return self._estimate(islice(frames, skip, None), piece.regions)

    def _estimate(self, frames: Iterator[Frame], regions: Sequence[Region]) -> Iterator[FoundPoses]:
        assert self._model is not None  # `load` was called
        stages = finding_stages(self._model, self._model.batch, regions, keeps_pictures=False)
        with Pipeline[FramePoses](BorrowedFrames(frames), stages) as pipeline:
            for packet in pipeline:
                frame = packet.payload.frame
                yield FoundPoses(frame.sequence, frame.pts, packet.payload.poses)

    def _stop(self) -> None:
        """Stop working on the current piece."""
        self._key = None
        closing: Any = getattr(self._found, "close", None)
        if closing is not None:
            closing()
        if self._source is not None:
            self._source.close()
            self._source = None


def _require(file: SourceFile) -> None:
    """Check that this machine has the file.

    Raises:
        MediaError: the file is missing, cannot be read, or is another one.
    """
    if not isinstance(file.place, Path) or file.size_bytes is None:
        return
    size = size_bytes(file.place)
    unreadable = file.place.is_file() and not os.access(file.place, os.R_OK)
    same = file.check is None or source_check(file.place, file.size_bytes) == file.check
    if size is None or size < file.size_bytes or unreadable or not same:
        what = "has no" if size is None else "cannot read" if unreadable else "has another"
        raise MediaError(
            f"the worker on {socket.gethostname()} {what} {file.place}: inputs must lie where all machines "
            "of the cluster find them under the same path"
        )
