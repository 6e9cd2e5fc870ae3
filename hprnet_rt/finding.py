"""Finding everyone in the chosen frames of a source: what annotate needs of a network, wherever that runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from hprnet_rt.errors import MediaError
from hprnet_rt.estimator import ModelFacts, PoseModel
from hprnet_rt.regions import Region
from hprnet_rt.stages import AnyStage, FileSource, finding_stages
from hprnet_rt.types import Frame
from hprnet_rt.video import ImageSource, Selection, VideoIndex, VideoSource, read_index

__all__ = ["Done", "Finder", "Finding", "Here", "Wanted", "chosen_frames"]


@dataclass(frozen=True)
class Done:
    """What an earlier run has done of the chosen frames.

    Attributes:
        frames: how many.
        number, pts_s: of the last one.
    """

    frames: int
    number: int
    pts_s: float | None


@dataclass(frozen=True)
class Wanted:
    """Where everyone is to be found.

    Attributes:
        source: not yet iterated, unless for frames that are given beside this.
        selection: which frames are chosen.
        done: by an earlier run; only those behind are wanted.
        regions: of the picture where the network looks; see `pose_stages`.
    """

    source: FileSource
    selection: Selection
    done: Done | None = None
    regions: tuple[Region, ...] = ()


@dataclass(frozen=True)
class Finding:
    """A search that has begun.

    Attributes:
        frames: to be given to the stages; their images may be empty where nobody asked for them.
        stages: Frame -> Estimated, without what looks at one frame after the other.
        damage: after the last frame: what could not be read of the source, None when all was well.
        interrupt: ends the waiting of `frames` and `stages`, from any thread.
    """

    frames: Iterable[Frame]
    stages: list[AnyStage]
    damage: Callable[[], str | None]
    interrupt: Callable[[], None] | None = None


class Finder(Protocol):
    """A network, here or elsewhere."""

    @property
    def facts(self) -> ModelFacts:
        """What keypoints say of it."""
        ...

    def find(self, wanted: Wanted, frames: Iterator[Frame] | None) -> Finding:
        """Begin to find everyone.

        Args:
            wanted: where.
            frames: the wanted ones, decoded; None when nobody needs their images.

        Raises:
            MediaError: the source is not as it was.
        """
        ...


class Here:
    """A network in this process.

    Args:
        model: the network.
    """

    def __init__(self, model: PoseModel) -> None:
        self._model = model
        self.facts = model.facts

    def find(self, wanted: Wanted, frames: Iterator[Frame] | None) -> Finding:
        """See `Finder`."""
        source = wanted.source
        if frames is None:
            frames = chosen_frames(source, wanted.selection, wanted.done)
        stages = finding_stages(self._model, self._model.batch, wanted.regions)
        return Finding(frames, stages, lambda: source.damage)


def chosen_frames(source: FileSource, selection: Selection, done: Done | None = None) -> Iterator[Frame]:
    """The chosen frames of a source, decoded, behind those that have been done; of an image its only one.

    Where it is sure to give the same frames with the same numbers, decoding begins at a key frame near the
    first one. Then damage before it is not seen.

    Raises:
        MediaError: while iterating: the last frame that was done is not there.
    """
    if isinstance(source, ImageSource):
        return iter(source) if done is None else iter(())
    first_s = _enter(source, selection, done) if isinstance(source, VideoSource) else None
    if done is None:
        return selection.of(source, first_s=first_s)
    return selection.of(_behind(source, done), first_s=first_s, taken=done.frames)


def _enter(source: VideoSource, selection: Selection, done: Done | None) -> float | None:
    """Let the source begin as late as it can; returns when the first frame of the file is shown."""
    if source.first_pts is None:
        return None
    base = source.info.time_base
    first_s = float(source.first_pts * base)
    until = int((first_s + selection.start_s) / base)
    if done is not None and done.pts_s is not None:
        until = max(until, round(done.pts_s / base))
    if until > source.first_pts:
        index = read_index(source.path, until)
        part = index.from_time(until) if index is not None else None
        if index is not None and part is not None and _is_the_same(index, source.first_pts, done, until):
            source.begin_at(part)
    return first_s


def _is_the_same(index: VideoIndex, first_pts: int, done: Done | None, until: int) -> bool:
    """Whether an index numbers the frames as decoding them has done, as far as that is known."""
    if index.pts[0] != first_pts:
        return False
    return done is None or (len(index.pts) == done.number + 1 and index.pts[-1] == until)


def _behind(source: FileSource, done: Done) -> Iterator[Frame]:
    """The frames behind the last one that was done.

    Raises:
        MediaError: that one is not there.
    """
    is_there = False
    for frame in source:
        if is_there:
            yield frame
        is_there = is_there or frame.sequence == done.number
    if not is_there:
        raise MediaError(f"{source.info.source} is not as it was when its keypoints were found")
