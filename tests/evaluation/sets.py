"""Small sets to evaluate: COCO-WholeBody's example, the golden scenes, and random people."""

import dataclasses
from pathlib import Path

import numpy as np

from hprnet_rt.evaluation import to_results
from hprnet_rt.evaluation.parts import FIELDS
from hprnet_rt.grouping import GroupingOptions, decode_dense
from hprnet_rt.spec import HPRNET_DLA34
from tests.oracles.golden import SCENES, dense_heads, golden

EXAMPLE_GT = Path(__file__).parents[1] / "golden" / "example_gt.json"
EXAMPLE_RESULTS = EXAMPLE_GT.with_name("example_pred.json")
CELL_PX = 4


def person(xy, visible, area, box_xywh, image_id, number):
    """Make an annotation; unlabelled points are (0, 0, 0)."""
    visible = np.asarray(visible, bool)
    triples = np.concatenate((np.where(visible[:, None], xy, 0), 2 * visible[:, None]), axis=1)
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 1,
        "iscrowd": 0,
        "area": float(area),
        "bbox": [float(v) for v in box_xywh],
        "num_keypoints": int(visible[:17].sum()),
        **{field: triples[where].reshape(-1).tolist() for field, where in FIELDS.items()},
    }


def annotations(people, image_ids=None):
    ids = sorted({p["image_id"] for p in people}) if image_ids is None else image_ids
    images = [{"id": i, "file_name": f"{i}.jpg"} for i in ids]
    return {"images": images, "annotations": people, "categories": [{"id": 1, "name": "person"}]}


def detection(annotation, xy, score, **more):
    """Make a result for the person of an annotation."""
    triples = np.concatenate((xy, np.ones((len(xy), 1))), axis=1)
    return {
        "image_id": annotation["image_id"],
        "category_id": 1,
        "bbox": annotation["bbox"],
        "score": score,
        **{field: triples[where].reshape(-1).tolist() for field, where in FIELDS.items()},
        **more,
    }


def golden_annotations():
    """Return the people of the golden scenes in px; areas are about half the box's, as of real people."""
    people = []
    for scene in SCENES:
        boxes = CELL_PX * golden(scene, "gt_box").astype(float)
        sizes = boxes[:, 2:] - boxes[:, :2]
        for xy, visible, box, wh in zip(
            CELL_PX * golden(scene, "gt_kp").astype(float),
            golden(scene, "gt_vis") > 0,
            boxes,
            sizes,
            strict=True,
        ):
            people.append(person(xy, visible, 0.5 * wh.prod(), [*box[:2], *wh], scene, len(people) + 1))
    return annotations(people)


def random_set(seed, images=12, people=6, extra=3, noise=0.02):
    """Make annotations and similar results, with missing parts, crowds, ties and false detections.

    Returns:
        the annotations' dict and the results' list, as in their files.
    """
    rng = np.random.default_rng(seed)
    true, found = [], []
    for image_id in rng.permutation(1000)[:images].tolist():
        for _ in range(rng.integers(0, people + 1)):
            wh = rng.uniform(15, 250, 2)
            corner = rng.uniform(0, 400, 2)
            xy = (corner + wh * rng.random((133, 2))).round(1)
            visible = rng.random(133) < 0.8
            for where in FIELDS.values():
                if rng.random() < 0.3:
                    visible[where] = False
            annotation = person(xy, visible, 0.6 * wh.prod(), [*corner, *wh], image_id, len(true) + 1)
            annotation["iscrowd"] = int(rng.random() < 0.08)
            face = xy[23:91]
            has_face = visible[23:91].any()
            annotation["face_box"] = (
                [*face.min(axis=0).tolist(), *np.ptp(face, axis=0).tolist()] if has_face else [0, 0, 0, 0]
            )
            true.append(annotation)
            for _ in range(rng.integers(0, 3)):
                scores = rng.random(6).round(1).tolist()  # few values: many ties
                guess = xy + rng.normal(0, noise * wh.max() * rng.uniform(0.1, 4), xy.shape)
                low, high = guess[23:91].min(axis=0), guess[23:91].max(axis=0)
                found.append(
                    detection(
                        annotation,
                        guess,
                        scores[0],
                        foot_score=scores[1],
                        face_score=scores[2],
                        lefthand_score=scores[3],
                        face_box=[*low.tolist(), *(high - low).tolist()],
                        facebox_score=scores[4],
                    )
                )
        for _ in range(rng.integers(0, extra + 1)):
            somebody = {"image_id": image_id, "bbox": [*rng.uniform(0, 400, 2), *rng.uniform(10, 200, 2)]}
            found.append(detection(somebody, rng.uniform(0, 600, (133, 2)), float(rng.random())))
    ids = sorted({p["image_id"] for p in true} | {p["image_id"] for p in found} | {2001, 2002})
    return annotations(true, ids), [found[n] for n in rng.permutation(len(found))]


def decoded(matching):
    """Decode the heads of the golden scenes, and return them as results in px."""
    options = GroupingOptions(person_threshold=0.0, peak_threshold=0.1, matching=matching)
    results = []
    for scene in SCENES:
        (poses,) = decode_dense(dense_heads(scene), HPRNET_DLA34, k=25, options=options, probabilities=True)
        in_px = {name: CELL_PX * getattr(poses, name) for name in ("xy", "box_xyxy", "face_xyxy")}
        results += to_results(scene, dataclasses.replace(poses, **in_px))
    return results


def known_errors():
    """Make three people of one image, of whom the third is not found. The errors of the others' points are:

    bodies none, faces of 50 px with 20 px between the outer eye corners (4 and 6 px), left hands of 40 px
    (4 and 12 px) and right hands of 20 px (as the left ones). Every point scores 0.5.

    Returns:
        the annotations' dict and the results' list, as in their files.
    """
    true, found = [], []
    for number, shifts in enumerate(((4.0, 4.0), (6.0, 12.0), None), start=1):
        corner = np.array([1000.0 * number, 0.0])
        xy = np.zeros((133, 2))
        xy[:23, 1] = np.linspace(0, 200, 23)
        xy[23:91, 0] = np.linspace(0, 50, 68)
        xy[[23 + 36, 23 + 45]] = (10, 0), (30, 0)
        xy[91:112, 0], xy[112:133, 0] = np.linspace(0, 40, 21), np.linspace(0, 20, 21)
        box = [*corner, 100.0, 200.0]
        one = person(xy + corner, np.ones(133), 1e4, box, 1, number)
        true.append(one | {f"{part}_valid": True for part in ("face", "lefthand", "righthand")})
        if shifts is not None:
            moved = xy + corner
            moved[23:91, 1] += shifts[0]
            moved[91:, 1] += shifts[1]
            found.append(detection(one, moved, 0.9))
    for one in found:
        for field in FIELDS:
            one[field][2::3] = [0.5] * (len(one[field]) // 3)
    return annotations(true), found
