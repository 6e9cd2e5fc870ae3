"""Scenes with a known number of people: pictures for the network, and peaks for the stages after it."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import UsageError
from hprnet_rt.geometry import Letterbox
from hprnet_rt.grouping import pack_peaks
from hprnet_rt.skeleton import NUM_KEYPOINTS, PARTS
from hprnet_rt.spec import ModelSpec, PeakLayout
from hprnet_rt.types import Maps, Peaks
from hprnet_rt.video import VideoSource

__all__ = [
    "COUNTS",
    "MOST_PEOPLE",
    "Place",
    "cut_out",
    "picture",
    "places",
    "planted_heads",
    "planted_peaks",
    "require_people",
    "sample_video",
    "template_points",
]

FloatArray = npt.NDArray[np.float32]
ImageArray = npt.NDArray[np.uint8]

COUNTS: Final = (0, 1, 2, 5, 10, 20, 35, 50)
"""Numbers of people in the scenes of `bench people`; one more scene has 100 planted people."""

MOST_PEOPLE: Final = 1000
"""The largest number of people in a scene; such a scene is made within seconds."""

_BACKGROUND: Final = (186, 192, 180)  # BGR of the wall in the sample
_PORTRAITS: Final = ((25, 122, 428, 590), (431, 112, 838, 580), (841, 102, 1244, 570))  # xyxy in frame 0
_SAMPLE_WH: Final = (1280, 720)
_NARROW: Final = 403 / 468  # width of a portrait divided by its height
_FILLED: Final = 0.9  # share of a place's side that a person fills
_LARGEST: Final = 0.4  # of the picture's height: with a large input the network misses people who fill it
_HEAD: Final = ((0.50, 0.08), (0.53, 0.06), (0.47, 0.06), (0.56, 0.07), (0.44, 0.07))  # nose, eyes, ears
_ARMS: Final = ((0.66, 0.20), (0.34, 0.20), (0.76, 0.36), (0.24, 0.36), (0.80, 0.50), (0.20, 0.50))
_LEGS: Final = ((0.60, 0.52), (0.40, 0.52), (0.62, 0.73), (0.38, 0.73), (0.63, 0.93), (0.37, 0.93))
_FEET: Final = ((0.72, 0.99), (0.68, 0.99), (0.62, 0.97), (0.28, 0.99), (0.32, 0.99), (0.38, 0.97))
_BODY: Final = _HEAD + _ARMS + _LEGS + _FEET
_FACE_SIZE: Final = (0.14, 0.09)
_HAND_SIZE: Final = (0.10, 0.07)
_LOW: Final = -8.0  # logit of an empty cell


@dataclass(frozen=True)
class Place:
    """The rectangle of one person in a scene, in units of the picture's width and height."""

    left: float
    top: float
    width: float
    height: float


def require_people(*counts: int) -> None:
    """Check that there are scenes with these numbers of people.

    Raises:
        UsageError: a number is negative or above `MOST_PEOPLE`.
    """
    if not all(0 <= people <= MOST_PEOPLE for people in counts):
        raise UsageError(f"a scene has 0 to {MOST_PEOPLE} people, got {', '.join(map(str, counts))}")


def places(people: int, aspect: float) -> list[Place]:
    """Return the places of a number of people in a grid, row by row, as large as possible.

    Args:
        people: 0 to `MOST_PEOPLE`.
        aspect: width of the picture divided by its height.

    Raises:
        UsageError: the number of people is out of range.
    """
    require_people(people)
    if people == 0:
        return []
    columns = max(
        range(1, people + 1),
        key=lambda count: min(aspect / count / _NARROW, 1.0 / math.ceil(people / count)),
    )
    rows = math.ceil(people / columns)
    height = min(aspect / columns / _NARROW, 1.0 / rows, _LARGEST) * _FILLED
    width = height * _NARROW / aspect
    found = []
    for n in range(people):
        row, column = divmod(n, columns)
        center_x, center_y = (column + 0.5) / columns, (row + 0.5) / rows
        found.append(Place(center_x - width / 2, center_y - height / 2, width, height))
    return found


def sample_video() -> Path:
    """Return the path of the clip whose people the pictures show, in the package or a checkout's `demos/`.

    Raises:
        UsageError: the clip is not installed.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package, package.parent):
        path = folder / "demos" / "sample.mp4"
        if path.is_file():
            return path
    raise UsageError(
        "this installation has no demos/sample.mp4, whose people the scenes show; use a checkout"
    )


@functools.cache
def _portraits() -> tuple[ImageArray, ...]:
    """Return pictures of the three people of the sample, and the same mirrored."""
    source = VideoSource(sample_video())
    try:
        image = next(iter(source)).image
    finally:
        source.close()
    if image.shape[1::-1] != _SAMPLE_WH:
        raise UsageError(f"{sample_video()} is not the clip that the scenes are cut from")
    cuts = [image[top:bottom, left:right] for left, top, right, bottom in _PORTRAITS]
    return tuple(np.ascontiguousarray(cut) for cut in (*cuts, *(cut[:, ::-1] for cut in cuts)))


def picture(people: int, size_wh: tuple[int, int]) -> ImageArray:
    """Make a picture (H, W, 3) uint8 BGR with people of the sample on a plain wall, always the same one.

    Raises:
        UsageError: the number of people is out of range, or too large for the size.
    """
    width, height = size_wh
    image = np.full((height, width, 3), _BACKGROUND, np.uint8)
    for n, place in enumerate(places(people, width / height)):
        portrait = _portraits()[n % 6]
        tall, wide = place.height * height, place.width * width
        scale = min(tall / portrait.shape[0], wide / portrait.shape[1])
        sides = (round(scale * portrait.shape[1]), round(scale * portrait.shape[0]))
        if min(sides) < 1:
            raise UsageError(f"{people} people do not fit into {width} x {height}")
        small = cv2.resize(portrait, sides, interpolation=cv2.INTER_AREA)
        x = round((place.left + place.width / 2) * width - sides[0] / 2)
        y = round((place.top + place.height / 2) * height - sides[1] / 2)
        image[y : y + sides[1], x : x + sides[0]] = small
    return image


def cut_out(image: ImageArray, people: int) -> list[ImageArray]:
    """Return views of everyone's rectangle in a picture (H, W, 3) with this number of people."""
    height, width = image.shape[:2]
    return [
        image[
            int(place.top * height) : int((place.top + place.height) * height),
            int(place.left * width) : int((place.left + place.width) * width),
        ]
        for place in places(people, width / height)
    ]


def template_points() -> FloatArray:
    """Return the points (133, 2) of a person who stands upright, in units of the box."""
    points = np.zeros((NUM_KEYPOINTS, 2), np.float32)
    points[: len(_BODY)] = _BODY
    for part, center, (wide, tall) in (
        ("face", _BODY[0], _FACE_SIZE),
        ("left_hand", (0.82, 0.56), _HAND_SIZE),
        ("right_hand", (0.18, 0.56), _HAND_SIZE),
    ):
        at = PARTS[part]
        turn = np.linspace(0, 2 * np.pi, at.stop - at.start, endpoint=False)
        ring = np.stack((wide * np.cos(turn), tall * np.sin(turn)), axis=1) / 2
        points[at] = np.asarray(center, np.float32) + ring * np.linspace(1, 0.4, len(turn))[:, None]
    return points


def planted_heads(
    spec: ModelSpec, people: int, input_hw: tuple[int, int], seed: int = 0
) -> dict[str, FloatArray]:
    """Make dense heads (1, C, H, W), by name, as of a network that sees everyone at their `places`.

    The regressed joints are slightly off, as a network's are, and the heat-maps, which are logits, have a
    peak at each true joint.
    """
    random = np.random.default_rng(seed)
    rows, columns = (side // spec.stride_px for side in input_hw)
    maps = {
        head.name: np.zeros((1, head.channels, rows, columns), np.float32)
        for head in spec.heads
    }  # fmt: skip
    for name in ("hm", "hm_hp"):
        maps[name] += _LOW + random.uniform(0.0, 1.0, maps[name].shape).astype(np.float32)
    limit = np.array((columns - 1, rows - 1), np.float32)
    template = template_points()
    for place in places(people, columns / rows):
        corner = np.array((place.left * columns, place.top * rows), np.float32)
        size = np.array((place.width * columns, place.height * rows), np.float32)
        points = np.clip(corner + size * (template + random.normal(0, 0.005, template.shape)), 0, limit)
        _plant(maps, spec, corner, size, points.astype(np.float32), random)
    return maps


def _plant(
    maps: dict[str, FloatArray],
    spec: ModelSpec,
    corner: FloatArray,
    size: FloatArray,
    points: FloatArray,
    random: np.random.Generator,
) -> None:
    """Write one person into the maps; `corner`, `size` and `points` (133, 2) are in cells."""
    center = corner + size / 2
    x, y = (int(value) for value in center)
    maps["hm"][0, 0, y, x] = random.uniform(1.5, 4.0)
    maps["reg"][0, :, y, x] = center - (x, y)
    maps["wh"][0, :, y, x] = size
    joints = np.empty((spec.num_joints, 2), np.float32)
    for joint, keypoint in enumerate(spec.keypoint_of_joint):
        joints[joint] = points[keypoint] if keypoint >= 0 else 0.0
    for part in spec.parts:
        joints[spec.joint(part.center)] = points[part.keypoints].mean(axis=0)
    off = joints + random.normal(0, 0.02, joints.shape) * size
    maps["hps"][0, :, y, x] = (off - (x, y)).reshape(-1)
    for joint, (joint_x, joint_y) in enumerate(joints):
        column, row = int(joint_x), int(joint_y)
        maps["hm_hp"][0, joint, row, column] = random.uniform(0.5, 3.0)
        first = 2 * joint if spec.offset_per_joint else 0
        maps["hp_offset"][0, first : first + 2, row, column] = joint_x - column, joint_y - row
    for part in spec.parts:
        column, row = (int(value) for value in joints[spec.joint(part.center)])
        wide = slice(part.first_channel, part.first_channel + 2 * part.num_keypoints)
        maps[part.head][0, wide, row, column] = (points[part.keypoints] - (column, row)).reshape(-1)
        if part.size_head:
            maps[part.size_head][0, :, row, column] = np.array(_FACE_SIZE) * size


def planted_peaks(spec: ModelSpec, people: int, letterbox: Letterbox, k: int, seed: int = 0) -> Peaks:
    """Return the peaks that a model file for `k` people would return for `planted_heads`.

    If points are refined after grouping, the maps for the refinement are noise: it takes its usual time, but
    moves points away from their planted positions.

    Raises:
        UsageError: k is less than the number of people.
    """
    if k < people:
        raise UsageError(f"a model file for {k} people cannot return {people}")
    heads = planted_heads(spec, people, letterbox.input_hw, seed)
    maps = None
    if spec.refinement is not None:
        height, width = (side // spec.stride_px for side in letterbox.input_hw)
        channels = (spec.refinement.features, spec.refinement.local_maps)
        noise = np.random.default_rng(seed)
        maps = Maps(*(noise.normal(size=(height, width, count)).astype(np.float32) for count in channels))
    return Peaks(pack_peaks(heads, spec, k)[0], PeakLayout.of(spec), letterbox, maps)
