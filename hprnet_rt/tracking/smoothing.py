"""Points that do not jitter: the One-Euro filter, live, and without lag for whole sequences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hprnet_rt import skeleton
from hprnet_rt.errors import UsageError
from hprnet_rt.grouping.compiled import kernel
from hprnet_rt.tracking.spool import PoseSpool
from hprnet_rt.tracking.tracker import require_time
from hprnet_rt.types import Poses

__all__ = ["OneEuro", "OneEuroOptions", "both_ways", "smooth_both_ways"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

_LEAST_TRUST = 0.1  # a point with a score near 0 still follows what is seen, slowly


@dataclass(frozen=True)
class OneEuroOptions:
    """Options of `OneEuro`. A size is the longer side of a person's box.

    Attributes:
        still_hz: cut-off for a point that stands still; lower jitters less.
        quick: increase of the cut-off with speed, in Hz for each size a second; higher lags less.
        speed_hz: cut-off of the speed itself.
        trusted_score: the cut-off of a point with a lower score is lowered in proportion.

    Examples:
        >>> calmer = hprnet_rt.OneEuro(hprnet_rt.OneEuroOptions(still_hz=0.3))
    """

    still_hz: float = 0.7
    quick: float = 5.0
    speed_hz: float = 1.0
    trusted_score: float = 0.5

    def __post_init__(self) -> None:
        for name in ("still_hz", "speed_hz"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise UsageError(f"{name} is a frequency above 0, got {value}")
        if not (math.isfinite(self.quick) and self.quick >= 0.0):
            raise UsageError(f"quick is 0 or more, got {self.quick}")
        if not 0.0 < self.trusted_score <= 1.0:
            raise UsageError(f"trusted_score is above 0 and at most 1, got {self.trusted_score}")


class _Filter(NamedTuple):
    """`OneEuroOptions` as the kernel reads them."""

    still_hz: float
    quick: float
    speed_hz: float
    trusted_score: float


class _History(NamedTuple):
    """People after the last step of the filter.

    Attributes:
        ids: (M,).
        xy: (M, 133, 2) px, smoothed; NaN where absent.
        speed: (M, 133, 2) px/s.
    """

    ids: IntArray
    xy: FloatArray
    speed: FloatArray


_NOBODY = _History(
    np.zeros(0, np.int64),
    np.zeros((0, skeleton.NUM_KEYPOINTS, 2), np.float32),
    np.zeros((0, skeleton.NUM_KEYPOINTS, 2), np.float32),
)


@kernel
def _gain(cutoff_hz: float, step_s: float) -> float:
    """Return the new value's weight in a first-order low-pass filter (Casiez et al., equations 2 and 3)."""
    return step_s / (step_s + 1.0 / (2.0 * math.pi * cutoff_hz))


@kernel
def _smooth(
    xy: FloatArray,
    score: FloatArray,
    box: FloatArray,
    ids: IntArray,
    history: _History,
    step_s: float,
    options: _Filter,
) -> tuple[FloatArray, FloatArray]:
    """Take one step of the filter.

    Args:
        xy: (N, 133, 2) px with NaN where absent.
        score: (N, 133).
        box: (N, 4) xyxy.
        ids: (N,), negative for none.
        history: the people after the step before.
        step_s: time since then, above 0.
        options: of the filter.

    Returns:
        xy in px and speed in px/s, (N, 133, 2) each.
    """
    result, speed = xy.copy(), np.zeros_like(xy)
    speed_gain = _gain(options.speed_hz, step_s)
    for n in range(len(ids)):
        m = 0
        while m < len(history.ids) and history.ids[m] != ids[n]:
            m += 1
        if ids[n] < 0 or m == len(history.ids):
            continue
        old_xy, old_speed = history.xy[m], history.speed[m]
        size = max(box[n, 2] - box[n, 0], box[n, 3] - box[n, 1], 1.0)
        for p in range(xy.shape[1]):
            dx, dy = xy[n, p, 0] - old_xy[p, 0], xy[n, p, 1] - old_xy[p, 1]
            if not (dx == dx and dy == dy):  # NaN: absent now or before
                continue
            vx = old_speed[p, 0] + speed_gain * (dx / step_s - old_speed[p, 0])
            vy = old_speed[p, 1] + speed_gain * (dy / step_s - old_speed[p, 1])
            trust = min(1.0, max(_LEAST_TRUST, score[n, p] / options.trusted_score))
            quickness_hz = options.quick * math.sqrt(vx * vx + vy * vy) / size
            gain = _gain(trust * (options.still_hz + quickness_hz), step_s)
            result[n, p, 0] = old_xy[p, 0] + gain * dx
            result[n, p, 1] = old_xy[p, 1] + gain * dy
            speed[n, p, 0], speed[n, p, 1] = vx, vy
    return result, speed


class OneEuro:
    """Smooths every point of every person who has an id. Use one for each video, in one thread.

    A point that stands still is smoothed the most, one that moves fast hardly at all, and one with a low
    score keeps nearer to its history. Speeds are measured in sizes of the person, so that near and far people
    are treated alike. Only points change: scores and boxes stay, and an absent point stays absent.

    The history of a point is that of the frame before. A new person, one without an id, and a point or
    person that was absent in that frame start without a history, as does everyone when time does not go
    forward.

    Args:
        options: how much is smoothed.

    Examples:
        >>> smooth = hprnet_rt.OneEuro()
        >>> for frame, poses in hprnet_rt.stream("video.mp4"):
        ...     steady = smooth(poses, frame.pts_s)

    Source: Casiez, Roussel and Vogel, "1€ Filter: A Simple Speed-based Low-pass Filter for Noisy Input in
    Interactive Systems" (2012), with one cut-off for both axes of a point.
    """

    def __init__(self, options: OneEuroOptions | None = None) -> None:
        self.options = options or OneEuroOptions()
        self._filter = _Filter(
            still_hz=float(self.options.still_hz),
            quick=float(self.options.quick),
            speed_hz=float(self.options.speed_hz),
            trusted_score=float(self.options.trusted_score),
        )
        self._last_s = math.inf
        self._history = _NOBODY
        self._compile()

    def _compile(self) -> None:
        """Run once on nobody, so that no frame waits for the compiler."""
        self(Poses.empty(), 0.0)
        self(Poses.empty(), 1.0)
        self.reset()

    def __call__(self, poses: Poses, time_s: float) -> Poses:
        """Return the same people in the same order with smoothed points.

        Args:
            poses: everyone in one frame, with ids.
            time_s: the frame's time, in seconds from any start.

        Raises:
            UsageError: the time is not a finite number.
        """
        require_time(time_s)
        step_s = time_s - self._last_s
        if step_s <= 0.0:
            self._history = _NOBODY
            step_s = 1.0
        xy, speed = _smooth(
            poses.xy, poses.score, poses.box_xyxy, poses.track_id, self._history, step_s, self._filter
        )
        self._history, self._last_s = _History(poses.track_id, xy, speed), time_s
        return replace(poses, xy=xy.copy())

    def state(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return all that the filter remembers, for `restore`."""
        return {**self._history._asdict(), "last_s": np.array(self._last_s)}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Continue from the `state` of a filter with the same options.

        Raises:
            KeyError, ValueError: it is not the state of a filter.
        """
        self._history = _History(*(state[name] for name in _History._fields))
        self._last_s = float(state["last_s"])

    def reset(self) -> None:
        """Forget everyone, as before another video."""
        self._history, self._last_s = _NOBODY, math.inf


def smooth_both_ways(
    sequence: Sequence[tuple[float, Poses]], options: OneEuroOptions | None = None
) -> list[tuple[float, Poses]]:
    """Smooth a whole sequence without lag: the mean of `OneEuro` forwards and backwards in time.

    Args:
        sequence: (seconds, everyone) of each frame in order, with ids.
        options: how much is smoothed.

    Returns:
        the same frames with smoothed points. An absent point stays absent, and a point is not smoothed across
        a frame in which it is absent.

    Raises:
        UsageError: a time is not a finite number.

    Examples:
        >>> found = [(frame.pts_s, poses) for frame, poses in hprnet_rt.stream("video.mp4")]
        >>> len(hprnet_rt.smooth_both_ways(found)) == len(found)
        True
    """
    return list(both_ways(sequence, [], options))


def both_ways(
    sequence: Sequence[tuple[float, Poses]],
    behind: list[tuple[float, Poses]] | PoseSpool,
    options: OneEuroOptions | None = None,
) -> Iterator[tuple[float, Poses]]:
    """Yield the frames of `smooth_both_ways` one after the other.

    Args:
        sequence: (seconds, everyone) of each frame in order, with ids.
        behind: empty; the frames smoothed backwards in time are appended to it.
        options: how much is smoothed.
    """
    forwards, backwards = OneEuro(options), OneEuro(options)
    for time_s, poses in reversed(sequence):
        behind.append((time_s, backwards(poses, -time_s)))
    for n, (time_s, poses) in enumerate(sequence, start=1):
        _, other = behind[len(sequence) - n]
        yield time_s, replace(poses, xy=(forwards(poses, time_s).xy + other.xy) * np.float32(0.5))
