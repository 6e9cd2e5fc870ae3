"""Many workers as one finder: it hands out pieces of a source, and puts the results together in order."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from hprnet_rt.cluster.requests import Chunk, FoundPoses, Piece, SourceFile
from hprnet_rt.errors import HprnetError, MediaError, UsageError
from hprnet_rt.inference.finder import PoseRequest, PoseSearch
from hprnet_rt.inference.model import AUTO as CHOSEN
from hprnet_rt.inference.model import ModelFacts
from hprnet_rt.inference.regions import Region
from hprnet_rt.inference.stages import AnyStage
from hprnet_rt.pipeline import Channel, ChannelClosed, Stage
from hprnet_rt.types import Frame, FramePoses, unseen_frame
from hprnet_rt.video import FileSource, SequenceSource, VideoIndex, VideoSource
from hprnet_rt.video.deinterlace import AUTO
from hprnet_rt.video.identity import source_check
from hprnet_rt.video.media import size_bytes

__all__ = ["Ask", "Cluster", "Workers"]

T = TypeVar("T")

Ask = Callable[..., Any]
"""Calls a method of a worker by its name, and returns its answer or raises its error."""

_CHUNKS: Final = 8
"""Most chunks of a piece that wait to be put together."""
_LEAST_FRAMES, _MOST_FRAMES = 48, 512
"""Bounds of the least length of a part: in shorter ones seeking takes a noticeable share of the time, and
with longer ones the last worker keeps the result waiting."""
_PARTS_EACH: Final = 4
"""Parts per worker, in a file that is long enough."""
_AHEAD: Final = 2
"""Parts of a file that are processed or wait to be put together, beyond one for each worker."""


class Workers(Protocol):
    """Workers, each of which does one thing at a time."""

    @property
    def count(self) -> int:
        """Number of workers."""
        ...

    def submit(self, task: Callable[[Ask], None]) -> None:
        """Run a task in a thread, with a worker of its own while it runs."""
        ...


class Cluster:
    """A `Finder` whose network runs on workers.

    Args:
        workers: all with the same model.
        facts: of that model.
    """

    def __init__(self, workers: Workers, facts: ModelFacts) -> None:
        self.facts = facts
        self._workers = workers

    @property
    def workers(self) -> int:
        """Number of workers."""
        return self._workers.count

    def find(self, request: PoseRequest, frames: Iterator[Frame] | None) -> PoseSearch:
        """See `Finder`.

        Raises:
            UsageError: how a frame is looked at depends on those before it, which other workers see.
        """
        if isinstance(request.regions, str) or self.facts.input_px == CHOSEN:
            raise UsageError("size and regions are not chosen on a cluster: give them, or leave them out")
        search = _Search(self._workers, request, tuple(request.regions))
        if frames is None:
            return PoseSearch(
                search.unseen(), [Stage("cluster", search.next)], search.damage, search.interrupt
            )
        stages: list[AnyStage] = [Stage("cluster", search.next_decoded)]
        return PoseSearch(frames, stages, lambda: request.source.damage, search.interrupt)


def _shared(source: FileSource) -> SourceFile:
    """Describe a source so that workers can open it."""
    path, rate = source.path, source.info.rate if isinstance(source, SequenceSource) else None
    place, size = path if isinstance(path, str) else path.absolute(), size_bytes(path)
    deinterlace = source.deinterlace if isinstance(source, VideoSource) else AUTO
    return SourceFile(place, size, rate, source_check(place, size), deinterlace)


class _Answers(Generic[T]):
    """The values that a task yields in a thread of its own, for another thread to iterate over."""

    def __init__(self, workers: Workers, task: Callable[[Ask], Iterator[T]]) -> None:
        self._channel: Channel[T] = Channel(_CHUNKS)
        self._error: BaseException | None = None
        self._task = task
        self._aborted = False
        workers.submit(self._run)

    def _run(self, ask: Ask) -> None:
        if self._aborted:
            return
        try:
            for answer in self._task(ask):
                self._channel.put(answer)
        except ChannelClosed:
            pass  # the answers are not needed any more
        except BaseException as error:
            self._error = error
        finally:
            self._channel.close()

    def __iter__(self) -> Iterator[T]:
        while True:
            try:
                yield self._channel.get()
            except ChannelClosed:
                if self._error is not None:
                    raise self._error from None
                return

    def abort(self) -> None:
        """Discard the answers, and end any waiting for them."""
        self._aborted = True
        self._channel.abort()


class _Search:
    """The search in one source."""

    _keys = itertools.count()

    def __init__(self, workers: Workers, request: PoseRequest, regions: tuple[Region, ...]) -> None:
        self._workers, self._request, self._source = workers, request, request.source
        self._regions = regions
        self._file = _shared(request.source)
        self._damage: str | None = None
        self._open: deque[_Answers[Any]] = deque()
        self._lock = threading.Lock()
        self._interrupted = False
        self._poses: deque[FoundPoses] = deque()
        self._results = self._found()

    # --- what the pipeline calls ---

    def unseen(self) -> Iterator[Frame]:
        """Yield the frames, without images, as soon as their poses are there."""
        base = self._source.info.time_base
        for found in self._results:
            self._poses.append(found)
            yield unseen_frame(found.number, found.pts, base)

    def next(self, frame: Frame) -> FramePoses:
        """Return the poses in the next frame of `unseen`."""
        return FramePoses(frame, self._poses.popleft().poses)

    def next_decoded(self, frame: Frame) -> FramePoses:
        """Return the poses in the next frame, which was decoded here too.

        Raises:
            MediaError: the workers have decoded another frame.
        """
        found = next(self._results, None)
        if found is None or (found.number, found.pts) != (frame.sequence, frame.pts):
            raise MediaError(
                f"{self._source.path} has other frames on the workers than here: is it the same file, and is "
                "the same version of av installed?"
            )
        return FramePoses(frame, found.poses)

    def damage(self) -> str | None:
        """Return, after the last frame, what could not be read of the source; None if there was no damage."""
        return self._damage

    def interrupt(self) -> None:
        """End all waiting."""
        with self._lock:
            self._interrupted = True
            for answers in self._open:
                answers.abort()

    # --- the search ---

    def _found(self) -> Iterator[FoundPoses]:
        try:
            merged = 0
            for chunk in self._chunks_of_parts():
                yield from chunk.found
                merged += len(chunk.found)
                if chunk.differs:
                    break
            else:
                return
            self._leave()
            request = self._request
            rest = Piece(self._file, regions=self._regions, selection=request.selection, done=request.done)
            for chunk in self._wait(self._begin(rest, merged)):
                yield from chunk.found
                self._damage = None if chunk.damage is None else self._as_here(chunk.damage)
        except HprnetError as error:
            raise type(error)(self._as_here(str(error))) from error

    def _as_here(self, text: str) -> str:
        """Replace the source's path in a worker's message by its name as it was given here."""
        return text.replace(str(self._file.place), str(self._source.path))

    def _chunks_of_parts(self) -> Iterator[Chunk]:
        """Yield the results of the parts; if the source cannot be divided, one chunk that differs."""
        pieces = self._pieces()
        if pieces is None:
            yield Chunk([], differs=True)
            return
        waiting: deque[_Answers[Chunk]] = deque()
        todo = iter(pieces)
        while True:
            ahead = self._workers.count + _AHEAD - len(waiting)
            waiting.extend(self._begin(piece, 0) for piece in itertools.islice(todo, ahead))
            if not waiting:
                return
            yield from self._wait(waiting.popleft())

    def _pieces(self) -> list[Piece] | None:
        """Return the parts that hold chosen frames; None if the source must be read as one piece."""
        source = self._source
        if not (isinstance(source, VideoSource) and isinstance(self._file.place, Path)):
            return None
        answers: _Answers[VideoIndex | None] = self._open_task(lambda ask: iter([ask("index", self._file)]))
        index = next(iter(self._wait(answers)), None)
        if index is None or index.pts[0] != source.first_pts:
            return None
        chosen = self._chosen(index)
        if chosen is None:
            return None
        frames = len(chosen) * self._request.selection.stride
        least = min(max(frames // (_PARTS_EACH * self._workers.count), _LEAST_FRAMES), _MOST_FRAMES)
        pieces = []
        for part in index.parts(least):
            first, behind = np.searchsorted(chosen, [part.number, part.number + len(part.pts)])
            if behind > first:
                pieces.append(Piece(self._file, part, chosen=chosen[first:behind], regions=self._regions))
        return pieces

    def _chosen(self, index: VideoIndex) -> npt.NDArray[np.int64] | None:
        """Return the numbers of the chosen frames that no earlier run has finished.

        None if the last frame of the earlier run is not among the chosen ones.
        """
        base, done = self._source.info.time_base, self._request.done
        timed = ((float(pts * base), number) for number, pts in enumerate(index.pts.tolist()))
        chosen = np.fromiter(self._request.selection.choose(timed), np.int64)
        if done is None:
            return chosen
        last = chosen[done.frames - 1] if done.frames <= len(chosen) else -1
        same_time = done.pts_s is not None and round(done.pts_s / base) == index.pts[last]
        return chosen[done.frames :] if last == done.number and same_time else None

    def _begin(self, piece: Piece, skip: int) -> _Answers[Chunk]:
        key = next(self._keys)

        def look(ask: Ask) -> Iterator[Chunk]:
            done, more = skip, True
            while more:
                chunk: Chunk = ask("look", key, piece, done)
                done, more = done + len(chunk.found), chunk.more
                yield chunk

        return self._open_task(look)

    def _open_task(self, task: Callable[[Ask], Iterator[T]]) -> _Answers[T]:
        answers = _Answers(self._workers, task)
        with self._lock:
            self._open.append(answers)
            if self._interrupted:
                answers.abort()
        return answers

    def _wait(self, answers: _Answers[T]) -> Iterator[T]:
        yield from answers
        with self._lock:
            self._open.remove(answers)

    def _leave(self) -> None:
        """Abort all open tasks: their results are not needed."""
        with self._lock:
            for answers in self._open:
                answers.abort()
            self._open.clear()
