"""Numbered images as a video: `frames/img_%04d.png`."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Final

from hprnet_rt.errors import MediaError, UsageError
from hprnet_rt.types import Frame
from hprnet_rt.video.image import ImageSource, of_size
from hprnet_rt.video.media import LEAST_RATE, MediaInfo, sequence_files
from hprnet_rt.words import counted

__all__ = ["DEFAULT_RATE", "SequenceSource", "require_rate"]

_log = logging.getLogger(__name__)

DEFAULT_RATE: Final = Fraction(25)
"""Frames a second of numbered images, unless the user gives another rate."""

_MOST_RATE: Final = 10_000
_MAX_DENOMINATOR: Final = 100_000  # of a rate, so that every container can hold it


def require_rate(rate: Fraction) -> None:
    """Check that a video can have this rate.

    Raises:
        UsageError: the rate is out of range.
    """
    if not LEAST_RATE <= rate <= _MOST_RATE:
        raise UsageError(f"the rate is {float(LEAST_RATE):g} to {_MOST_RATE} frames a second, got {rate}")


class SequenceSource:
    """Iterates numbered images once, as frames of a video.

    Numbers may begin anywhere and go in steps. An image is shown at the time of its number: where some are
    missing, the image before them is shown longer. All are scaled to the size of the first.

    Args:
        pattern: a path with %d, %04d or the like in its name.
        rate: frames a second.

    Attributes:
        path: the pattern.
        info: size, rate and the number of images.
        damage: which images could not be read, known after the iteration; None when all was well.

    Raises:
        UsageError: no image matches, or no container holds the rate.
        MediaError: the first image cannot be read.
    """

    def __init__(self, pattern: Path, rate: Fraction = DEFAULT_RATE) -> None:
        require_rate(rate)
        rate = rate.limit_denominator(_MAX_DENOMINATOR)
        self.damage: str | None = None
        self.path = pattern
        self._files = sequence_files(pattern)
        if not self._files:
            raise UsageError(f"no file matches {pattern}")
        numbers = [number for number, _ in self._files]
        self._step = math.gcd(*(after - before for before, after in pairwise(numbers))) or 1
        missing = (numbers[-1] - numbers[0]) // self._step + 1 - len(numbers)
        if missing:
            _log.warning(
                "%s lacks %d of the numbers %d to %d: the image before a gap lasts longer",
                pattern,
                missing,
                numbers[0],
                numbers[-1],
            )
        first = ImageSource(self._files[0][1]).info
        self.info = MediaInfo(
            str(pattern),
            first.width,
            first.height,
            rate=rate,
            time_base=1 / rate,
            frames=len(numbers),
        )

    def __iter__(self) -> Iterator[Frame]:
        """Yield the images in the order of their numbers, without those that cannot be read."""
        unreadable: list[str] = []
        damaged: list[str] = []
        sequence = 0
        for number, file in self._files:
            try:
                source = ImageSource(file)
            except MediaError as error:
                unreadable.append(str(error))
                continue
            if source.damage:
                damaged.append(source.damage)
            (frame,) = source
            image = of_size(frame.image, self.info.width, self.info.height)
            pts = (number - self._files[0][0]) // self._step
            yield Frame(sequence, image, time.perf_counter(), pts, self.info.time_base)
            sequence += 1
        of_all = f"of {counted(len(self._files), 'image')}"
        if unreadable:
            self.damage = (
                f"{self.path}: {len(unreadable)} {of_all} not in the output; the first: {unreadable[0]}"
            )
        elif damaged:
            self.damage = f"{self.path}: {len(damaged)} {of_all} damaged; the first: {damaged[0]}"

    def close(self) -> None:
        """Nothing is held open."""
