"""Look at a training set again with a trained model: which parts are absent, which labels were missed.

    python engines/training/label.py people/train.json.gz people people/seen.json.gz \
        --presence people/presence.json.gz
    python engines/training/label.py web/train.json.gz web web/seen.json.gz
    python engines/training/label.py --weights people/train.json.gz people people/weighed.json.gz

Reads annotations in COCO-WholeBody's format and writes them anew with

- `face_absent`, `lefthand_absent`, `righthand_absent` for parts without labels where the model sees nothing;
- labels of faces in which the model sees one clearly and that had none;
- labels of hands as the mean of label and model where these agree;
- a `weight` for each image: of its source, of absent faces and of hands in it, and of the hands' error today.

Each person is shown to the model in a crop. With `--weights` nobody is, and only the weights of source and
hands are written. Needs the base install only.
"""

import argparse
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np

import hprnet_rt
from hprnet_rt.skeleton import FACE, LEFT_HAND, RIGHT_HAND
from hprnet_rt.training.images import ImageFiles

PARTS = {"face": FACE, "lefthand": LEFT_HAND, "righthand": RIGHT_HAND}
WRISTS = {"lefthand": 9, "righthand": 10}
ABSENT = {"face": 0.05, "lefthand": 0.03, "righthand": 0.03}  # presence below which a part is absent
SEEN = 0.5  # presence from which a face without labels is labelled
AGREES = 0.08  # of the hand's size: mean distance up to which label and model are averaged
HARD, MOST_HARD = 0.1, 3.0  # error of a hand that doubles an image's weight, and the largest factor
SOURCES = {"customgest_hand": 0.6, "customgest_body": 0.6, "web": 0.8, "face": 0.9, "lspet": 1.5}
WITH_HANDS, WITHOUT = 1.6, 0.7
FROM_BEHIND = 5.0  # factor of an image in which a face is absent
MARGIN = 0.25  # of the box, around it, in a crop

Item = dict[str, Any]


def crop_of(image: np.ndarray, box_xywh: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Return the crop of a person, and its upper left corner (2,) in px.

    It is square, black where the person is not: a network is made anew for each shape.
    """
    x, y, width, height = box_xywh
    low = np.floor([max(0, x - MARGIN * width), max(0, y - MARGIN * height)]).astype(int)
    high = np.ceil([x + (1 + MARGIN) * width, y + (1 + MARGIN) * height]).astype(int)
    crop = image[low[1] : high[1], low[0] : high[0]]
    side = max(crop.shape[:2])
    whole = np.zeros((side, side, 3), np.uint8)
    whole[: crop.shape[0], : crop.shape[1]] = crop
    return whole, low


def overlap(box_xyxy: np.ndarray, boxes_xyxy: np.ndarray) -> np.ndarray:
    """Return the intersection over union (N,) of a box with N others."""
    low = np.maximum(box_xyxy[:2], boxes_xyxy[:, :2])
    high = np.minimum(box_xyxy[2:], boxes_xyxy[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    areas = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).prod(axis=1)
    return shared / np.maximum((box_xyxy[2:] - box_xyxy[:2]).prod() + areas - shared, 1e-6)


class Looks:
    """Shows people to a model."""

    def __init__(self, model: hprnet_rt.PoseModel, images: ImageFiles, numbers: dict[int, int]) -> None:
        self._model, self._images, self._numbers = model, images, numbers

    def at(self, person: Item) -> tuple[np.ndarray, np.ndarray] | None:
        """Return points (133, 2) in px of the image and their scores (133,); None where nobody is found."""
        image = self._images.read(self._numbers[person["image_id"]])
        crop, corner = crop_of(image, person["bbox"])
        if len(crop) < 2:
            return None
        poses = self._model(crop)
        x, y, width, height = person["bbox"]
        box = np.array([x, y, x + width, y + height]) - np.tile(corner, 2)
        if not len(poses.box_xyxy):
            return None
        best = int(np.argmax(overlap(box, poses.box_xyxy)))
        if overlap(box, poses.box_xyxy)[best] < 0.3:
            return None
        return poses.xy[best] + corner, poses.score[best]


def presence(seen: tuple[np.ndarray, np.ndarray] | None, part: str) -> float:
    """Return the mean score of a part's points, 0 where it is not found."""
    return float(seen[1][PARTS[part]].mean()) if seen is not None else 0.0


def points_of(person: Item, part: str) -> np.ndarray:
    """Return the labels (n, 3) of a part."""
    return np.array(person[f"{part}_kpts"], float).reshape(-1, 3)


def set_points(person: Item, part: str, xy: np.ndarray, width: int, height: int) -> None:
    """Label a part with points (n, 2), and its box; points outside of the image are not labelled."""
    inside = ((xy >= 0) & (xy < (width, height))).all(axis=1)
    rows = np.column_stack((xy.round(2), np.where(inside, 2, 0))) * inside[:, None]
    low, high = xy.min(axis=0), xy.max(axis=0)
    person[f"{part}_kpts"] = rows.reshape(-1).tolist()
    person[f"{part}_box"] = [*low.round(2).tolist(), *(high - low).round(2).tolist()]
    person[f"{part}_valid"] = True


def look_at_hand(person: Item, part: str, seen: tuple[np.ndarray, np.ndarray] | None) -> float:
    """Average a hand's labels with what is seen where these agree; return the error, 1 where nothing is."""
    labels = points_of(person, part)
    size = float(np.ptp(labels[:, :2], axis=0).max())
    if (
        seen is None
        or not np.isfinite(seen[0][PARTS[part]]).all()
        or size <= 0
        or not (labels[:, 2] > 0).all()
    ):
        return 1.0
    off = np.linalg.norm(seen[0][PARTS[part]] - labels[:, :2], axis=1).mean() / size
    if off < AGREES:
        labels[:, :2] = (labels[:, :2] + seen[0][PARTS[part]]) / 2
        person[f"{part}_kpts"] = labels.round(2).reshape(-1).tolist()
    return float(off)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("images", type=Path, help="a folder of images, or of tar files with images")
    parser.add_argument("out", type=Path, help="annotations to write, .json.gz")
    parser.add_argument("--model", default="hprnet-mobile")
    parser.add_argument(
        "--presence",
        type=Path,
        help="JSON of known presences by annotation id: score and confidence of face, left and right hand;\n"
        "only what these leave open is looked at",
    )
    parser.add_argument("--weights", action="store_true", help="look at nobody: write weights only")
    parser.add_argument("--hands", action="store_true", help="look at all labelled hands, too")
    options = parser.parse_args()
    if options.weights and (options.presence or options.hands):
        parser.error("--weights looks at nobody: leave out --presence and --hands")
    with gzip.open(options.annotations, "rt", encoding="utf-8") as file:
        data = json.load(file)
    known: dict[str, list[float]] = {}
    if options.presence:
        with gzip.open(options.presence, "rt", encoding="utf-8") as file:
            known = json.load(file)
    images = {image["id"]: image for image in data["images"]}
    numbers = {image_id: number for number, image_id in enumerate(images)}
    names = [image["file_name"] for image in images.values()]
    looks = None
    if not options.weights:
        looks = Looks(hprnet_rt.load(options.model), ImageFiles(names, options.images), numbers)
    errors: dict[int, list[float]] = {}
    with_hands: set[int] = set()
    from_behind: set[int] = set()
    counts = dict.fromkeys(
        (f"{part} {what}" for part in PARTS for what in ("absent", "labelled", "agrees")), 0
    )
    people = [person for person in data["annotations"] if person.get("label") == "ok"]
    for person in people:
        hands = [part for part in WRISTS if person[f"{part}_valid"]]
        with_hands.update([person["image_id"]] if hands else [])
        if looks is None:
            continue
        missing = [part for part in PARTS if not person[f"{part}_valid"]]
        there = {}
        row = known.get(str(person["id"]))
        if row is not None:
            there = {part: row[2 * i] * row[2 * i + 1] for i, part in enumerate(PARTS)}
        missed = "face" in missing and there.get("face", 0.0) > SEEN
        if (row is None and missing) or missed or (options.hands and hands):
            seen = looks.at(person)
            if row is None:
                there = {part: presence(seen, part) for part in PARTS}
            if "face" in missing and presence(seen, "face") > SEEN:
                assert seen is not None
                image = images[person["image_id"]]
                set_points(person, "face", seen[0][FACE], image["width"], image["height"])
                counts["face labelled"] += 1
            for part in hands if options.hands else ():
                off = look_at_hand(person, part, seen)
                errors.setdefault(person["image_id"], []).append(off)
                counts[f"{part} agrees"] += off < AGREES
        for part in missing:
            hidden = part == "face" or row is None or person["keypoints"][3 * WRISTS[part] + 2] == 0
            if there[part] < ABSENT[part] and hidden:
                person[f"{part}_absent"] = True
                counts[f"{part} absent"] += 1
                from_behind.update([person["image_id"]] if part == "face" else [])
    for image in data["images"]:
        weight = SOURCES.get(image.get("source", ""), 1.0)
        weight *= WITH_HANDS if image["id"] in with_hands else WITHOUT
        weight *= FROM_BEHIND if image["id"] in from_behind else 1.0
        if image["id"] in errors:
            weight *= min(MOST_HARD, 0.5 + max(errors[image["id"]]) / (2 * HARD))
        image["weight"] = round(weight, 3)
    with gzip.open(options.out, "wt", encoding="utf-8") as file:
        json.dump(data, file)
    print(
        "; ".join(
            [f"{options.out}: {len(people)} people", *(f"{n} {what}" for what, n in counts.items() if n)]
        )
    )


if __name__ == "__main__":
    main()
