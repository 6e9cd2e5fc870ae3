"""Many workers as one finder: pieces are handed out, and what is found in them is put together in order."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from hprnet_rt.cluster.requests import Chunk, Found, Piece, SourceFile
from hprnet_rt.errors import HprnetError, MediaError
from hprnet_rt.inference.finder import PoseRequest, PoseSearch
from hprnet_rt.inference.model import ModelFacts
from hprnet_rt.inference.stages import AnyStage
from hprnet_rt.pipeline import Channel, ChannelClosed, Stage
from hprnet_rt.types import Frame, FramePoses, unseen_frame
from hprnet_rt.video import FileSource, SequenceSource, VideoIndex, VideoSource
from hprnet_rt.video.identity import source_check
from hprnet_rt.video.media import size_bytes

__all__ = ["Ask", "Cluster", "Workers"]

T = TypeVar("T")

Ask = Callable[..., Any]
"""Calls a method of a worker by its name, and gives its answer or raises its error."""

_CHUNKS: Final = 8
"""Of a piece that wait to be put together, at most."""
_LEAST_FRAMES, _MOST_FRAMES = 48, 512
"""Of a part, at least: less, and seeking counts; more, and the last worker keeps all others waiting."""
_PARTS_EACH: Final = 4
"""Parts that a worker has of a file that is long enough."""
_AHEAD: Final = 2
"""Parts of a file that are looked at or wait to be put together, beyond one for each worker."""


class Workers(Protocol):
    """Workers, each of which does one thing at a time."""

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    def submit(self, task: Callable[[Ask], None]) -> None:
        """Run a task in a thread, with a worker of its own while it runs."""
        ...


class Cluster:
    """A `Finder` whose network runs on workers.

    Args:
        workers: with one model.
        facts: of that model.
    """

    def __init__(self, workers: Workers, facts: ModelFacts) -> None:
        self.facts = facts
        self._workers = workers

    @property
    def workers(self) -> int:
        """How many there are."""
        return self._workers.count

    def find(self, wanted: PoseRequest, frames: Iterator[Frame] | None) -> PoseSearch:
        """See `Finder`."""
        search = _Search(self._workers, wanted)
        if frames is None:
            return PoseSearch(
                search.unseen(), [Stage("cluster", search.next)], search.damage, search.interrupt
            )
        stages: list[AnyStage] = [Stage("cluster", search.held_against)]
        return PoseSearch(frames, stages, lambda: wanted.source.damage, search.interrupt)


def _shared(source: FileSource) -> SourceFile:
    """A source as the workers are asked for it."""
    path, rate = source.path, source.info.rate if isinstance(source, SequenceSource) else None
    place, size = path if isinstance(path, str) else path.absolute(), size_bytes(path)
    return SourceFile(place, size, rate, source_check(place, size))


class _Answers(Generic[T]):
    """What a task yields in its own thread, for the one that waits for it."""

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
            pass  # nobody wants them
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
        """They are not wanted any more; whoever waits for them goes on."""
        self._aborted = True
        self._channel.abort()


class _Search:
    """The search in one source."""

    _keys = itertools.count()

    def __init__(self, workers: Workers, wanted: PoseRequest) -> None:
        self._workers, self._wanted, self._source = workers, wanted, wanted.source
        self._file = _shared(wanted.source)
        self._damage: str | None = None
        self._open: deque[_Answers[Any]] = deque()
        self._lock = threading.Lock()
        self._interrupted = False
        self._poses: deque[Found] = deque()
        self._results = self._found()

    # --- what the pipeline calls ---

    def unseen(self) -> Iterator[Frame]:
        """The frames without images, as fast as they are found."""
        base = self._source.info.time_base
        for found in self._results:
            self._poses.append(found)
            yield unseen_frame(found.number, found.pts, base)

    def next(self, frame: Frame) -> FramePoses:
        """Everyone in the next frame of `unseen`."""
        return FramePoses(frame, self._poses.popleft().poses)

    def held_against(self, frame: Frame) -> FramePoses:
        """Everyone in the next frame that was decoded here.

        Raises:
            MediaError: the workers have decoded other frames.
        """
        found = next(self._results, None)
        if found is None or (found.number, found.pts) != (frame.sequence, frame.pts):
            raise MediaError(
                f"{self._source.path} has other frames on the workers than here: is it the same file, and is "
                "the same version of av installed?"
            )
        return FramePoses(frame, found.poses)

    def damage(self) -> str | None:
        """After the last frame: what could not be read of the source."""
        return self._damage

    def interrupt(self) -> None:
        """End all waiting."""
        with self._lock:
            self._interrupted = True
            for answers in self._open:
                answers.abort()

    # --- the search ---

    def _found(self) -> Iterator[Found]:
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
            wanted = self._wanted
            rest = Piece(self._file, regions=wanted.regions, selection=wanted.selection, done=wanted.done)
            for chunk in self._wait(self._begin(rest, merged)):
                yield from chunk.found
                self._damage = None if chunk.damage is None else self._as_here(chunk.damage)
        except HprnetError as error:
            raise type(error)(self._as_here(str(error))) from error

    def _as_here(self, text: str) -> str:
        """A worker's sentence with the source's name as it was given here."""
        return text.replace(str(self._file.place), str(self._source.path))

    def _chunks_of_parts(self) -> Iterator[Chunk]:
        """What is found in parts; a last one that differs where the source cannot be taken apart."""
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
        """The parts with the chosen frames in them, None where it is one piece."""
        source = self._source
        if not (isinstance(source, VideoSource) and isinstance(self._file.place, Path)):
            return None
        asked: _Answers[VideoIndex | None] = self._opened(lambda ask: iter([ask("index", self._file)]))
        index = next(iter(self._wait(asked)), None)
        if index is None or index.pts[0] != source.first_pts:
            return None
        chosen = self._chosen(index)
        if chosen is None:
            return None
        frames = len(chosen) * self._wanted.selection.stride
        least = min(max(frames // (_PARTS_EACH * self._workers.count), _LEAST_FRAMES), _MOST_FRAMES)
        pieces = []
        for part in index.parts(least):
            first, behind = np.searchsorted(chosen, [part.number, part.number + len(part.pts)])
            if behind > first:
                pieces.append(Piece(self._file, part, chosen[first:behind], self._wanted.regions))
        return pieces

    def _chosen(self, index: VideoIndex) -> npt.NDArray[np.int64] | None:
        """The numbers of the chosen frames that are not done; None when what is done is not among them."""
        base, done = self._source.info.time_base, self._wanted.done
        timed = ((float(pts * base), number) for number, pts in enumerate(index.pts.tolist()))
        chosen = np.fromiter(self._wanted.selection.choose(timed), np.int64)
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

        return self._opened(look)

    def _opened(self, task: Callable[[Ask], Iterator[T]]) -> _Answers[T]:
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
        """Nobody wants what is still looked at."""
        with self._lock:
            for answers in self._open:
                answers.abort()
            self._open.clear()
