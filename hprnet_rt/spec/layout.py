"""The columns of the one tensor that an engine returns."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final, NamedTuple

from hprnet_rt.spec.model import ModelSpec

__all__ = ["DEFAULT_K", "Field", "PeakLayout"]

DEFAULT_K: Final = 32
"""People per image, and peaks per joint, of a model file unless stated otherwise."""


class Field(NamedTuple):
    """Neighbouring columns with one meaning: `width` of them, from `first` on."""

    name: str
    first: int
    width: int


@dataclass(frozen=True)
class PeakLayout:
    """Columns of an engine's one output, (batch, K, width) float32; row k belongs to rank k.

    A row holds the k-th strongest person, the k-th strongest peak of every joint, and the part points
    read at the k-th strongest peak of the part's centre; `*_regressed` parts are read at the centre that
    person k regresses instead. Positions are absolute, in output cells, x before y; scores are
    probabilities.

    The output of an engine that refines has refined points, and after all other fields the confidence of
    each point (`face_peak_confidence`, ...).

    Attributes:
        fields: in the order of their columns. Whoever writes rows concatenates in this order, and whoever
            reads them uses `columns`: nobody else knows a position.
    """

    fields: tuple[Field, ...]

    @classmethod
    @functools.cache
    def of(cls, spec: ModelSpec, *, refined: bool = False) -> PeakLayout:
        """Return the layout of `spec`'s output.

        Args:
            spec: the network.
            refined: the engine refines points, if the network has a refinement.
        """
        joints = spec.num_joints
        widths = {
            "person_score": 1,
            "person_cell": 2,
            **{field: spec.head(head).channels for field, head in spec.person_fields.items()},
            "joint_regressed": 2 * joints,
            "joint_regressed_score": joints,
            "peak_score": joints,
            "peak_xy": 2 * joints,
        }
        for part in spec.parts:
            for place in ("peak", "regressed"):
                widths[f"{part.name}_{place}"] = 2 * part.num_keypoints
                if part.size_head:
                    widths[f"{part.name}_{place}_wh"] = spec.head(part.size_head).channels
        if refined and spec.refinement is not None:
            for refined_part in spec.refinement.parts:
                for place in ("peak", "regressed"):
                    widths[f"{refined_part.name}_{place}_confidence"] = refined_part.num_keypoints
        fields, first = [], 0
        for name, width in widths.items():
            fields.append(Field(name, first, width))
            first += width
        return cls(tuple(fields))

    @classmethod
    def matching(cls, spec: ModelSpec, width: int) -> PeakLayout:
        """Return the layout of `spec`'s output with `width` columns; the unrefined one where none has."""
        inside = cls.of(spec, refined=True)
        return inside if inside.width == width else cls.of(spec)

    @property
    def is_refined(self) -> bool:
        """Whether points have been refined, and have a confidence."""
        return self.fields[-1].name.endswith("_confidence")

    @property
    def width(self) -> int:
        """Columns of a row."""
        last = self.fields[-1]
        return last.first + last.width

    @functools.cached_property
    def columns(self) -> dict[str, slice]:
        """The columns of each field, by its name."""
        return {field.name: slice(field.first, field.first + field.width) for field in self.fields}
