"""The messages between this process and its workers."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hprnet_rt.inference.model import DEFAULT_MODEL
from hprnet_rt.inference.regions import Region
from hprnet_rt.types import Poses
from hprnet_rt.video import Part, ResumePoint, Selection
from hprnet_rt.video.deinterlace import AUTO

__all__ = ["Chunk", "FoundPoses", "Greeting", "ModelChoice", "Piece", "SourceFile"]


@dataclass(frozen=True)
class ModelChoice:
    """The model that every worker opens: the arguments of `hprnet_rt.load` with these names."""

    model: str | Path = DEFAULT_MODEL
    weights: Path | None = None
    k: int | None = None
    backend: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    input_px: int | str | None = None
    batch: int | None = 1
    threshold: float | None = None


@dataclass(frozen=True)
class Greeting:
    """A worker's process, its machine's name, and its version of this package."""

    pid: int
    host: str
    version: str


@dataclass(frozen=True)
class SourceFile:
    """A source, described so that every machine can open it.

    Attributes:
        place: an absolute path, or an address as a string.
        size_bytes: size of the file when the work began; None for an address.
        rate: frames a second of numbered images.
        check: its `source_check`; None if it has none.
        deinterlace: which of its pictures are deinterlaced.
    """

    place: Path | str
    size_bytes: int | None
    rate: Fraction | None = None
    check: str | None = None
    deinterlace: str = AUTO


@dataclass(frozen=True, eq=False)
class Piece:
    """Frames of a source that one worker processes.

    Attributes:
        file: the source.
        part: the part of the source with the frames; None reads the source from its start, as one machine
            does.
        chosen: (N,) numbers of the frames of the part that are processed.
        regions: parts of the picture that the network looks at.
        selection: without a part, which frames of the source are processed.
        done: without a part, where an earlier run has ended.
    """

    file: SourceFile
    part: Part | None = None
    chosen: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    regions: tuple[Region, ...] = ()
    selection: Selection = field(default_factory=Selection)
    done: ResumePoint | None = None


@dataclass(frozen=True, eq=False)
class FoundPoses:
    """The poses in one frame, before tracking."""

    number: int
    pts: int | None
    poses: Poses


@dataclass(frozen=True, eq=False)
class Chunk:
    """The results of consecutive frames of a piece.

    Attributes:
        found: poses of the frames, in order.
        more: the piece has more frames, for another request.
        differs: the part differs from the index; the frames in `found` are right.
        damage: after the last frame of a piece without a part, what could not be read of the source.
    """

    found: list[FoundPoses]
    more: bool = False
    differs: bool = False
    damage: str | None = None
