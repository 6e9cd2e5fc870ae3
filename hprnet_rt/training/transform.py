"""The interface of transforms, which make a training sample from an annotated image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from hprnet_rt.training.sample import Sample

__all__ = ["Draw", "Transform"]

Draw = Callable[[], Sample]
"""Returns a random sample of the set, without any transform."""


class Transform(Protocol):
    """Makes a training sample from an annotated image."""

    def __call__(self, sample: Sample, rng: np.random.Generator, draw: Draw | None = None) -> Sample:
        """Return a new sample; the given one does not change.

        Args:
            sample: an image of any size.
            rng: the only source of random numbers.
            draw: returns another sample; None for a transform that uses one sample only.
        """
        ...
