"""The rate of a video's pictures: as its file states it, or as measured where that cannot be."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Final

import av

from hprnet_rt.errors import MediaError
from hprnet_rt.video.opening import open_input, video_stream
from hprnet_rt.video.timeline import as_fraction

__all__ = ["picture_rate"]

_BELIEVED_RATE: Final = 100
_TICKS: Final = 10
"""A higher rate whose pictures are fewer units of the clock apart may be the clock itself."""
_MEASURED_S: Final = 60
_ALIKE: Final = Fraction(1, 20)
_MOST_DENOMINATOR: Final = 1001


def picture_rate(stream: av.VideoStream, path: Path | str) -> tuple[Fraction | None, bool]:
    """Return the pictures a second of a file, and whether its own statement was believed.

    A browser's recording says 1000, which is its clock: then the rate is that of the first minute's pictures.
    """
    stated = as_fraction(stream.average_rate) or as_fraction(stream.guessed_rate)
    base = as_fraction(stream.time_base)
    if stated is None or base is None or stated <= _BELIEVED_RATE or stated * base * _TICKS <= 1:
        return stated, True
    measured = _measured_rate(path)
    if measured is None or abs(measured - stated) <= _ALIKE * stated:
        return stated, True
    return measured, False


def _measured_rate(path: Path | str) -> Fraction | None:
    times: list[Fraction] = []
    try:
        with open_input(path) as container:
            for packet in container.demux(video_stream(container, path)):
                base = as_fraction(packet.time_base)
                if packet.pts is None or base is None or packet.is_discard:
                    continue
                times.append(packet.pts * base)
                if times[-1] - times[0] > _MEASURED_S:
                    break
    except (MediaError, av.FFmpegError):
        pass  # the rate of what can be read
    steps = [after - before for before, after in pairwise(sorted(times)) if after > before]
    return (
        Fraction(len(steps), sum(steps, Fraction(0))).limit_denominator(_MOST_DENOMINATOR) if steps else None
    )
