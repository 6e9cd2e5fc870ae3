"""An augmentation stronger than the paper's, for a small network that must work with any camera."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import UsageError
from hprnet_rt.training import colour
from hprnet_rt.training.affine import PART_POINTS, placement_matrix, transform_sample
from hprnet_rt.training.sample import FloatArray, Sample
from hprnet_rt.training.transform import Draw

__all__ = ["StrongAugmentation"]

_HALF = 0.5


@dataclass(frozen=True)
class StrongAugmentation:
    """Mosaic, scaling, shift, mirroring, rotation; then cut-out, colour, low light, blur and JPEG.

    Sizes in pixels refer to the network's input. A fixed `rng` gives a fixed sample.

    Attributes:
        input_hw: height and width of the network's input.
        zoom: range of the scale, uniform in its logarithm; at 1 the image just fits into the input.
        border: margin of the image, as a share of each side, that never holds the view's centre; below 0.5.
        mirror: probability of mirroring.
        turn: probability of a rotation.
        turn_deg: largest rotation, in either direction.
        mosaic: probability that four samples share the input, one in each corner; without `draw` there are no
            mosaics.
        mosaic_zoom: as `zoom`, for a sample in a mosaic.
        mosaic_split: range of the point where the four samples meet, as shares of both sides.
        least_share: a person is ignored if less than this share of the box is still in view.
        jitter: probability of the paper's colour jitter.
        dark: probability of low light with noise.
        dark_gain, dark_noise: ranges of its parameters, see `colour.darken_with_noise`.
        motion: probability of motion blur.
        motion_px: range of its length.
        blur: probability of Gaussian blur; it excludes motion blur.
        blur_px: range of its standard deviation.
        jpeg: probability of JPEG artefacts.
        jpeg_quality: range of JPEG's quality.
        cut: probability of cut-out rectangles in random colours.
        cut_count: largest number of rectangles.
        cut_share: range of their sides, as shares of the shorter side of the input.

    Raises:
        UsageError: a probability or range is not valid.
    """

    input_hw: tuple[int, int] = (512, 512)
    zoom: tuple[float, float] = (0.5, 1.8)
    border: float = 0.2
    mirror: float = 0.5
    turn: float = 0.3
    turn_deg: float = 30.0
    mosaic: float = 0.2
    mosaic_zoom: tuple[float, float] = (0.8, 2.2)
    mosaic_split: tuple[float, float] = (0.35, 0.65)
    least_share: float = 0.1
    jitter: float = 0.8
    dark: float = 0.1
    dark_gain: tuple[float, float] = (0.2, 0.6)
    dark_noise: tuple[float, float] = (2.0, 10.0)
    motion: float = 0.1
    motion_px: tuple[float, float] = (3.0, 15.0)
    blur: float = 0.1
    blur_px: tuple[float, float] = (0.5, 2.0)
    jpeg: float = 0.2
    jpeg_quality: tuple[int, int] = (25, 85)
    cut: float = 0.2
    cut_count: int = 3
    cut_share: tuple[float, float] = (0.05, 0.2)

    def __post_init__(self) -> None:
        for name in ("mirror", "turn", "mosaic", "jitter", "dark", "motion", "blur", "jpeg", "cut"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise UsageError(f"{name} is a probability, 0 to 1, got {getattr(self, name)}")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, tuple) and field.name != "input_hw" and not 0 < value[0] <= value[1]:
                raise UsageError(f"{field.name} is a range above 0, least first, got {value}")
        if self.motion + self.blur > 1.0:
            raise UsageError("motion and blur exclude each other: together they are at most 1")
        if not 0.0 <= self.border < 0.5:
            raise UsageError(f"border is at least 0 and below 0.5, got {self.border}")
        if self.mosaic_split[1] >= 1.0 or self.cut_share[1] > 1.0 or self.jpeg_quality[1] > 100:
            raise UsageError("mosaic_split and cut_share end below 1, jpeg_quality at 100")
        if min(self.input_hw) < 2 or self.cut_count < 1:
            raise UsageError("input_hw is at least 2 px each way, and cut_count at least 1")

    def __call__(self, sample: Sample, rng: np.random.Generator, draw: Draw | None = None) -> Sample:
        """Return an augmented sample of size `input_hw`, of this sample or of a mosaic with three drawn ones.

        A mosaic has the `image_id` of the first sample.
        """
        if draw is not None and rng.random() < self.mosaic:
            out = self._mosaic([sample, draw(), draw(), draw()], rng)
        else:
            out = self._view(sample, rng, self.input_hw, self.zoom)
        if rng.random() < self.cut:
            out = self._cut_out(out, rng)
        return replace(out, image=self._degraded(out.image, rng))

    def _view(
        self,
        sample: Sample,
        rng: np.random.Generator,
        hw: tuple[int, int],
        zooms: tuple[float, float],
    ) -> Sample:
        """Return a random view of the sample, of size `hw`, with a zoom in the range `zooms`."""
        height, width = sample.image.shape[:2]
        low, high = np.log(zooms)
        zoom = min(hw[0] / height, hw[1] / width) * math.exp(rng.uniform(low, high))
        x, y = (side * rng.uniform(self.border, 1 - self.border) for side in (width, height))
        mirror = bool(rng.random() < self.mirror)
        turn_deg = rng.uniform(-self.turn_deg, self.turn_deg) if rng.random() < self.turn else 0.0
        matrix = placement_matrix((x, y), zoom, hw, mirror=mirror, turn_deg=turn_deg)
        return transform_sample(sample, matrix, hw, smooth=True, least_share=self.least_share)

    def _mosaic(self, samples: Sequence[Sample], rng: np.random.Generator) -> Sample:
        """Return a mosaic: views of four samples in the corners of the input, row by row."""
        height, width = self.input_hw
        top, left = (
            min(max(1, round(side * rng.uniform(*self.mosaic_split))), side - 1) for side in self.input_hw
        )
        corners = [(y, x) for y in ((0, top), (top, height)) for x in ((0, left), (left, width))]
        views = [
            self._view(sample, rng, (y[1] - y[0], x[1] - x[0]), self.mosaic_zoom)
            for sample, (y, x) in zip(samples, corners, strict=True)
        ]
        image = np.empty((height, width, 3), np.uint8)
        for view, (y, x) in zip(views, corners, strict=True):
            image[slice(*y), slice(*x)] = view.image
        shifts = [np.array([x[0], y[0], x[0], y[0]], np.float32) for y, x in corners]
        shifted = list(zip(views, shifts, strict=True))
        return Sample(
            image_id=samples[0].image_id,
            image=image,
            xy=np.concatenate([view.xy + shift[:2] for view, shift in shifted]),
            labelled=np.concatenate([view.labelled for view in views]),
            box_xyxy=np.concatenate([view.box_xyxy + shift for view, shift in shifted]),
            ignore=np.concatenate([view.ignore for view in views]),
            part_box_xyxy=np.concatenate(
                [
                    np.where(view.part_valid[..., None], view.part_box_xyxy + shift, np.float32(0))
                    for view, shift in shifted
                ]
            ),
            part_valid=np.concatenate([view.part_valid for view in views]),
            part_absent=np.concatenate([view.part_absent for view in views]),
        )

    def _cut_out(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Cover the image with random rectangles.

        A face or hand that is more than half hidden loses its labels. Other points keep theirs, like hidden
        points whose position an annotator can guess. A rectangle that would hide more than half of a person
        is left out.
        """
        height, width = self.input_hw
        image, valid = sample.image.copy(), sample.part_valid
        people = sample.box_xyxy[~sample.ignore]
        for _ in range(rng.integers(1, self.cut_count + 1)):
            size = rng.uniform(*self.cut_share, 2) * min(height, width)
            corner = rng.uniform(0, (width, height)) - size / 2
            filling = rng.integers(0, 256, 3)
            hole = np.concatenate((corner, corner + size)).round()
            if (_hidden(people, hole) > _HALF).any():
                continue
            x0, y0, x1, y1 = np.maximum(hole, 0).astype(int)
            image[y0:y1, x0:x1] = filling
            valid = valid & ~(_hidden(sample.part_box_xyxy, hole) > _HALF)
        lost = np.asarray((sample.part_valid & ~valid) @ PART_POINTS)
        return replace(
            sample,
            image=image,
            labelled=sample.labelled & ~lost,
            part_box_xyxy=np.where(valid[..., None], sample.part_box_xyxy, np.float32(0)),
            part_valid=valid,
        )

    def _degraded(self, image: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """Return the image as another camera, other light or another codec could have produced it."""
        if rng.random() < self.jitter:
            image = colour.jitter_colours(image, rng)
        if rng.random() < self.dark:
            gain, noise = rng.uniform(*self.dark_gain), rng.uniform(*self.dark_noise)
            image = colour.darken_with_noise(image, rng, gain, noise)
        chance = rng.random()
        if chance < self.motion:
            image = colour.motion_blur(image, rng.uniform(*self.motion_px), rng.uniform(0, 180))
        elif chance < self.motion + self.blur:
            image = colour.gaussian_blur(image, rng.uniform(*self.blur_px))
        if rng.random() < self.jpeg:
            low, high = self.jpeg_quality
            image = colour.compress_jpeg(image, int(rng.integers(low, high + 1)))
        return image


def _hidden(box_xyxy: FloatArray, hole_xyxy: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the share (...) of each box (..., 4) that lies inside the hole (4,); 0 for an empty box."""
    low, high = np.maximum(box_xyxy[..., :2], hole_xyxy[:2]), np.minimum(box_xyxy[..., 2:], hole_xyxy[2:])
    area = (box_xyxy[..., 2:] - box_xyxy[..., :2]).prod(axis=-1)
    shared: npt.NDArray[np.float64] = np.maximum(high - low, 0).prod(axis=-1) / np.maximum(area, 1e-6)
    return shared
