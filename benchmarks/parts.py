"""The precision of bodies, feet, faces and hands, for people who are large enough.

python benchmarks/parts.py ANNOTATIONS RESULTS [--score 0.3] [--save NAME]

RESULTS is a file that `hprnet-rt eval --annotations ANNOTATIONS --images DIR --out FOLDER` writes. A person
is found if a detection with at least --score is matched one to one by the body's OKS, with more than 0.1.
Parts count for people who were found: a missing hand or foot counts as wrong, a missing face does not count
in the NME. "own" counts parts that are nearer to the person's own label than to all others of the image.
"same hands" are people whose two hands are one in the image, finger on finger; of some one is labelled.
"""

import argparse
from pathlib import Path

import numpy as np
from machine import save

from hprnet_rt.evaluation import oks, read_annotations, read_results
from hprnet_rt.evaluation.measures import inter_ocular, nme, partners, pck
from hprnet_rt.evaluation.parts import PART_TYPES, box_of_points

LEAST_OKS = 0.1
FACE_PX, HAND_PX = 60.0, 50.0
HAND_ALPHA, FOOT_ALPHA = 0.2, 0.1
SAME_HAND = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--score", type=float, default=0.3)
    parser.add_argument("--save", metavar="NAME", help="write results/NAME.json")
    options = parser.parse_args()
    true, found = read_annotations(options.annotations), read_results(options.results)
    used = np.flatnonzero(found.scores["score"] >= options.score)
    partner = partners(true, found, used, least=LEAST_OKS)
    rows = np.flatnonzero((partner >= 0) & ~true.crowd)
    detections = partner[rows]
    xy = np.where(found.visible[detections][..., None], found.xy[detections], np.nan)
    side = true.box_xywh[rows, 2:].max(axis=1)
    figures: dict[str, float | int] = {
        "people": int((~true.crowd).sum()),
        "found": len(rows),
        "body_oks": float(
            np.mean([_body_oks(true, found, n, d) for n, d in zip(rows, detections, strict=True)])
        ),
    }

    face = PART_TYPES["face"].points
    there = true.labelled[rows, face].all(axis=1)
    large = there & (true.face_box_xywh[rows, 2:].max(axis=1) > FACE_PX)
    seen = found.visible[detections, face].all(axis=1)
    eyes = inter_ocular(true.xy[rows, face], true.labelled[rows, face])
    error = nme(xy[:, face], true.xy[rows, face], true.labelled[rows, face], eyes)
    figures |= {
        "faces": int(large.sum()),
        "faces_found": int((large & seen).sum()),
        "face_nme": float(np.nanmean(error[large])),
        "face_nme_median": float(np.nanmedian(error[large])),
    }
    for name in ("left_hand", "right_hand"):
        points = PART_TYPES[name].points
        labelled = true.labelled[rows, points]
        size = box_of_points(true.xy[rows, points], labelled)[:, 2:].max(axis=1)
        large = labelled.all(axis=1) & (size > HAND_PX)
        share = pck(xy[:, points], true.xy[rows, points], labelled, size, HAND_ALPHA)
        figures |= {
            f"{name}s": int(large.sum()),
            f"{name}s_found": int((large & found.visible[detections, points].all(axis=1)).sum()),
            f"{name}_pck20": float(share[large].mean()),
        }
    feet = PART_TYPES["foot"].points
    labelled = true.labelled[rows, feet]
    share = pck(xy[:, feet], true.xy[rows, feet], labelled, side, FOOT_ALPHA)
    weight = labelled.sum(axis=1)
    figures |= {
        "toes_and_heels": int(weight.sum()),
        "foot_pck10": float((np.nan_to_num(share) * weight).sum() / weight.sum()),
    }
    for name in ("face", "left_hand", "right_hand"):
        counted, right = _own(true, found, rows, detections, name)
        figures |= {f"{name}s_in_groups": counted, f"{name}s_in_groups_own": right}
    figures |= _same_hands(true, found, rows, detections)
    for key, value in figures.items():
        print(f"{key:24} {value if isinstance(value, int) else round(value, 4)}")
    if options.save:
        save(options.save, {"annotations": options.annotations.name, "score": options.score, **figures})


def _body_oks(true, found, person: int, detection: int) -> float:  # type: ignore[no-untyped-def]
    body = PART_TYPES["body"]
    agreement = oks(
        found.xy[[detection], body.points],
        true.xy[[person], body.points],
        true.labelled[[person], body.points],
        true.area[[person]],
        true.box_xywh[[person]],
        body.sigmas,
    )
    return float(agreement[0, 0])


def _own(true, found, rows, detections, part: str) -> tuple[int, int]:  # type: ignore[no-untyped-def]
    """Count found parts of people who are not alone in the image, and those nearest to their own label."""
    points = PART_TYPES[part].points
    has = true.labelled[:, points].all(axis=1) & ~true.crowd
    middle = np.where(has[:, None], true.xy[:, points].mean(axis=1), np.inf)
    counted = right = 0
    for person, detection in zip(rows, detections, strict=True):
        others = np.flatnonzero(has & (true.image == true.image[person]))
        if not has[person] or len(others) < 2 or not found.visible[detection, points].all():
            continue
        here = found.xy[detection, points].mean(axis=0)
        nearest = others[np.hypot(*(middle[others] - here).T).argmin()]
        counted, right = counted + 1, right + int(nearest == person)
    return counted, right


def _same_hands(true, found, rows, detections) -> dict[str, int]:  # type: ignore[no-untyped-def]
    """Count people whose hands are one in the image, and those whose stronger hand is the labelled one."""
    left, right = PART_TYPES["left_hand"].points, PART_TYPES["right_hand"].points
    hands = [found.xy[detections, points] for points in (left, right)]
    both = np.logical_and(*(found.visible[detections, points].all(axis=1) for points in (left, right)))
    size = np.maximum(*(np.ptp(hand, axis=1).max(axis=1) for hand in hands))
    same = both & (np.hypot(*np.moveaxis(hands[0] - hands[1], -1, 0)).mean(axis=1) <= SAME_HAND * size)
    labelled = [true.labelled[rows, points].any(axis=1) for points in (left, right)]
    told = same & (labelled[0] != labelled[1])
    score = [found.point_score[detections, points].mean(axis=1) for points in (left, right)]
    return {
        "same_hands": int(same.sum()),
        "same_hands_one_labelled": int(told.sum()),
        "same_hands_stronger_labelled": int((told & (labelled[0] == (score[0] >= score[1]))).sum()),
    }


if __name__ == "__main__":
    main()
