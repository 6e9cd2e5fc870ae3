"""From a rival's maps of one frame to `Poses`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from hprnet_rt import skeleton
from hprnet_rt.errors import UsageError
from hprnet_rt.grouping.grouper import MATCHINGS, GroupingOptions
from hprnet_rt.grouping.rivals import affinity, associative, body18, crops, fields, tables
from hprnet_rt.grouping.rivals.placement import Placement
from hprnet_rt.spec import Field, ModelSpec, PeakLayout
from hprnet_rt.spec.rivals import FINE
from hprnet_rt.types import Peaks, Poses

__all__ = ["BodyAndCrops", "Look", "RivalGrouper", "maps_of", "peaks_of"]

FloatArray = npt.NDArray[np.float32]
ImageArray = npt.NDArray[np.uint8]

Look = Callable[[ImageArray], FloatArray]
"""Runs a network on a square picture (side, side, 3) BGR: heat-maps (C, side / 8, side / 8)."""

_AFFINITY: Final = {
    "openpose-body25": (tables.BODY25_PAIRS, tables.BODY25_FIELDS, tables.BODY25_TO_133),
    "openpose-body135": (tables.BODY135_PAIRS, tables.BODY135_FIELDS, tables.BODY135_TO_133),
}
_MIDDLE: Final = 0.5  # of a pixel
_HAND_HW, _FACE_HW = (368, 368), (384, 384)


def _shapes(spec: ModelSpec, input_hw: tuple[int, int]) -> list[tuple[int, int, int]]:
    """Return the shape (C, h, w) of each head's maps."""
    found = []
    for head in spec.heads:
        stride = spec.stride_px // 2 if head.name == FINE else spec.stride_px
        found.append((head.channels, input_hw[0] // stride, input_hw[1] // stride))
    return found


def peaks_of(spec: ModelSpec, values: FloatArray, placement: Placement) -> Peaks:
    """Return what a backend has found, (runs, values): all maps of the picture, and of the mirrored one."""
    widths = [int(np.prod(shape)) for shape in _shapes(spec, placement.input_hw)]
    starts = np.cumsum([0, *widths[:-1]]).tolist()
    names = [head.name for head in spec.heads]
    layout = PeakLayout(tuple(Field(*each) for each in zip(names, starts, widths, strict=True)))
    return Peaks(values, layout, placement)


def maps_of(spec: ModelSpec, peaks: Peaks) -> list[list[FloatArray]]:
    """Return the maps (C, h, w) of each head, for each run."""
    shapes = _shapes(spec, peaks.letterbox.input_hw)
    columns = peaks.layout.columns.values()
    return [
        [run[column].reshape(shape) for column, shape in zip(columns, shapes, strict=True)]
        for run in peaks.packed
    ]


class RivalGrouper:
    """Turns the maps of a rival's network into people. Compiles its kernels when it is made.

    Who counts as a person, the network's own rules decide; `options.person_threshold` may ask for more.

    Args:
        spec: the network.
        options: only the threshold of people is read.

    Raises:
        UsageError: the options ask for what only HPRNet's peaks have.
        BackendError: a package is missing.
    """

    def __init__(self, spec: ModelSpec, options: GroupingOptions | None = None) -> None:
        self.spec = spec
        self.options = options or GroupingOptions(person_threshold=0.0)
        if self.options.matching != MATCHINGS[0]:
            raise UsageError(
                f"{spec.name} makes people in its own way; leave --matching out (it got "
                f"{self.options.matching!r})"
            )
        if spec.decoding == "associative":
            associative.require_solver()
        self._compile()

    def _compile(self) -> None:
        """Run once on maps with one peak of everything."""
        side = 2 * self.spec.multiple_px
        placement = Placement((side, side), (side, side), (side, side), (0, 0), decoding=self.spec.decoding)
        values = np.zeros((1, sum(map(np.prod, _shapes(self.spec, (side, side))))), np.float32)
        peaks = peaks_of(self.spec, values, placement)
        for maps in maps_of(self.spec, peaks)[0]:
            maps[:, maps.shape[1] // 2, maps.shape[2] // 2] = 0.9
        self(peaks)

    def __call__(self, peaks: Peaks) -> Poses:
        """Return everyone who scores at least the threshold, strongest first, in image pixels.

        Boxes are those of the points, and end at the image's border.
        """
        assert isinstance(peaks.letterbox, Placement)
        points, score = self.points(peaks)
        return self._poses(points, score, peaks.letterbox.image_hw)

    def keep_warm(self) -> None:
        """Do nothing: a decode of whole maps takes milliseconds, whatever the processor's caches hold."""

    def points(self, peaks: Peaks) -> tuple[FloatArray, FloatArray]:
        """Return x, y and score (N, 133, 3) of everyone's points, NaN where absent, and their scores (N,)."""
        placement = peaks.letterbox
        assert isinstance(placement, Placement)
        runs = maps_of(self.spec, peaks)
        if self.spec.decoding == "body18":
            return self._body18(runs[0], placement)
        if self.spec.decoding == "affinity":
            return self._affinity(runs[0], placement)
        return self._associative(runs, placement)

    def _body18(self, maps: list[FloatArray], placement: Placement) -> tuple[FloatArray, FloatArray]:
        heat, paf = maps
        sizes = (placement.input_hw, placement.inner_hw, placement.image_hw)
        found = body18.decode(
            body18.to_image_size(heat[: body18.PARTS], *sizes), body18.to_image_size(paf, *sizes)
        )
        member = found.subset[:, : body18.PARTS].astype(np.int64)
        parts = _looked_up(found.candidate[:, :3], member)
        parts[..., :2] += _MIDDLE
        most = body18.PARTS + len(tables.BODY18_PAIRS)
        return _ours(parts, tables.BODY18_TO_133), (found.subset[:, body18.PARTS] / most).astype(np.float32)

    def _affinity(self, maps: list[FloatArray], placement: Placement) -> tuple[FloatArray, FloatArray]:
        heat, paf = maps
        pairs, channels, ours = _AFFINITY[self.spec.name]
        height, width = placement.image_hw
        inner_h, inner_w = placement.inner_hw
        back = min((width - 1) / max(inner_w - 1, 1), (height - 1) / max(inner_h - 1, 1)) or 1.0
        parts = pairs.max() + 1
        stride = self.spec.stride_px
        peaks = fields.find_peaks(heat[:parts], stride, _MIDDLE / back)
        people = affinity.assemble(peaks, fields.connect(paf, pairs, channels, peaks, stride), pairs)
        values = np.concatenate((peaks.xy * np.float32(back), peaks.score[:, None]), axis=1)
        return _ours(_looked_up(values, people.peak), ours), people.total / (parts + len(pairs))

    def _associative(
        self, runs: list[list[FloatArray]], placement: Placement
    ) -> tuple[FloatArray, FloatArray]:
        heat, tags = associative.to_input_size(runs, placement.input_hw)
        people = associative.match(associative.find_candidates(heat, tags))
        score = people[:, :, 2].mean(axis=1)
        points = associative.refine(associative.adjust(people, heat), heat, tags)[..., :3]
        absent = points[..., 2] <= 0
        points[..., :2] = (points[..., :2] - np.array(placement.shift, np.float32)) / placement.scale
        points[absent] = np.nan
        return points, score

    def _poses(self, points: FloatArray, score: FloatArray, image_hw: tuple[int, int]) -> Poses:
        order = np.argsort(-score, kind="stable")
        order = order[score[order] >= self.options.person_threshold]
        xy = points[order, :, :2].astype(np.float32)
        value = np.clip(np.nan_to_num(points[order, :, 2]), 0, 1).astype(np.float32)
        xy[value <= 0] = np.nan
        value[np.isnan(xy[..., 0])] = 0
        return Poses(
            xy,
            value,
            _boxes(xy, image_hw),
            _boxes(xy[:, skeleton.FACE], image_hw),
            np.clip(score[order], 0, 1).astype(np.float32),
            np.full(len(order), -1, np.int64),
        )


class BodyAndCrops(RivalGrouper):
    """OpenPose as its users know it: two more networks look at each person's hands and face.

    It runs them, so its time grows with the people.

    Args:
        spec: of the body's network.
        options: see `RivalGrouper`.
        hand, face: run the other networks.
    """

    def __init__(self, spec: ModelSpec, options: GroupingOptions | None, hand: Look, face: Look) -> None:
        self._hand, self._face = hand, face
        super().__init__(spec, options)
        crops.face_points(np.zeros((1, 2, 2), np.float32), (2, 2))  # compiles it

    def points(self, peaks: Peaks) -> tuple[FloatArray, FloatArray]:
        """Return everyone's points as `RivalGrouper` does, with those of hands and faces."""
        points, score = super().points(peaks)
        placement = peaks.letterbox
        assert isinstance(placement, Placement)
        if placement.image is not None:
            for person in points:
                self.add_parts(person, placement.image)
        return points, score

    def add_parts(self, person: FloatArray, image: ImageArray) -> None:
        """Fill in the points of the hands and the face of a person (133, 3), in place."""
        hw = (image.shape[0], image.shape[1])
        body = np.full((body18.PARTS, 2), np.nan)
        for ours, part in enumerate(tables.BODY18_TO_133):
            if part >= 0:
                body[part] = person[ours, :2] - _MIDDLE  # the original counts from a pixel's middle
        for crop in crops.hand_crops(body, hw):
            cut = _cut(image, crop)
            low = self._hand(_resized(cut, _HAND_HW, cv2.INTER_CUBIC))
            heat = body18.to_image_size(low[: crops.HAND_POINTS], _HAND_HW, _HAND_HW, cut.shape[:2])
            where = skeleton.REGIONS["left_hand" if crop.is_left else "right_hand"]
            person[where] = _placed(crops.hand_points(heat), crop)
        for crop in crops.face_crops(body, hw):
            cut = _cut(image, crop)
            kind = cv2.INTER_AREA if min(cut.shape[:2]) > _FACE_HW[0] else cv2.INTER_LANCZOS4
            low = self._face(_resized(cut, _FACE_HW, kind))
            found = crops.face_points(low, cut.shape[:2])
            person[skeleton.FACE] = _placed(found[: crops.FACE_POINTS], crop)


def _cut(image: ImageArray, crop: crops.Crop) -> ImageArray:
    return image[crop.y : crop.y + crop.side, crop.x : crop.x + crop.side]


def _resized(image: ImageArray, size_hw: tuple[int, int], kind: int) -> ImageArray:
    return np.asarray(cv2.resize(image, size_hw[::-1], interpolation=kind), np.uint8)


def _placed(points: Any, crop: crops.Crop) -> FloatArray:
    """Return the points (n, 3) of a crop in the image."""
    return np.asarray(points + np.array((crop.x + _MIDDLE, crop.y + _MIDDLE, 0)), np.float32)


def _looked_up(values: npt.NDArray[Any], member: npt.NDArray[np.int64]) -> FloatArray:
    """Return the values (n, 3) of each person's parts (N, parts), NaN where absent."""
    padded = np.concatenate((values, np.full((1, 3), np.nan)))
    return padded[member].astype(np.float32)


def _ours(parts: FloatArray, where: npt.NDArray[np.int64]) -> FloatArray:
    """Return our 133 points of parts (N, parts, 3)."""
    padded = np.concatenate((parts, np.full_like(parts[:, :1], np.nan)), axis=1)
    return padded[:, where]


def _boxes(xy: FloatArray, image_hw: tuple[int, int]) -> FloatArray:
    """Return boxes (N, 4) around points (N, n, 2), cut at the image's border; NaN around none."""
    boxes = np.full((len(xy), 4), np.nan, np.float32)
    limit = np.array((image_hw[1], image_hw[0]), np.float32)
    for box, points in zip(boxes, xy, strict=True):
        found = points[np.isfinite(points[:, 0])]
        if len(found):
            box[:2], box[2:] = np.clip(found.min(axis=0), 0, limit), np.clip(found.max(axis=0), 0, limit)
    return boxes
