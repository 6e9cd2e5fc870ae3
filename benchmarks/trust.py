"""From which score a point may be trusted: the error of labelled points by their score, part by part.

python benchmarks/trust.py --body pelota/person_keypoints.json pelota \
    --feet people/val.json.gz people/val.tar --face faces/val.json.gz faces/val.tar \
    --hands web/val.json.gz web/val.tar --save trust

Each part takes an annotations file, and the folder or the .tar of its images. A labelled person is paired
with the detection, at the defaults of `hprnet_rt.load`, whose box overlaps most (IoU above 0.3). An error is
in units of the longer side of the box around the labelled points of the face or hand, or of the person's box
for body and feet; hands below 24 px are left out. `trust_figure.py` makes the table and the figure.
"""

import argparse
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
from machine import save

import hprnet_rt
from hprnet_rt.evaluation import Annotations, read_annotations, read_results
from hprnet_rt.evaluation.counting import longer_side
from hprnet_rt.evaluation.pairs import partners
from hprnet_rt.types import least_scores, sure_scores
from hprnet_rt.types.trust import HAND_THRESHOLD, POINT_THRESHOLD
from hprnet_rt.video import ImageSource

PARTS = {"body": ("body",), "feet": ("feet",), "face": ("face",), "hands": ("left_hand", "right_hand")}
EDGES = (0.0, HAND_THRESHOLD, POINT_THRESHOLD, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0)
LEAST_HAND_PX = 24.0
FAR = {"body": 0.1, "feet": 0.1, "face": 0.1, "hands": 0.2}
"""Errors above this, in units of the part's length, are gross."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for part in PARTS:
        parser.add_argument(f"--{part}", nargs=2, type=Path, metavar=("ANNOTATIONS", "IMAGES"), required=True)
    parser.add_argument("--save", metavar="NAME", help="write results/NAME.json")
    options = vars(parser.parse_args())
    rows = {}
    with hprnet_rt.load() as model:
        for kind, parts in PARTS.items():
            annotations, images = options[kind]
            true = read_annotations(annotations)
            with folder_of(images) as folder:
                score, error, sure = errors(model, true, folder, parts)
            name = f"{annotations.parent.name}/{annotations.name}"
            rows[kind] = {"annotations": name, **table(kind, score, error, sure)}
        facts = {"model": model.name, "engine": model.description, "edges": EDGES, "far": FAR}
    if options["save"]:
        save(options["save"], {**facts, "parts": rows})


@contextmanager
def folder_of(images: Path) -> Iterator[Path]:
    """Give the folder of the images, or one in which the .tar is unpacked."""
    if images.suffix != ".tar":
        yield images
        return
    with tempfile.TemporaryDirectory() as folder, tarfile.open(images) as tar:
        tar.extractall(folder, filter="data")
        yield Path(folder)


def errors(
    model: hprnet_rt.PoseModel, true: Annotations, folder: Path, parts: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the scores, the errors, and which would be drawn, of the labelled points that were found."""
    found: list[dict] = []
    for image_id, name in zip(true.image_ids.tolist(), true.file_names, strict=True):
        (frame,) = ImageSource(folder / name)
        found += model(frame.image).to_coco(image_id)
    results = read_results(found)
    partner = partners(true, results, np.arange(len(found)), pair_by="overlap")
    drawn = sure_scores(results.point_score.astype(np.float32), least_scores(POINT_THRESHOLD, HAND_THRESHOLD))
    drawn = drawn >= least_scores(POINT_THRESHOLD, HAND_THRESHOLD)
    of_all: list[tuple[np.ndarray, ...]] = []
    for part in parts:
        points = hprnet_rt.PARTS[part]
        people = np.flatnonzero((partner >= 0) & true.labelled[:, points].any(axis=1))
        length = true.box_xywh[people, 2:].max(axis=1)
        if part not in ("body", "feet"):
            people = people[true.labelled[people, points].all(axis=1)]
            length = longer_side(true.xy[people, points], true.labelled[people, points])
        if "hand" in part:
            people, length = people[length >= LEAST_HAND_PX], length[length >= LEAST_HAND_PX]
        there = partner[people]
        counts = true.labelled[people, points] & results.visible[there, points]
        away = np.hypot(*np.moveaxis(results.xy[there, points] - true.xy[people, points], -1, 0))
        of_all.append(
            (
                results.point_score[there, points][counts],
                (away / length[:, None])[counts],
                drawn[there, points][counts],
            )
        )
    score, error, sure = (np.concatenate(each) for each in zip(*of_all, strict=True))
    return score, error, sure


def table(kind: str, score: np.ndarray, error: np.ndarray, sure: np.ndarray) -> dict:
    """Print and return the errors by classes of scores, and of the points that are drawn and the others."""
    print(f"{kind}: {len(score)} points\n   score  points  median     90%   gross")
    groups = {f"{low:g} - {high:g}": (score >= low) & (score < high) for low, high in pairwise(EDGES)}
    groups |= {"trusted": sure, "not trusted": ~sure}
    rows = []
    for name, chosen in groups.items():
        some = error[chosen]
        row = {"score": name, "points": len(some), "median": None, "p90": None, "far": None}
        if len(some):
            median, p90 = np.percentile(some, (50, 90))
            row |= {"median": median, "p90": p90, "far": np.mean(some > FAR[kind])}
            row = {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}
            print(f"{name:>11} {len(some):6d} {median:7.1%} {p90:7.1%} {row['far']:7.1%}")
        rows.append(row)
    return {"points": len(score), "rows": rows}


if __name__ == "__main__":
    main()
