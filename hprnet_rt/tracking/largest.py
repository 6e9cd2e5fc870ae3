"""The largest people of a video, chosen so that the choice does not flicker."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from hprnet_rt.errors import UsageError
from hprnet_rt.tracking.tracker import require_time
from hprnet_rt.types import Poses

__all__ = ["LargestPeople", "require_max_people"]

_PATIENCE_S: Final = 1.0
"""For so long a place is kept for somebody who is not seen, and for so long a newcomer must be larger."""

_MUCH: Final = 1.5
"""Times as large in area as somebody who is chosen, a newcomer takes their place."""


def require_max_people(count: int | None) -> None:
    """Check the greatest number of people.

    Raises:
        UsageError: it is less than 1.
    """
    if count is not None and count < 1:
        raise UsageError(f"the greatest number of people is at least 1, got {count}")


class LargestPeople:
    """Leaves at most `count` people, those with the largest boxes; goes behind a `Tracker`.

    Who is chosen stays so while they are seen, and their place is kept for them for a second: two people of
    like size do not take turns. Somebody who is half as large again takes the place of the smallest one after
    a second. People without ids are chosen anew in every frame.

    Times may repeat. A time before that of the last call starts another sequence.

    Args:
        count: the most people of a frame.

    Raises:
        UsageError: the count is less than 1.
    """

    def __init__(self, count: int) -> None:
        require_max_people(count)
        self.count = count
        self.reset()

    def reset(self) -> None:
        """Forget everyone, as before another video."""
        self._seen_s: dict[int, float] = {}  # of those who are chosen
        self._larger_s: dict[int, float] = {}  # since when a newcomer is much larger than one of them
        self._last_s = -math.inf

    def __call__(self, poses: Poses, time_s: float) -> Poses:
        """Return those of the people who are chosen, strongest first.

        Raises:
            UsageError: the time is not a finite number.
        """
        require_time(time_s)
        if time_s < self._last_s:
            self.reset()
        self._last_s = time_s
        if (poses.track_id < 0).any():
            return poses.largest(self.count)
        size = _sizes(poses)
        for track_id in self._seen_s.keys() & size.keys():
            self._seen_s[track_id] = time_s
        self._seen_s = {each: at for each, at in self._seen_s.items() if time_s - at <= _PATIENCE_S}
        others = [each for each in size if each not in self._seen_s]  # the largest first
        for track_id in others[: self.count - len(self._seen_s)]:
            self._seen_s[track_id] = time_s
        self._give_way(size, time_s)
        return poses.select(np.isin(poses.track_id, list(self._seen_s)))

    def _give_way(self, size: Mapping[int, float], time_s: float) -> None:
        """Let a much larger newcomer take the place of the smallest one who is seen."""
        here = [each for each in size if each in self._seen_s]
        others = [each for each in size if each not in self._seen_s]
        if not here:
            self._larger_s = {}
            return
        smallest = here[-1]
        larger = [each for each in others if size[each] >= _MUCH * size[smallest]]
        self._larger_s = {each: self._larger_s.get(each, time_s) for each in larger}
        if larger and time_s - self._larger_s[larger[0]] >= _PATIENCE_S:
            del self._seen_s[smallest], self._larger_s[larger[0]]
            self._seen_s[larger[0]] = time_s

    def state(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return all that is remembered, for `restore`."""
        kept = {}
        for name, times in (("seen", self._seen_s), ("larger", self._larger_s)):
            kept[f"{name}_ids"] = np.array(list(times), np.int64)
            kept[f"{name}_s"] = np.array(list(times.values()), np.float64)
        return {**kept, "last_s": np.array(self._last_s)}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Continue from the `state` of another one with the same count.

        Raises:
            KeyError, ValueError: it is not such a state.
        """
        self._seen_s, self._larger_s = (
            dict(zip(state[f"{name}_ids"].tolist(), state[f"{name}_s"].tolist(), strict=True))
            for name in ("seen", "larger")
        )
        self._last_s = float(state["last_s"])


def _sizes(poses: Poses) -> dict[int, float]:
    """Return the areas of everyone's boxes by their ids, the largest first."""
    areas = (poses.box_xyxy[:, 2:] - poses.box_xyxy[:, :2]).prod(axis=1)
    order = np.argsort(-areas, kind="stable")
    return dict(zip(poses.track_id[order].tolist(), areas[order].tolist(), strict=True))
