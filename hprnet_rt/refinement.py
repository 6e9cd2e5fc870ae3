"""The description of a refinement: parts whose points are read again where they are, and corrected.

The constants are those of the arithmetic itself, which `hprnet_rt.model.refine` does in torch and
`hprnet_rt.grouping.refine` without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from hprnet_rt import skeleton
from hprnet_rt.errors import ModelError

__all__ = [
    "EVIDENCE",
    "EVIDENCE_SIDE",
    "LEAST_REACH",
    "LEAST_SIZE",
    "SHIFT_SCALE",
    "STRENGTH_SCALE",
    "RefinedPart",
    "Refinement",
]

LEAST_SIZE: Final = 2.0
"""Least size of a part in cells: a smaller one is taken to be of this size."""
LEAST_REACH: Final = 1.5
"""Least distance in cells to which a local map is read around a point."""
EVIDENCE: Final = 3
"""Numbers that a local map gives for a point: how far to move it in x and in y, and the strongest logit."""
EVIDENCE_SIDE: Final = 7
"""Samples along each side of the square in which a local map is read around a point."""
SHIFT_SCALE: Final = 4.0
"""Factor of the distance that a local map gives: it brings the number to the scale of the other inputs."""
STRENGTH_SCALE: Final = 0.25
"""Factor of the strongest logit, for the same reason."""


@dataclass(frozen=True)
class RefinedPart:
    """A part whose points are read a second time, where they are.

    Attributes:
        name: of the part, see `PartSpec`.
        steps: how often all its points are corrected.
        width: numbers that are read at each point.
        reach: for each step how far around a point the local maps are read, in units of the part's size;
            empty for a part that does not read them.
    """

    name: str
    steps: int
    width: int
    reach: tuple[float, ...] = ()

    @property
    def num_keypoints(self) -> int:
        """Points of the part."""
        return skeleton.num_points(self.name)

    @property
    def evidence(self) -> int:
        """Numbers that the local maps give for each point."""
        return EVIDENCE if self.reach else 0


@dataclass(frozen=True)
class Refinement:
    """Points corrected where they are, the points of a part together, with a confidence for each.

    One step samples the feature map at the points of a part, and moves them according to what it reads there
    and to the shape that they have. A point of a hand has a local map of its own besides, which tells where
    around the point it should be.

    Attributes:
        parts: the parts that are refined.
        features: channels of the feature map.
        local: the channels of the feature map that the local maps are made from: the first one, and the one
            after the last.
        local_hidden: channels between the local maps' two pointwise convolutions.
        hidden: hidden units of each step.

    Source: after Xiong and De la Torre, "Supervised Descent Method" (2013).
    """

    parts: tuple[RefinedPart, ...]
    features: int
    local: tuple[int, int]
    local_hidden: int = 96
    hidden: int = 256

    def __post_init__(self) -> None:
        if len({part.num_keypoints for part in self.parts if part.reach}) > 1:
            raise ModelError("parts that read local maps share them, and have equally many points")
        for part in self.parts:
            if part.steps < 1 or len(part.reach) not in (0, part.steps):
                raise ModelError(f"{part.name} is refined in {part.steps} steps of reach {part.reach}")

    @property
    def local_maps(self) -> int:
        """Number of local maps."""
        return max((part.num_keypoints for part in self.parts if part.reach), default=0)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Refinement:
        """Read back what `dataclasses.asdict` returned."""
        parts = tuple(RefinedPart(**{**part, "reach": tuple(part["reach"])}) for part in data["parts"])
        return cls(**{**data, "parts": parts, "local": tuple(data["local"])})
