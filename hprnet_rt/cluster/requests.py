"""What is said between this process and its workers."""

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

__all__ = ["Chunk", "Found", "Greeting", "ModelChoice", "Piece", "SourceFile"]


@dataclass(frozen=True)
class ModelChoice:
    """Which model every worker opens: the arguments of `hprnet_rt.load` of these names."""

    model: str | Path = DEFAULT_MODEL
    weights: Path | None = None
    backend: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    input_px: int | str | None = None
    batch: int | None = 1
    threshold: float | None = None


@dataclass(frozen=True)
class Greeting:
    """Who a worker is: its process, the machine's name, and the version of this package there."""

    pid: int
    host: str
    version: str


@dataclass(frozen=True)
class SourceFile:
    """A source as all machines see it.

    Attributes:
        place: an absolute path, or an address as a string.
        size_bytes: of the file when the work began; None of an address.
        rate: of numbered images, frames a second.
        check: its `source_check`; None where it has none.
    """

    place: Path | str
    size_bytes: int | None
    rate: Fraction | None = None
    check: str | None = None


@dataclass(frozen=True, eq=False)
class Piece:
    """Frames of a source that one worker looks at.

    Attributes:
        file: the source.
        part: where they are; None reads the source as one machine does.
        wanted: (N,) the numbers of those of the part that are looked at.
        regions: where the network looks in them.
        selection, done: without a part: which frames of the source, and what an earlier run has done of them.
    """

    file: SourceFile
    part: Part | None = None
    wanted: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    regions: tuple[Region, ...] = ()
    selection: Selection = field(default_factory=Selection)
    done: ResumePoint | None = None


@dataclass(frozen=True, eq=False)
class Found:
    """Everyone in one frame, before they are followed from frame to frame."""

    number: int
    pts: int | None
    poses: Poses


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some of the frames of a piece.

    Attributes:
        found: in order.
        more: come when they are asked for.
        differs: the part is not as the index said; the frames were right.
        damage: after the last one, without a part: what could not be read of the source.
    """

    found: list[Found]
    more: bool = False
    differs: bool = False
    damage: str | None = None
