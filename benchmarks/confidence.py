"""The reliability of confidences: how many points of labelled faces and hands are right, by confidence.

python benchmarks/confidence.py ANNOTATIONS IMAGES [--save NAME] [--backend B] [--precision P]

A labelled person is paired with the detection whose box overlaps most (IoU above 0.3). A point is right if
its error is at most a tenth of its part's size, the longer side of the box around the labelled points. The
score of a refined point is the score of its part's centre times its confidence; without a refinement it is
the score of the centre.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from machine import save

import hprnet_rt
from hprnet_rt.evaluation import Annotations, Reliability, Results, read_annotations
from hprnet_rt.evaluation.certainty import reliability
from hprnet_rt.evaluation.counting import longer_side
from hprnet_rt.evaluation.pairs import partners
from hprnet_rt.evaluation.parts import PART_TYPES
from hprnet_rt.grouping import Grouper
from hprnet_rt.inference.model import PoseModel
from hprnet_rt.types import Poses
from hprnet_rt.video import ImageSource

PARTS = {"face": ("face",), "hands": ("left_hand", "right_hand")}
LEAST_HAND_PX = 24.0
HIGH_CONFIDENCES = (0.6, 0.8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--save", metavar="NAME", help="write results/NAME.json")
    options = parser.parse_args()
    true = read_annotations(options.annotations)
    with hprnet_rt.load(backend=options.backend, precision=options.precision) as model:
        pairs = list(poses_of(model, [options.images / name for name in true.file_names]))
        description = model.description
    found, centers = results_of(true, pairs)
    partner = partners(true, found, np.arange(len(found)), pair_by="overlap")
    rows = {}
    for kind, parts in PARTS.items():
        classes = [
            reliability(true, found, part, judged_people(true, centers, partner, part), partner)
            for part in parts
        ]
        rows[kind] = table(kind, classes)
    if options.save:
        save(options.save, {"annotations": options.annotations.parent.name, "engine": description, **rows})


def poses_of(model: PoseModel, paths: Sequence[Path]) -> Iterator[tuple[Poses, Poses]]:
    """Yield the poses of each image with refined points, and those without; the people are the same."""
    everything = replace(model.group.options, part_threshold=0.0)
    refined = Grouper(model.model_file.spec, everything, model.model_file.refiner_weights())
    plain = Grouper(model.model_file.spec, everything)
    for path in paths:
        (frame,) = ImageSource(path)
        peaks = model.infer(*model.prepare(frame.image))
        yield refined(peaks), plain(replace(peaks, maps=None))


def results_of(true: Annotations, pairs: Sequence[tuple[Poses, Poses]]) -> tuple[Results, np.ndarray]:
    """Return the refined poses as results, with confidences as scores of points, and the centres' scores.

    The second array is (D, 133): the score of the centre of each point's part.
    """
    counts = [len(refined) for refined, _ in pairs]
    xy, score, box, person_score = (
        np.concatenate([getattr(refined, name) for refined, _ in pairs])
        for name in ("xy", "score", "box_xyxy", "person_score")
    )
    centers = np.concatenate([plain.score for _, plain in pairs])
    confidence = np.divide(score, centers, out=np.zeros_like(score), where=centers > 0)
    box_xywh = np.concatenate((box[:, :2], box[:, 2:] - box[:, :2]), axis=1).astype(np.float64)
    results = Results(
        name="refined points",
        image_id=np.repeat(true.image_ids, counts),
        scores={"score": person_score.astype(np.float64)},
        area=box_xywh[:, 2:].prod(axis=1),
        box_xywh=box_xywh,
        xy=xy.astype(np.float64),
        point_score=confidence.astype(np.float64),
        face_box_xywh=np.full((len(xy), 4), np.nan),
        fields=true.fields,
    )
    return results, centers


def judged_people(true: Annotations, centers: np.ndarray, partner: np.ndarray, part: str) -> np.ndarray:
    """Return the people whose part is labelled completely, large enough if it is a hand, and detected."""
    points = PART_TYPES[part].points
    labelled = true.labelled[:, points]
    counts = labelled.all(axis=1) & (partner >= 0)
    if part != "face":
        counts &= longer_side(true.xy[:, points], labelled) >= LEAST_HAND_PX
    counts[counts] = (centers[partner[counts], points] > 0).all(axis=1)
    return np.flatnonzero(counts)


def table(kind: str, classes: Sequence[Sequence[Reliability]]) -> list[dict[str, float | None]]:
    """Print and return how many points are right, by confidence, of several parts together."""
    low = np.array([row.low for row in classes[0]])
    points = np.array([[row.points for row in part] for part in classes]).sum(axis=0)
    right = np.array([[round((row.right or 0.0) * row.points) for row in part] for part in classes]).sum(
        axis=0
    )
    total = max(int(points.sum()), 1)
    rows: list[dict[str, float | None]] = []
    print(f"{kind}: {points.sum()} points\nconfidence  points  share  right")
    for row, count, correct in zip(classes[0], points.tolist(), right.tolist(), strict=True):
        share_right = round(correct / count, 4) if count else None
        rows.append({"from": row.low, "points": count, "right": share_right})
        text = "-" if share_right is None else f"{share_right:.1%}"
        print(f"{row.low:.1f} - {row.high:.1f}  {count:7d}  {count / total:5.1%}  {text:>5}")
    for least in HIGH_CONFIDENCES:
        sure = points[low >= least].sum()
        share_right = right[low >= least].sum() / max(sure, 1)
        print(f"{least} and more: {sure / total:.1%} of all, {share_right:.1%} of them right")
    return rows


if __name__ == "__main__":
    main()
