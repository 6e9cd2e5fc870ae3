"""Found against placed people, by their number: the default, --size auto and --regions auto.

    python benchmarks/crowd_sizes.py [--photos FOLDER] [--video FILE] [--save]

The scenes are those of `hprnet-rt bench people`: the people of the sample on a plain wall, each looked at as
a photo. Somebody is found by a detection whose box overlaps their place with an intersection over union of
0.3 or more, one to one; other detections are false.

FOLDER has photos and person_keypoints.json in COCO's format. Somebody is found there by a detection with an
OKS of 0.5 or more, one to one; a detection whose box overlaps nobody's by 0.3 is false. Of VIDEO, frames at
even distances are looked at one after the other, as `annotate` does; who is found there is compared with the
default, because there are no labels.

What it costs to return more people (--k) is measured in turns: the network and its decode, and grouping, of a
scene of 20 people at the network's own size.
"""

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from machine import heading, machine, save

import hprnet_rt
from hprnet_rt.bench.scenes import picture, places
from hprnet_rt.evaluation.pairs import match_people
from hprnet_rt.inference.looks import AUTO, Looks, find_closely
from hprnet_rt.inference.stages import pose_stages
from hprnet_rt.pipeline import Pipeline
from hprnet_rt.skeleton import BODY, SIGMAS
from hprnet_rt.types import Frame, Poses
from hprnet_rt.video import BorrowedFrames, Selection, VideoSource, chosen_frames

COUNTS = (1, 5, 10, 20, 35, 50, 100)
PICTURES = ((1280, 720), (3840, 2160))
NUMBERS = (32, 64, 128)  # people whom the network may return
OVERLAP = 0.3  # least intersection over union of somebody who is found, or not false
OKS = 0.5
VARIANCE = (2 * np.array(SIGMAS[BODY])) ** 2
LOOKS = {
    "default": ({}, False),
    "--size auto": ({"input_px": AUTO}, False),
    "--regions auto": ({}, True),
}
"""By name: the arguments of `load`, and whether regions are chosen."""

Boxes = npt.NDArray[np.floating[Any]]


class Looker:
    """A model with a way to look."""

    def __init__(self, arguments: dict[str, Any], regions: bool) -> None:
        self.model = hprnet_rt.load(**arguments)
        self.regions = AUTO if regions else ()
        self._looks = Looks(self.model, regions=True) if regions else None

    def __call__(self, image: npt.NDArray[np.uint8]) -> Poses:
        """Find everyone in a photo."""
        return self.model(image) if self._looks is None else find_closely(self._looks, image)

    def follow(self, path: Path, selection: Selection) -> list[Poses]:
        """Find everyone in the frames of a video, one after the other."""
        source = VideoSource(path)
        stages = pose_stages(self.model, regions=self.regions)
        try:
            frames: BorrowedFrames[Frame] = BorrowedFrames(chosen_frames(source, selection))
            with Pipeline(frames, stages) as pipeline:
                return [packet.payload.poses for packet in pipeline]
        finally:
            source.close()


def unions(boxes: Boxes, others: Boxes) -> Boxes:
    """Return the intersections over union of boxes (N, 4) and (M, 4) xyxy: (N, M)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(axis=2)
    areas = [np.clip(each[:, 2:] - each[:, :2], 0, None).prod(axis=1) for each in (boxes, others)]
    return both / np.maximum(areas[0][:, None] + areas[1] - both, 1e-9)


def scenes(lookers: dict[str, Looker]) -> dict[str, dict[str, Any]]:
    """Return found and false people, by picture, number and look."""
    result: dict[str, dict[str, Any]] = {}
    for wide, tall in PICTURES:
        rows: dict[str, Any] = {}
        for people in COUNTS:
            image = picture(people, (wide, tall))
            at = [
                (place.left, place.top, place.left + place.width, place.top + place.height)
                for place in places(people, wide / tall)
            ]
            where = np.array(at) * (wide, tall, wide, tall)
            rows[str(people)] = {}
            for name, look in lookers.items():
                poses = look(image)
                found = len(match_people(unions(poses.box_xyxy, where), OVERLAP))
                rows[str(people)][name] = {"found": found, "false": len(poses) - found}
        result[f"{wide}x{tall}"] = rows
    return result


def photos(lookers: dict[str, Looker], folder: Path) -> dict[str, dict[str, float]]:
    """Return people, found and false ones of labelled photos, by look."""
    data = json.loads((folder / "person_keypoints.json").read_text())
    labelled = defaultdict(list)
    for each in data["annotations"]:
        labelled[each["image_id"]].append(each)
    totals: dict[str, dict[str, float]] = {}
    for name, look in lookers.items():
        total: dict[str, float] = defaultdict(float)
        for entry in data["images"]:
            poses = look(cv2.imread(str(folder / entry["file_name"])))
            people = labelled[entry["id"]]
            fit = np.array([[oks(xy, person) for person in people] for xy in poses.xy[:, BODY]])
            fit = fit.reshape(len(poses), len(people))
            boxes = np.array([person["bbox"] for person in people], float).reshape(-1, 4)
            boxes[:, 2:] += boxes[:, :2]
            paired = match_people(fit, OKS)
            total["people"] += len(people)
            total["found"] += len(paired)
            total["oks"] += float(fit[paired[:, 0], paired[:, 1]].sum())
            beside = unions(poses.box_xyxy, boxes).max(axis=1, initial=0.0) < OVERLAP
            beside[paired[:, 0]] = False
            total["false"] += int(beside.sum())
        total["oks"] = round(total["oks"] / max(total["found"], 1), 4)
        totals[name] = dict(total)
    return totals


def oks(xy: npt.NDArray[np.float32], person: dict[str, Any]) -> float:
    """Return the OKS of joints (17, 2) with a labelled person."""
    points = np.array(person["keypoints"], float).reshape(-1, 3)
    known = points[:, 2] > 0
    squared = ((xy - points[:, :2]) ** 2).sum(axis=1)[known]
    return float(np.nan_to_num(np.exp(-squared / (2 * person["area"] * VARIANCE[known]))).mean())


def video(lookers: dict[str, Looker], path: Path, frames: int) -> dict[str, dict[str, int]]:
    """Return how many people each look finds, and how many of them are those whom the default finds."""
    source = VideoSource(path)
    stride = max(1, (source.info.frames or frames) // frames)
    source.close()
    found = {
        name: look.follow(path, Selection(stride=stride, limit=frames)) for name, look in lookers.items()
    }
    usual = found["default"]
    return {
        name: {
            "frames": len(each),
            "people": sum(map(len, each)),
            "of the default's": sum(
                len(match_people(unions(now.box_xyxy, before.box_xyxy), OVERLAP))
                for now, before in zip(each, usual, strict=True)
            ),
        }
        for name, each in found.items()
    }


def numbers(rounds: int) -> dict[str, dict[str, float]]:
    """Return the milliseconds of network and grouping by K, and the ratio of their sums to the first K's."""
    random, image = np.random.default_rng(0), picture(20, PICTURES[0])
    models = {k: hprnet_rt.load(k=k, precision="fp32") for k in NUMBERS}
    laps: dict[int, list[tuple[float, float]]] = {k: [] for k in NUMBERS}
    for _ in range(rounds):
        for k in random.permutation(NUMBERS).tolist():
            inputs = models[k].prepare(image)
            start_s = time.perf_counter()
            peaks = models[k].infer(*inputs)
            found_s = time.perf_counter()
            models[k].group(peaks)
            laps[k].append((1e3 * (found_s - start_s), 1e3 * (time.perf_counter() - found_s)))
    ms = {k: np.array(each) for k, each in laps.items()}
    first = ms[NUMBERS[0]].sum(axis=1)
    return {
        str(k): {
            "network": round(float(np.median(each[:, 0])), 3),
            "grouping": round(float(np.median(each[:, 1])), 3),
            "least": round(float(each.sum(axis=1).min()), 3),
            "ratio": round(float(np.median(each.sum(axis=1) / first)), 4),
        }
        for k, each in ms.items()
    }


def show(result: dict[str, Any]) -> None:
    """Print the figures."""
    for size, rows in result["scenes"].items():
        print(f"{size}: found of placed (false)")
        for people, row in rows.items():
            cells = [f"{name}: {c['found']} ({c['false']})" for name, c in row.items()]
            print(f"{people:>6}  " + "   ".join(cells))
    for k, row in result["k"].items():
        print(f"K = {k}: " + ", ".join(f"{what} {value:g}" for what, value in row.items()))
    for part in ("photos", "video"):
        for name, row in result.get(part, {}).items():
            print(f"{part}, {name}: " + ", ".join(f"{value:g} {what}" for what, value in row.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--photos", type=Path, metavar="FOLDER")
    parser.add_argument("--video", type=Path, metavar="FILE")
    parser.add_argument("--frames", type=int, default=200, help="of the video (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=100, help="for --k (default %(default)s)")
    parser.add_argument("--save", action="store_true", help="write results/crowd-sizes.json")
    options = parser.parse_args()
    lookers = {name: Looker(*each) for name, each in LOOKS.items()}
    info = machine()
    heading(f"{lookers['default'].model.name}, {lookers['default'].model.description}", info)
    result: dict[str, Any] = {"machine": info, "model": lookers["default"].model.name}
    result["k"] = numbers(options.rounds)
    result["scenes"] = scenes(lookers)
    if options.photos:
        result["photos"] = photos(lookers, options.photos)
    if options.video:
        result["video"] = video(lookers, options.video, options.frames)
    show(result)
    if options.save:
        save("crowd-sizes", result)


if __name__ == "__main__":
    main()
