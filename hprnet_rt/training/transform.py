"""What makes a training sample out of an annotated image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from hprnet_rt.training.sample import Sample

__all__ = ["Draw", "Transform"]

Draw = Callable[[], Sample]
"""Gives another sample of the set, at random, untransformed."""


class Transform(Protocol):
    """Makes a training sample out of an annotated image."""

    def __call__(self, sample: Sample, rng: np.random.Generator, draw: Draw | None = None) -> Sample:
        """A new sample; the given one stays as it is.

        Args:
            sample: an image of any size.
            rng: the only source of chance.
            draw: gives other samples; None for a transform that needs none, or shall do without.
        """
        ...
