"""What of a network is refined: parts whose points are read a second time where they are, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from hprnet_rt import skeleton
from hprnet_rt.errors import ModelError

__all__ = ["EVIDENCE", "RefinedPart", "Refinement"]

EVIDENCE: Final = 3
"""What local maps say of a point: how far it should move in x and y, and how sure they are."""


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

    One step samples the feature map at the points of a part, and from what it reads there and from the
    shape that they have, moves them. Local maps, one for each point of a hand, say in addition where around
    it the point should be.

    Attributes:
        parts: those that are refined.
        features: channels of the feature map.
        local: which of them the local maps read, from the first to before the last.
        local_hidden: channels between the local maps' two pointwise convolutions.
        hidden: of each step.

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
        """How many there are."""
        return max((part.num_keypoints for part in self.parts if part.reach), default=0)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Refinement:
        """Read back what `dataclasses.asdict` wrote."""
        parts = tuple(RefinedPart(**{**part, "reach": tuple(part["reach"])}) for part in data["parts"])
        return cls(**{**data, "parts": parts, "local": tuple(data["local"])})
