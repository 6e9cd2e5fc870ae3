"""The time line of a file, which its reader, its sound and what is made of it share."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import av

__all__ = ["TimeLine", "as_fraction", "read_timeline"]

_LATEST_BEGIN_S: Final = 2
"""Files that begin later, as pieces of a broadcast do, are moved to 0. Transport streams begin at 1.4 s."""
_PRIMING_S: Final = Fraction(1, 10)
"""Sound may begin so much before 0 with samples that no player plays."""


def as_fraction(rational: Any) -> Fraction | None:
    """Convert a rational number of PyAV, which has its own type since version 19; None for None and 0."""
    return Fraction(rational.numerator, rational.denominator) if rational else None


@dataclass(frozen=True)
class TimeLine:
    """When a file begins and ends, in seconds of its own clock.

    Attributes:
        begin_s: the first time of its pictures and its sound.
        end_s: the end of the last picture, None where the file does not say it.
    """

    begin_s: Fraction = Fraction(0)
    end_s: Fraction | None = None

    def origin_s(self, first_s: Fraction) -> Fraction:
        """Return the time that becomes 0 in what is made of the file: 0 unless it begins late or before 0.

        Args:
            first_s: the time of its first picture.
        """
        least_s = -_PRIMING_S if first_s >= 0 else 0
        return Fraction(0) if least_s <= self.begin_s <= _LATEST_BEGIN_S else min(self.begin_s, first_s)


def read_timeline(container: av.container.InputContainer, stream: av.VideoStream) -> TimeLine:
    """Read the time line of a file that is open.

    Args:
        container: the file.
        stream: its pictures.
    """
    begins = [_seconds(each, each.start_time) for each in (stream, *container.streams.audio)]
    first_s = _seconds(stream, stream.start_time)
    length_s = _seconds(stream, stream.duration)
    # other containers know the length of the file, sound included, or guess it
    says_end = "mov" in container.format.name.split(",")
    end_s = None if not says_end or first_s is None or length_s is None else first_s + length_s
    return TimeLine(min((each for each in begins if each is not None), default=Fraction(0)), end_s)


def _seconds(stream: av.stream.Stream, time: int | None) -> Fraction | None:
    base = as_fraction(stream.time_base)
    return None if time is None or base is None else time * base
