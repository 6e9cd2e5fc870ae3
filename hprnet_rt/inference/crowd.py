"""When to look closer: people who are many and small, seen over some frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hprnet_rt.types import Poses

__all__ = ["CrowdWatch", "WatchMemory"]

_MANY: Final = 8
"""Least number of people who are many."""
_FEW: Final = 6
"""Fewer people than this are many no longer."""
_SMALL: Final = 1 / 8
"""Largest median height of people who are small, of the picture's longer side: 48 px of an input of 384."""
_LARGE: Final = 5 / 32
"""From this median height on they are small no longer: 60 px of an input of 384."""

_TO_CLOSER: Final = (12, 15)
"""In so many of the last frames people must be many and small before the network looks closer."""
_TO_USUAL: Final = (36, 45)
"""In so many of the last frames they must not be, before it looks as usual again."""
_DOUBT_EVERY: Final = 50
"""While nobody is found, or only few who are small, the first frame and every such frame is looked at a
second time, closer: others may be too small to be found."""


def _are_small(poses: Poses, image_hw: tuple[int, int], largest: float) -> bool:
    """Return whether the median height of people is at most a share of the longer side; nobody is small."""
    heights = poses.box_xyxy[:, 3] - poses.box_xyxy[:, 1]
    return not len(poses) or bool(np.median(heights) <= largest * max(image_hw))


class CrowdWatch:
    """Decides for each frame how the next one is looked at, from the boxes found so far and nothing else.

    The same frames give the same decisions. One thread calls it.

    Args:
        remember: keep the state after every frame, for a `WatchMemory` in another thread.

    Attributes:
        close: the next frame is looked at closer.
        frames, closer: frames so far, and those of them that were looked at closer.
        states: after each frame, oldest first; None unless it remembers.
    """

    def __init__(self, *, remember: bool = False) -> None:
        self.close = False
        self.frames = self.closer = 0
        self._votes: deque[bool] = deque()  # for a change
        self._doubtful = 0  # frames running
        self.states: deque[dict[str, npt.NDArray[Any]]] | None = deque() if remember else None

    @staticmethod
    def is_crowd(poses: Poses, image_hw: tuple[int, int]) -> bool:
        """Return whether people are many and small in a picture of this height and width."""
        return len(poses) >= _MANY and _are_small(poses, image_hw, _SMALL)

    @staticmethod
    def may_lack(poses: Poses, image_hw: tuple[int, int]) -> bool:
        """Return whether people may have been missed because of their size: those who are found are small."""
        return _are_small(poses, image_hw, _SMALL)

    def doubts(self, poses: Poses, image_hw: tuple[int, int]) -> bool:
        """Return whether a frame that was looked at as usual, with this result, is to be looked at again."""
        return self._is_doubtful(poses, image_hw) and self._doubtful % _DOUBT_EVERY == 0

    def _is_doubtful(self, poses: Poses, image_hw: tuple[int, int]) -> bool:
        return len(poses) < _MANY and self.may_lack(poses, image_hw)

    def saw(self, poses: Poses, image_hw: tuple[int, int], *, closer: bool) -> None:
        """Take the people of a frame.

        Args:
            poses: everyone who was found.
            image_hw: height and width of the picture.
            closer: they were found by looking closer.
        """
        self.frames += 1
        self.closer += closer
        self._doubtful = self._doubtful + 1 if self._is_doubtful(poses, image_hw) else 0
        if self.close:
            needed, window = _TO_USUAL
            self._votes.append(len(poses) < _FEW or not _are_small(poses, image_hw, _LARGE))
        else:
            needed, window = _TO_CLOSER
            self._votes.append(self.is_crowd(poses, image_hw))
        if len(self._votes) > window:
            self._votes.popleft()
        if sum(self._votes) >= needed or (closer and not self.close):
            self.close = not self.close
            self._votes.clear()
        if self.states is not None:
            self.states.append(self.state())

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return all that decisions depend on, for `restore`."""
        counts = (self.close, self._doubtful, self.frames, self.closer)
        return {"counts": np.array(counts, np.int64), "votes": np.array(self._votes, np.bool_)}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Continue from such a state.

        Raises:
            KeyError, ValueError: it is not such a state.
        """
        close, self._doubtful, self.frames, self.closer = state["counts"].tolist()
        self.close = bool(close)
        self._votes = deque(state["votes"].tolist())


class WatchMemory:
    """A temporal step that changes nobody, and knows a watch's state as of the frames that have come to it.

    The watch is ahead: it has seen the frames that are still on their way.

    Args:
        watch: that remembers.
    """

    def __init__(self, watch: CrowdWatch) -> None:
        assert watch.states is not None
        self._watch, self._states = watch, watch.states
        self._now = watch.state()

    def __call__(self, poses: Poses, time_s: float) -> Poses:  # noqa: ARG002 - a step gets it
        """Take the next frame."""
        self._now = self._states.popleft()
        return poses

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return the state of the watch after the last frame that came here."""
        return self._now

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Let the watch continue from such a state.

        Raises:
            KeyError, ValueError: it is not such a state.
        """
        self._watch.restore(state)
        self._now = self._watch.state()
