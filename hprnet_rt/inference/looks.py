"""How a picture is looked at where that is left to the program: as usual, or closer."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, Self

import numpy as np
import numpy.typing as npt

from hprnet_rt.geometry import Letterbox
from hprnet_rt.inference.crowd import CrowdWatch
from hprnet_rt.inference.preparation import part_of
from hprnet_rt.inference.regions import Corners, merged
from hprnet_rt.pipeline import Stage
from hprnet_rt.types import Frame, FramePoses, Peaks, Planes, Poses

__all__ = ["AUTO", "CLOSER", "Look", "Looks", "find_closely", "regions_by_shape", "watching_stages"]

_log = logging.getLogger(__name__)

ImageArray = npt.NDArray[np.uint8]
Picture = ImageArray | Planes

AUTO: Final = "auto"
"""The size or the regions that are chosen from what is found."""
CLOSER: Final = 2
"""Times the usual size of the input is the size with which the network looks closer."""

_WIDE: Final = 2.0
"""From this ratio of its sides on a picture is wide (or tall), and always looked at in parts."""
_PART: Final = 16 / 9
"""Greatest ratio of the sides of a part of a wide picture, unless there would be too many parts."""
_MOST_PARTS: Final = 6
_SHARED: Final = 0.5
"""Overlap of the parts of a wide picture, of its shorter side: a person fits into it."""
_HALF: Final = 9 / 16
"""Share of the longer side that each of two halves has: small people fit into the overlap."""


class LooksCloser(Protocol):
    """A network that can look closer: a `PoseModel`."""

    @property
    def usual_px(self) -> int:
        """Longer side of its usual input."""
        ...

    def prepare(self, picture: Picture) -> tuple[ImageArray, Letterbox]:
        """Scale a picture to the input."""
        ...

    def infer(self, batch: ImageArray, letterbox: Letterbox) -> Peaks:
        """Run the network."""
        ...

    def group(self, peaks: Peaks, /) -> Poses:
        """Turn peaks into people."""
        ...

    def closer(self, input_px: int) -> Self:
        """Return the same network at another size, opened at the first call."""
        ...


@dataclass(frozen=True, eq=False)
class Look:
    """A network, and the parts of a picture that it looks at.

    Attributes:
        model: the network.
        parts: rectangles of the picture; the whole picture when empty.
        closer: it is not the usual look.
    """

    model: LooksCloser
    parts: tuple[Corners, ...]
    closer: bool

    def prepare(self, picture: Picture) -> list[tuple[ImageArray, Letterbox]]:
        """Scale each part of a picture, (H, W, 3) BGR or planes, to the network's input."""
        if not self.parts:
            return [self.model.prepare(picture)]
        if isinstance(picture, Planes):
            return [self.model.prepare(part_of(picture, each)) for each in self.parts]
        return [
            self.model.prepare(picture[top:bottom, left:right]) for left, top, right, bottom in self.parts
        ]

    def find(
        self,
        prepared: list[tuple[ImageArray, Letterbox]],
        image_hw: tuple[int, int],
        group: Callable[[Peaks], Poses],
    ) -> Poses:
        """Return everyone in a picture of this height and width, of which `prepare` has made the inputs."""
        found = [group(self.model.infer(*each)) for each in prepared]
        height, width = image_hw
        return merged(found, self.parts, width, height) if self.parts else found[0]


class Looks:
    """The two ways to look at pictures: as usual and closer.

    By size, the usual look is at the network's own size, and the closer one at twice that. By regions, a wide
    picture is always looked at as a whole and in parts; another one as a whole, and closer as a whole and in
    two halves.

    Args:
        model: the network.
        regions: choose regions, not the size.
        wait: opening the network for the closer look may keep the caller waiting; otherwise it is opened in a
            thread, and there is no closer look before that is done.
    """

    def __init__(self, model: LooksCloser, *, regions: bool = False, wait: bool = True) -> None:
        self.model = model
        self._regions, self._wait = regions, wait
        self._usual_px = model.usual_px
        self._opening: threading.Thread | None = None
        self._opened: LooksCloser | None = None
        self._error: BaseException | None = None

    def usual(self, image_hw: tuple[int, int]) -> Look:
        """Return how a picture of this height and width is looked at as long as there is no crowd."""
        return Look(self.model, regions_by_shape(image_hw) if self._regions else (), closer=False)

    def closer(self, image_hw: tuple[int, int]) -> Look | None:
        """Return how a crowd is looked at; None where that is no other way, or is not possible yet.

        Raises:
            HprnetError: the network cannot be opened.
        """
        if not self.may_change(image_hw):
            return None
        model = self._model(self._usual_px if self._regions else CLOSER * self._usual_px)
        return None if model is None else Look(model, _halves(image_hw) if self._regions else (), closer=True)

    def may_change(self, image_hw: tuple[int, int]) -> bool:
        """Return whether there is a closer look at pictures of this height and width."""
        return not (self._regions and regions_by_shape(image_hw))

    def text(self, *, closer: bool) -> str:
        """Return what the network looks at, in words, where that may change."""
        if self._regions:
            return "the picture and its halves" if closer else "the picture"
        return f"{CLOSER * self._usual_px if closer else self._usual_px} px"

    def _model(self, input_px: int) -> LooksCloser | None:
        """Return the network for the closer look; None while it is being opened."""
        if self._opened is None and self._wait:
            self._opened = self.model.closer(input_px)
        elif self._opened is None and self._opening is None:
            self._opening = threading.Thread(
                target=self._open, args=(input_px,), name="hprnet-closer", daemon=True
            )
            self._opening.start()
        if self._error is not None:
            raise self._error
        return self._opened

    def _open(self, input_px: int) -> None:
        try:
            self._opened = self.model.closer(input_px)
        except BaseException as error:
            self._error = error


def regions_by_shape(image_hw: tuple[int, int]) -> tuple[Corners, ...]:
    """Return the whole of a wide or tall picture and its overlapping parts; nothing for another picture."""
    height, width = image_hw
    short, long = sorted(image_hw)
    if long < _WIDE * short:
        return ()
    shared = _SHARED * short
    count = min(_MOST_PARTS, math.ceil((long - shared) / (_PART * short - shared)))
    side = (long + (count - 1) * shared) / count
    starts = [round(n * (side - shared)) for n in range(count)]
    ends = [*(round(n * (side - shared) + side) for n in range(count - 1)), long]
    return ((0, 0, width, height), *_along(image_hw, starts, ends))


def _halves(image_hw: tuple[int, int]) -> tuple[Corners, ...]:
    """Return the whole of a picture and its two overlapping halves."""
    long = max(image_hw)
    side = round(_HALF * long)
    return ((0, 0, image_hw[1], image_hw[0]), *_along(image_hw, [0, long - side], [side, long]))


def _along(image_hw: tuple[int, int], starts: list[int], ends: list[int]) -> list[Corners]:
    """Return rectangles one after the other along the longer side of a picture."""
    height, width = image_hw
    if width >= height:
        return [(start, 0, end, height) for start, end in zip(starts, ends, strict=True)]
    return [(0, start, width, end) for start, end in zip(starts, ends, strict=True)]


def _hw_of(picture: Picture) -> tuple[int, int]:
    return picture.image_hw if isinstance(picture, Planes) else (picture.shape[0], picture.shape[1])


def find_closely(looks: Looks, image: ImageArray, group: Callable[[Peaks], Poses] | None = None) -> Poses:
    """Find everyone in a single picture, with a second look where people are small, or none is found.

    The second look counts where its people are many and small, and not fewer.
    """
    return _second_look(looks, image, _first_look(looks, image, group), group)[0]


def _first_look(looks: Looks, picture: Picture, group: Callable[[Peaks], Poses] | None) -> Poses:
    hw = _hw_of(picture)
    look = looks.usual(hw)
    return look.find(look.prepare(picture), hw, group or look.model.group)


def _second_look(
    looks: Looks, picture: Picture, poses: Poses, group: Callable[[Peaks], Poses] | None
) -> tuple[Poses, bool]:
    """Return everyone in a picture after a second look, if that is called for, and whether that counts."""
    hw = _hw_of(picture)
    if not CrowdWatch.may_lack(poses, hw):
        return poses, False
    look = looks.closer(hw)
    if look is None:
        return poses, False
    again = look.find(look.prepare(picture), hw, group or look.model.group)
    counts = CrowdWatch.is_crowd(again, hw) and len(again) >= len(poses)
    return (again, True) if counts else (poses, False)


@dataclass(frozen=True, eq=False)
class _Prepared:
    frame: Frame
    look: Look
    inputs: list[tuple[ImageArray, Letterbox]]


def watching_stages(
    looks: Looks,
    watch: CrowdWatch | None = None,
    group: Callable[[Peaks], Poses] | None = None,
    *,
    stills: bool = False,
) -> list[Stage]:
    """Return the stages from a `Frame` to its `FramePoses` where the look is chosen.

    How a frame is looked at follows from the frames before it, so grouping is part of the stage "engine".

    Args:
        looks: the ways to look.
        watch: chooses between them; a new one when None.
        group: turns peaks into people in place of the model's own.
        stills: frames have nothing to do with each other; see `find_closely`.
    """
    watch = watch or CrowdWatch()

    def picture_of(frame: Frame) -> Picture:
        return frame.planes or frame.image

    def look_for(frame: Frame, *, closer: bool) -> Look:
        hw = frame.image_hw
        return (looks.closer(hw) if closer else None) or looks.usual(hw)

    def prepare(frame: Frame) -> _Prepared:
        look = look_for(frame, closer=watch.close)  # a guess: frames before it are still looked at
        return _Prepared(frame, look, look.prepare(picture_of(frame)))

    def find(item: _Prepared) -> FramePoses:
        hw, before = item.frame.image_hw, watch.close
        look, inputs = look_for(item.frame, closer=before), item.inputs
        closer = look.closer
        if (look.model, look.parts) != (item.look.model, item.look.parts):
            inputs = look.prepare(picture_of(item.frame))
        poses = look.find(inputs, hw, group or look.model.group)
        if not closer and (stills or (not before and watch.doubts(poses, hw))):
            poses, closer = _second_look(looks, picture_of(item.frame), poses, group)
        if stills:
            watch.frames, watch.closer = watch.frames + 1, watch.closer + closer
            return FramePoses(item.frame, poses)
        watch.saw(poses, hw, closer=closer)
        if watch.close != before and looks.may_change(hw):
            are = "are" if watch.close else "are no longer"
            seen = looks.text(closer=watch.close)
            _log.info("frame %d: people %s many and small; looking at %s now", item.frame.sequence, are, seen)
        return FramePoses(item.frame, poses)

    return [Stage("preprocess", prepare), Stage("engine", find)]
