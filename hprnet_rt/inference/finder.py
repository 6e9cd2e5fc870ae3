"""Finding everyone in the chosen frames of a source, with a network in this process or elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from hprnet_rt.inference.crowd import CrowdWatch
from hprnet_rt.inference.looks import AUTO
from hprnet_rt.inference.model import ModelFacts, PoseModel
from hprnet_rt.inference.stages import AnyStage, Regions, finding_stages
from hprnet_rt.types import Frame
from hprnet_rt.video import FileSource, ImageSource, ResumePoint, Selection, chosen_frames

__all__ = ["Finder", "LocalFinder", "PoseRequest", "PoseSearch"]


@dataclass(frozen=True)
class PoseRequest:
    """Frames of a source in which everyone is to be found.

    Attributes:
        source: not yet iterated, unless for frames that are given beside this.
        selection: which frames are chosen.
        done: where an earlier run has ended; only later frames are requested.
        regions: the parts of the picture that the network looks at; see `pose_stages`.
    """

    source: FileSource
    selection: Selection
    done: ResumePoint | None = None
    regions: Regions = ()


@dataclass(frozen=True)
class PoseSearch:
    """A search that is under way.

    Attributes:
        frames: to be given to the stages; their images may be empty where nobody asked for them.
        stages: Frame -> FramePoses, without tracking and drawing.
        damage: called after the last frame: what could not be read of the source, None when all was well.
        interrupt: ends the waiting of `frames` and `stages`, from any thread.
        watch: chooses how frames are looked at, and remembers; None where that is not chosen.
    """

    frames: Iterable[Frame]
    stages: list[AnyStage]
    damage: Callable[[], str | None]
    interrupt: Callable[[], None] | None = None
    watch: CrowdWatch | None = None


class Finder(Protocol):
    """A network, here or elsewhere."""

    @property
    def facts(self) -> ModelFacts:
        """What the header of keypoints says of the model."""
        ...

    def find(self, request: PoseRequest, frames: Iterator[Frame] | None) -> PoseSearch:
        """Begin to find everyone.

        Args:
            request: the frames.
            frames: the same, decoded; None when nobody needs their images.

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

    def find(self, request: PoseRequest, frames: Iterator[Frame] | None) -> PoseSearch:
        """Begin to find everyone; see `Finder`."""
        source, model = request.source, self._model
        stills = isinstance(source, ImageSource)
        chosen = AUTO in (request.regions, model.input_px)
        watch = CrowdWatch(remember=not stills) if chosen else None
        stages = finding_stages(
            model,
            model.batch,
            request.regions,
            watch=watch,
            stills=stills,
            keeps_pictures=frames is not None,
        )
        if frames is None:
            frames = chosen_frames(source, request.selection, request.done)
        return PoseSearch(frames, stages, lambda: source.damage, watch=watch)
