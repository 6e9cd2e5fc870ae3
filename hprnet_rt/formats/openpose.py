"""OpenPose's JSON: a folder with a file for each frame, `<video>_<frame, 12 digits>_keypoints.json`.

The body is BODY_25: its neck is the middle of the shoulders, and its mid-hip the middle of the hips. The face
has 70 points, of which the last two, the pupils, are not known. There is no place for the header, times, and
the scores and boxes of people: when a file is read back, a person's score is the mean score of the body's
points, and the box encloses all points.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hprnet_rt import skeleton
from hprnet_rt.errors import DataError
from hprnet_rt.evaluation.parts import box_of_points
from hprnet_rt.formats.format import Format
from hprnet_rt.formats.recording import NONSENSE, KeypointsFrame, Recording, in_short, source_stem
from hprnet_rt.types import Poses

__all__ = ["OPENPOSE", "read_openpose", "write_openpose"]

_VERSION: Final = 1.3
_NAME: Final = re.compile(r".*_(\d{12,})_keypoints\.json")
_BODY_25: Final = (
    "nose",
    None,
    "right_shoulder",
    "right_elbow",
    "right_wrist",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    None,
    "right_hip",
    "right_knee",
    "right_ankle",
    "left_hip",
    "left_knee",
    "left_ankle",
    "right_eye",
    "left_eye",
    "right_ear",
    "left_ear",
    "left_big_toe",
    "left_small_toe",
    "left_heel",
    "right_big_toe",
    "right_small_toe",
    "right_heel",
)
_INDEX: Final = {name: index for index, name in enumerate(skeleton.KEYPOINT_NAMES)}
_OURS: Final = np.array([_INDEX[name] for name in _BODY_25 if name is not None])
_THEIRS: Final = np.array([n for n, name in enumerate(_BODY_25) if name is not None])
_BETWEEN: Final = {1: ("left_shoulder", "right_shoulder"), 8: ("left_hip", "right_hip")}
_PARTS: Final = {
    "face_keypoints_2d": skeleton.FACE,
    "hand_left_keypoints_2d": skeleton.LEFT_HAND,
    "hand_right_keypoints_2d": skeleton.RIGHT_HAND,
}
_FACE_POINTS: Final = 70
_EMPTY: Final = [f"{part}_keypoints_3d" for part in ("pose", "face", "hand_left", "hand_right")]


def write_openpose(path: Path, header: dict[str, Any], frames: Iterable[KeypointsFrame]) -> None:
    """Write a folder; the header, times, boxes and people's scores are lost."""
    path.mkdir()
    stem = source_stem(header)
    for frame in frames:
        data = {"version": _VERSION, "people": _people(frame.poses)}
        name = f"{stem}_{frame.number:012d}_keypoints.json"
        (path / name).write_text(json.dumps(data, separators=(",", ":")), encoding="utf-8")


def _people(poses: Poses) -> list[dict[str, Any]]:
    points = np.concatenate((poses.xy, poses.score[..., None]), axis=2).astype(np.float64)
    body = np.zeros((len(poses), len(_BODY_25), 3))
    body[:, _THEIRS] = points[:, _OURS]
    for place, pair in _BETWEEN.items():
        both = points[:, [_INDEX[name] for name in pair]]
        body[:, place, :2] = both[..., :2].mean(axis=1)
        body[:, place, 2] = both[..., 2].min(axis=1)
    people = []
    for n, track_id in enumerate(poses.track_id.tolist()):
        person: dict[str, Any] = {"person_id": [track_id], "pose_keypoints_2d": _flat(body[n])}
        for name, part in _PARTS.items():
            person[name] = _flat(points[n, part])
        person["face_keypoints_2d"] += [0.0] * 3 * (_FACE_POINTS - 68)
        people.append({**person, **{name: [] for name in _EMPTY}})
    return people


def _flat(points: npt.NDArray[np.float64]) -> list[float]:
    """Return x, y, score of each point to 0.01 px and 0.0001, three zeros for one that is absent."""
    points = np.where(np.isnan(points).any(axis=1, keepdims=True), 0.0, points)
    rounded = np.concatenate((points[:, :2].round(2), points[:, 2:].round(4)), axis=1)
    return rounded.ravel().tolist()


def read_openpose(path: Path) -> Recording:
    """Open a folder of such files; other files in it are ignored.

    Raises:
        DataError: there is no such file.
    """
    files = sorted(
        (int(match[1]), file) for file in path.iterdir() if (match := _NAME.fullmatch(file.name)) is not None
    )
    if not files:
        raise DataError(
            f"the folder {path} has no files of OpenPose, called like clip_000000000000_keypoints.json; "
            "keypoints of other formats are given by their file"
        )
    return Recording({}, _frames(files))


def _frames(files: Sequence[tuple[int, Path]]) -> Iterator[KeypointsFrame]:
    for number, file in files:
        try:
            poses = _poses(json.loads(file.read_bytes())["people"])
        except NONSENSE as error:
            raise DataError(f"{file} is not a frame of OpenPose: {in_short(error)}") from error
        yield KeypointsFrame(number, None, poses)


def _poses(people: Sequence[dict[str, Any]]) -> Poses:
    if not people:
        return Poses.empty()
    points = np.zeros((len(people), skeleton.NUM_KEYPOINTS, 3), np.float32)
    for n, person in enumerate(people):
        body = np.reshape(person["pose_keypoints_2d"], (-1, 3))
        points[n, _OURS] = body[_THEIRS]
        for name, part in _PARTS.items():
            if person.get(name):  # empty where that network did not run
                points[n, part] = np.reshape(person[name], (-1, 3))[: part.stop - part.start]
    there = points[..., 2] > 0.0
    boxes = box_of_points(points[..., :2], there)
    boxes[:, 2:] += boxes[:, :2]
    body_there = there[:, skeleton.BODY]
    scores = points[:, skeleton.BODY, 2].sum(axis=1) / np.maximum(body_there.sum(axis=1), 1)
    return Poses(
        np.where(there[..., None], points[..., :2], np.float32(np.nan)),
        np.where(there, points[..., 2], np.float32(0)),
        np.nan_to_num(boxes).astype(np.float32),
        np.full((len(people), 4), np.nan, np.float32),
        scores.astype(np.float32),
        np.array([_person_id(person) for person in people], np.int64),
    )


def _person_id(person: dict[str, Any]) -> int:
    (track_id,) = person.get("person_id") or [-1]
    return int(track_id)


OPENPOSE: Final = Format(
    name="openpose",
    suffix=".openpose",
    is_folder=True,
    reads_any_folder=True,
    summary="a folder with a JSON file for each frame, without header, times and boxes",
    read=read_openpose,
    write=write_openpose,
    loses=frozenset({"header", "times", "person scores", "boxes"}),
)
