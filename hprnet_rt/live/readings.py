"""What a viewer of a live run gets: finished frames, and the state of the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hprnet_rt.pipeline import Recent
from hprnet_rt.types import FramePoses

__all__ = ["Readings", "Shown"]


@dataclass(frozen=True, eq=False)
class Shown:
    """A finished frame. Its images may still be being written: do not change them.

    Attributes:
        result: the frame with skeletons drawn on it, and its poses, in the camera's own pixels.
        picture: (H, W, 3) uint8 BGR, as a viewer sees it: mirrored if `Session.mirror` is set.
    """

    result: FramePoses
    picture: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Readings:
    """The state of a run; rates and means are over the last seconds.

    Attributes:
        fps: frames shown per second, falling to 0 when no more come.
        age_ms: mean age of a frame when it was shown.
        people: number of people in the last frame.
        shown, dropped: frames since the start; dropped ones were replaced by newer ones.
        stages: rate and mean times of the capture, of those of `Session.stages` that have seen a frame, and
            of `WRITING` while there is something to write.
        paused: the run is paused.
        recording: the file that is being recorded, None when none is.
        recorded: the recording that was completed last, None before the first.
        trouble: the fault of the source, "" while pictures come; otherwise the reason why a recording ended.
    """

    fps: float
    age_ms: float
    people: int
    shown: int
    dropped: int
    stages: Mapping[str, Recent]
    paused: bool
    recording: Path | None
    recorded: Path | None
    trouble: str
