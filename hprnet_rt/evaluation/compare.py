"""Comparison of two evaluations of the same annotations, part by part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hprnet_rt.errors import UsageError
from hprnet_rt.evaluation.evaluate import Evaluation

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True)
class Comparison:
    """The changes from one evaluation to another.

    Attributes:
        first, second: the evaluations.
        change: second minus first, by part and metric, for the parts that both have; None where either of the
            two is None.
    """

    first: Evaluation
    second: Evaluation
    change: Mapping[str, Mapping[str, float | None]]

    def __getitem__(self, part: str) -> Mapping[str, float | None]:
        return self.change[part]


def compare(first: Evaluation, second: Evaluation) -> Comparison:
    """Compare two evaluations, of two models or two precisions for example.

    Raises:
        UsageError: the evaluations use different annotations or rankings, or have no part in common.
    """
    for what, one, other in (
        ("images", first.images, second.images),
        ("people", first.people, second.people),
    ):
        if one != other:
            raise UsageError(
                f"{first.name} was evaluated on {one} {what} and {second.name} on {other}; "
                "compare evaluations of the same annotations"
            )
    if first.ranking != second.ranking:
        raise UsageError(
            f"{first.name} ranks by {first.ranking} score and {second.name} by {second.ranking} score; "
            "evaluate both with the same ranking"
        )
    common = [part for part in first.scores if part in second.scores]
    if not common:
        raise UsageError(f"{first.name} and {second.name} have no part in common")
    return Comparison(
        first,
        second,
        {
            part: {
                metric: None if before is None or (after := second[part][metric]) is None else after - before
                for metric, before in first[part].items()
            }
            for part in common
        },
    )
