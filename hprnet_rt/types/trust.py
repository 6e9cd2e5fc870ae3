"""From which score a point is trusted: the defaults of drawing, of `Poses.confident` and of `convert`.

`docs/keypoints.md` has the errors that were measured at each score.
"""

from __future__ import annotations

import functools
from typing import Final

import numpy as np
import numpy.typing as npt

from hprnet_rt import skeleton
from hprnet_rt.errors import UsageError

__all__ = [
    "HAND_THRESHOLD",
    "JUDGED_WHOLE",
    "POINT_THRESHOLD",
    "UNREFINED_HAND_THRESHOLD",
    "least_scores",
    "require_threshold",
    "sure_scores",
]

POINT_THRESHOLD: Final = 0.2
"""Least score of a point that is trusted."""
HAND_THRESHOLD: Final = 0.08
"""Least score of a point of a hand that is trusted. It is lower because such a score is that of the hand's
centre times the point's confidence. On pictures that the shipped model had not seen, 94 of 100 labelled hands
have a mean score of at least this."""
UNREFINED_HAND_THRESHOLD: Final = 0.3
"""The same for networks without refinement, whose points of a hand all have the score of its centre. They
sometimes guess a hand that is hidden: on 512 photographs this threshold left out half of the hands in wrong
places, and 5% of the good ones."""

JUDGED_WHOLE: Final = ("face", "left_hand", "right_hand")
"""Parts of which no point is drawn where their mean score is too low."""

FloatArray = npt.NDArray[np.float32]


def require_threshold(threshold: float) -> None:
    """Check a threshold for points.

    Raises:
        UsageError: it is not from 0 to 1.
    """
    if not 0.0 <= threshold <= 1.0:
        raise UsageError(f"the point threshold is a score from 0 to 1, got {threshold}")


@functools.lru_cache(maxsize=8)
def least_scores(
    point_threshold: float, hand_threshold: float, *, body: bool = True, face: bool = True, hands: bool = True
) -> FloatArray:
    """Return the least score (133,) of a point that is trusted. It is shared: do not change it.

    Args:
        point_threshold: of a point of the body, the feet or the face.
        hand_threshold: of a point of a hand.
        body, face, hands: whether these are drawn; where not, the least score is infinite. Feet belong to
            the body.
    """
    least = np.full(skeleton.NUM_KEYPOINTS, np.inf, np.float32)
    for parts, drawn, threshold in (
        (("body", "feet"), body, point_threshold),
        (("face",), face, point_threshold),
        (("left_hand", "right_hand"), hands, hand_threshold),
    ):
        for part in parts if drawn else ():
            least[skeleton.PARTS[part]] = threshold
    return least


def sure_scores(score: FloatArray, least: FloatArray) -> FloatArray:
    """Return the scores (N, 133) with those of unsure faces and hands made 0.

    A face or hand is unsure when the mean score of its points is below `least` (133,).
    """
    sure = score
    for part in JUDGED_WHOLE:
        points = skeleton.PARTS[part]
        present = np.maximum(np.count_nonzero(score[:, points], axis=1), 1)
        unsure = score[:, points].sum(axis=1) < least[points.start] * present
        if unsure.any():
            sure = score.copy() if sure is score else sure
            sure[unsure, points] = 0.0
    return sure
