"""Whether a confidence can be believed: the points of labelled faces and hands by their confidence.

python benchmarks/confidence.py ANNOTATIONS IMAGES [--save NAME] [--backend B] [--precision P]

A labelled person is met by the found one whose box overlaps most (IoU over .3). Right is a point within a
tenth of its part's size: the longer side of the labelled points. A point's score is its part's centre's
times this confidence; the centre's is what the point scores where nothing is refined.
"""

import argparse
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
from machine import save

import hprnet_rt
from hprnet_rt.evaluation import read_annotations
from hprnet_rt.evaluation.pairs import box_iou
from hprnet_rt.evaluation.parts import PART_TYPES, box_of_points
from hprnet_rt.grouping import Grouper
from hprnet_rt.video import ImageSource

PARTS = {"face": ("face",), "hands": ("left_hand", "right_hand")}
EDGES = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0)
NEAR = 0.1
LEAST_HAND_PX = 24.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--save", metavar="NAME", help="write results/NAME.json")
    options = parser.parse_args()
    true = read_annotations(options.annotations)
    points: dict[str, list[tuple[float, bool]]] = {name: [] for name in PARTS}
    with hprnet_rt.load(backend=options.backend, precision=options.precision) as model:
        everything = replace(model.group.options, part_threshold=0.0)
        weights = model.model_file.refiner_weights()
        refined = Grouper(model.model_file.spec, everything, weights)
        centers = Grouper(model.model_file.spec, everything)
        for image, name in enumerate(true.file_names):
            (frame,) = ImageSource(options.images / name)
            peaks = model.infer(*model.prepare(frame.image))
            found, plain = refined(peaks), centers(replace(peaks, maps=None))
            boxes = np.concatenate((found.box_xyxy[:, :2], found.box_xyxy[:, 2:] - found.box_xyxy[:, :2]), 1)
            for person in np.flatnonzero((true.image == image) & ~true.crowd):
                overlap = box_iou(boxes.astype(np.float64), true.box_xywh[[person]])[:, 0]
                if not len(overlap) or overlap.max() <= 0.3:
                    continue
                n = int(overlap.argmax())
                for kind, parts in PARTS.items():
                    for part in parts:
                        points[kind] += judged(true, person, part, found, plain, n)
        description = model.description
    rows = {kind: table(kind, each) for kind, each in points.items()}
    if options.save:
        save(options.save, {"annotations": options.annotations.parent.name, "engine": description, **rows})


def judged(true, person, part, found, plain, n) -> list[tuple[float, bool]]:
    """Confidence of each point of a labelled part, and whether it is right."""
    where = PART_TYPES[part].points
    labelled, center = true.labelled[[person], where], plain.score[n, where]
    if not labelled.all() or not (center > 0).all():
        return []
    size = box_of_points(true.xy[[person], where], labelled)[0, 2:].max()
    if part != "face" and size < LEAST_HAND_PX:
        return []
    away = np.hypot(*(found.xy[n, where] - true.xy[person, where]).T)
    return list(zip((found.score[n, where] / center).tolist(), (away <= NEAR * size).tolist(), strict=True))


def table(kind: str, points: list[tuple[float, bool]]) -> list[dict[str, float | None]]:
    sure, right = (np.array(each) for each in zip(*points, strict=True)) if points else (np.zeros(0),) * 2
    rows = []
    print(f"{kind}: {len(sure)} points\nconfidence  points  share  right")
    for low, high in itertools.pairwise(EDGES):
        here = (sure >= low) & ((sure < high) | (high == 1.0))
        share = here.mean() if len(sure) else 0.0
        good = round(float(right[here].mean()), 4) if here.any() else None
        rows.append({"from": low, "points": int(here.sum()), "right": good})
        said = "-" if good is None else f"{good:.1%}"
        print(f"{low:.1f} - {high:.1f}  {here.sum():7d}  {share:5.1%}  {said:>5}")
    for least in (0.6, 0.8):
        here = sure >= least
        print(f"{least} and more: {here.mean():.1%} of all, {right[here].mean():.1%} of them right")
    return rows


if __name__ == "__main__":
    main()
