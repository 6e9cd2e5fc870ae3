"""People who hide each other: who is found, whose limbs are whose, and who keeps their id.

    python benchmarks/bodies.py bodies.npz
    python benchmarks/crowd.py bodies.npz photo.jpg [--before results/crowd-before.json] [--save NAME]

Rows of six made-up bodies stand before a photograph without people, in random order of depth, each
overlapping the next by a share of the narrower one's width; and pairs walk past each other. Everyone's
joints are known, and which of them another body hides: those do not count, nor does somebody of whom fewer
than 9 are seen. People and detections are paired so that the sum of OKS is the greatest; from 0.5 on a
person is found. A detection that is left over has found somebody twice, if its OKS with anybody reaches
0.5, and is false otherwise. A limb has another owner where an elbow, wrist, knee or ankle lies more than
12% of the body's height off its place, and within 6% of another person's. A joint is on two people where
two detections have it in the same place.
"""

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from bodies import Body, load
from machine import heading, machine, save

import hprnet_rt
from hprnet_rt.evaluation.pairs import match_people
from hprnet_rt.skeleton import BODY, SIGMAS
from hprnet_rt.tracking import Tracker
from hprnet_rt.types import Poses

OVERLAPS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
WIDE, TALL = 1280, 720
ROW = 6
FOUND = 0.5  # least OKS
IN_SIGHT = 9  # joints of 17
NEAR = 0.06  # of the person's height
SAME_PX = 0.5
LIMBS = (7, 8, 9, 10, 13, 14, 15, 16)  # elbows, wrists, knees, ankles
FPS, STEPS = 25, 60
COLUMNS = ("placed", "found", "oks", "found twice", "false", "other owner", "limbs", "on two people")
ROW_TEXT = "{:>8}" + "{:>14}" * len(COLUMNS)
VARIANCE = (2 * np.array(SIGMAS[BODY])) ** 2


@dataclass
class Placed:
    """Somebody in a picture: joints (17, 2) px, which of them are seen, and the box's area."""

    xy: np.ndarray
    seen: np.ndarray
    area: float
    tall: float

    @property
    def in_sight(self) -> bool:
        """Whether so much of the person is seen that they should be found."""
        return int(self.seen.sum()) >= IN_SIGHT


def scene(
    background: np.ndarray, bodies: list[Body], lefts: list[float], tall: list[int], order: list[int]
) -> tuple[np.ndarray, list[Placed]]:
    """Draw bodies of these heights at these places, in this order; return the picture and everyone."""
    image, owner = background.copy(), np.full(background.shape[:2], -1)
    placed: dict[int, Placed] = {}
    for n in order:
        body, scale = bodies[n], tall[n] / bodies[n].image.shape[0]
        size = (round(scale * body.image.shape[1]), tall[n])
        patch = cv2.resize(body.image, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        x, y = round(lefts[n]), TALL - 60 - tall[n]
        first, last = max(0, x), min(WIDE, x + size[0])
        if first < last:
            cut = patch[:, first - x : last - x]
            cover, at = cut[..., 3:] / 255, np.s_[y : y + tall[n], first:last]
            image[at] = np.rint(image[at] * (1 - cover) + cut[..., :3])
            owner[at][cover[..., 0] > 0.5] = n
        xy = body.xy[BODY] * scale + (x, y)
        placed[n] = Placed(xy, np.zeros(17, bool), 0.53 * size[0] * size[1], tall[n])
    everyone = [placed[n] for n in range(len(bodies))]
    for n, person in enumerate(everyone):
        column, row = (np.floor(person.xy[:, axis]).astype(int) for axis in (0, 1))
        inside = (column >= 0) & (column < WIDE) & (row >= 0) & (row < TALL)
        person.seen[inside] = np.isin(owner[row[inside], column[inside]], (n, -1))
    return image, everyone


def oks(xy: np.ndarray, person: Placed) -> float:
    """Return the OKS of joints (17, 2): over those that are seen, or all where the person is hidden."""
    squared = ((xy - person.xy) ** 2).sum(axis=1)
    each = np.nan_to_num(np.exp(-squared / (2 * person.area * VARIANCE)))
    return float(each[person.seen].mean() if person.in_sight else each.mean())


def judge(poses: Poses, everyone: list[Placed]) -> tuple[dict[str, float], np.ndarray]:
    """Return the counts of one picture, and the person (D,) in sight of each detection, -1 for none."""
    xy = poses.xy[:, BODY]
    fit = np.array([[oks(each, person) for person in everyone] for each in xy])
    fit = fit.reshape(len(xy), len(everyone))
    in_sight = np.array([person.in_sight for person in everyone])
    who = np.full(len(xy), -1)
    for found, person in match_people(np.where(in_sight, fit, 0.0), FOUND):
        who[found] = person
    counts: dict[str, float] = defaultdict(float)
    counts["placed"] = int(in_sight.sum())
    for found, person in enumerate(who):
        if person < 0:
            again, hidden = (fit[found, some].max(initial=0.0) > FOUND for some in (in_sight, ~in_sight))
            if again:
                counts["found twice"] += 1
            elif not hidden:
                counts["false"] += 1
            continue
        counts["found"] += 1
        counts["oks"] += fit[found, person]
        own = everyone[person]
        for joint in LIMBS:
            if not own.seen[joint]:
                continue
            counts["limbs"] += 1
            off = [np.hypot(*(xy[found, joint] - other.xy[joint])) / other.tall for other in everyone]
            others = [o for n, o in enumerate(off) if n != person and everyone[n].seen[joint]]
            counts["other owner"] += off[person] > 2 * NEAR and min(others, default=9.0) < NEAR
    for a in range(len(xy)):
        for b in range(a):
            counts["on two people"] += int((np.abs(xy[a] - xy[b]).max(axis=1) < SAME_PX).sum())
    return counts, who


def rows(model, bodies: list[Body], background: np.ndarray, count: int) -> dict[str, dict[str, float]]:
    """Return the counts of `count` rows of people for each overlap."""
    totals: dict[str, dict[str, float]] = {}
    for overlap in OVERLAPS:
        random, total = np.random.default_rng(7), defaultdict(float)
        for _ in range(count):
            chosen = [bodies[n] for n in random.choice(len(bodies), ROW, replace=False)]
            tall = [int(v) for v in random.integers(300, 420, ROW)]
            wide = [t / b.image.shape[0] * b.image.shape[1] for t, b in zip(tall, chosen, strict=True)]
            lefts = [0.0]
            for n in range(1, ROW):
                lefts.append(lefts[-1] + wide[n - 1] - overlap * min(wide[n - 1], wide[n]))
            shrink = min(1.0, (WIDE - 20) / (lefts[-1] + wide[-1]))
            lefts = [10 + shrink * left for left in lefts]
            tall = [int(shrink * t) for t in tall]
            image, everyone = scene(background, chosen, lefts, tall, list(random.permutation(ROW)))
            for name, value in judge(model(image), everyone)[0].items():
                total[name] += value
        totals[f"{overlap:.0%}"] = dict(total)
    return totals


def walks(model, bodies: list[Body], background: np.ndarray, count: int) -> dict[str, float]:
    """Return how often ids changed while pairs walked past each other."""
    random, total = np.random.default_rng(11), defaultdict(float)
    for _ in range(count):
        pair = [bodies[n] for n in random.choice(len(bodies), 2, replace=False)]
        tall, tracker = [int(v) for v in random.integers(330, 420, 2)], Tracker()
        ids: list[dict[int, int]] = [{}, {}]
        for step in range(STEPS):
            part = step / (STEPS - 1)
            image, everyone = scene(background, pair, [250 + 500 * part, 750 - 500 * part], tall, [0, 1])
            poses = tracker(model(image), step / FPS)
            counts, who = judge(poses, everyone)
            total["on two people"] += counts["on two people"]
            for found, person in enumerate(who):
                if person >= 0:
                    ids[person][step] = int(poses.track_id[found])
        for seen in ids:
            steps = sorted(seen)
            total["people"] += 1
            total["seen"] += len(steps) / STEPS
            total["changes"] += sum(seen[a] != seen[b] for a, b in pairwise(steps))
            total["kept"] += bool(steps) and seen[steps[0]] == seen[steps[-1]]
    return dict(total)


def show(title: str, result: dict) -> None:
    """Print the tables."""
    print(title)
    print(ROW_TEXT.format("overlap", *COLUMNS))
    for overlap, row in result["rows"].items():
        counts = defaultdict(float, row)
        counts["oks"] = round(counts["oks"] / max(counts["placed"], 1.0), 3)
        print(ROW_TEXT.format(overlap, *(f"{counts[name]:g}" for name in COLUMNS)))
    walk = defaultdict(float, result["walks"])
    print(
        f"past each other: {walk['kept']:g} of {walk['people']:g} people end with the id they began with, "
        f"{walk['changes']:g} changes, seen in {walk['seen'] / max(walk['people'], 1.0):.1%} of the frames, "
        f"{walk['on two people']:g} joints on two people"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("bodies", type=Path)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--count", type=int, default=24, help="rows for each overlap")
    parser.add_argument("--walks", type=int, default=12)
    parser.add_argument("--model", default="hprnet-mobile")
    parser.add_argument("--before", type=Path, help="an earlier result, printed first")
    parser.add_argument("--save", metavar="NAME", help="write results/NAME.json")
    options = parser.parse_args()
    bodies = load(options.bodies)
    background = cv2.resize(cv2.imread(str(options.photo)), (WIDE, TALL), interpolation=cv2.INTER_AREA)
    with hprnet_rt.load(options.model) as model:
        alone = len(model(background))
        result = {
            "bodies": len(bodies),
            "model": options.model,
            "people in the photograph": alone,
            "rows": rows(model, bodies, background, options.count),
            "walks": walks(model, bodies, background, options.walks),
        }
    info = machine()
    heading(f"{options.model}; in the photograph alone: {alone} people", info)
    if options.before:
        show("before", json.loads(options.before.read_text()))
    show("now", result)
    if options.save:
        save(options.save, {"machine": info, **result})


if __name__ == "__main__":
    main()
