"""Finding everyone in the chosen frames of a source: what annotate needs of a network, wherever that runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from hprnet_rt.inference.model import ModelFacts, PoseModel
from hprnet_rt.inference.regions import Region
from hprnet_rt.inference.stages import AnyStage, finding_stages
from hprnet_rt.types import Frame
from hprnet_rt.video import FileSource, ResumePoint, Selection, chosen_frames

__all__ = ["Finder", "LocalFinder", "PoseRequest", "PoseSearch"]


@dataclass(frozen=True)
class PoseRequest:
    """Where everyone is to be found.

    Attributes:
        source: not yet iterated, unless for frames that are given beside this.
        selection: which frames are chosen.
        done: by an earlier run; only those behind are wanted.
        regions: of the picture where the network looks; see `pose_stages`.
    """

    source: FileSource
    selection: Selection
    done: ResumePoint | None = None
    regions: tuple[Region, ...] = ()


@dataclass(frozen=True)
class PoseSearch:
    """A search that has begun.

    Attributes:
        frames: to be given to the stages; their images may be empty where nobody asked for them.
        stages: Frame -> FramePoses, without what looks at one frame after the other.
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

    def find(self, wanted: PoseRequest, frames: Iterator[Frame] | None) -> PoseSearch:
        """Begin to find everyone.

        Args:
            wanted: where.
            frames: the wanted ones, decoded; None when nobody needs their images.

        Raises:
            MediaError: the source is not as it was.
        """
        ...


class LocalFinder:
    """A network in this process.

    Args:
        model: the network.
    """

    def __init__(self, model: PoseModel) -> None:
        self._model = model
        self.facts = model.facts

    def find(self, wanted: PoseRequest, frames: Iterator[Frame] | None) -> PoseSearch:
        """See `Finder`."""
        source = wanted.source
        if frames is None:
            frames = chosen_frames(source, wanted.selection, wanted.done)
        stages = finding_stages(self._model, self._model.batch, wanted.regions)
        return PoseSearch(frames, stages, lambda: source.damage)
