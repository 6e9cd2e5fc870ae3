"""Faces that are drawn on people who are seen from behind: there should be none.

    python benchmarks/behind.py corridor.mp4 [--model runs/new.onnx] [--frames 72 101 ...] [--save NAME]

In each frame the largest person counts. A face is drawn if more than ten of its points have a score of at
least .2; by the centre's score alone means the same without the confidences of points.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
from machine import save

import hprnet_rt
from hprnet_rt.grouping import Grouper
from hprnet_rt.skeleton import FACE
from hprnet_rt.types import Poses

# frames of a clip of people in a corridor, seen from above: in each somebody walks away
# fmt: off
FROM_BEHIND = [
    72, 101, 130, 159, 246, 275, 304, 333, 363, 392, 421, 537, 566, 595, 624, 653, 798, 943, 972, 1001, 1030,
    1060, 1089, 1118, 1147, 1176, 1263, 1292, 1321,
]
# fmt: on
DRAWN, POINTS = 0.2, 10


def face_scores(poses: Poses) -> np.ndarray:
    """Return the scores (68,) of the face of the largest person, 0 where there is nobody."""
    if not len(poses):
        return np.zeros(68)
    size = (poses.box_xyxy[:, 2:] - poses.box_xyxy[:, :2]).prod(axis=1)
    return np.nan_to_num(poses.score[int(size.argmax()), FACE])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--model", default="hprnet-mobile")
    parser.add_argument("--frames", type=int, nargs="+", default=FROM_BEHIND)
    parser.add_argument("--save", metavar="NAME", help="write results/NAME.json")
    options = parser.parse_args()
    wanted, drawn, centers = set(options.frames), [], []
    with hprnet_rt.load(options.model) as model, av.open(str(options.clip)) as container:
        everything = replace(model.group.options, part_threshold=0.0)
        refined = Grouper(model.model_file.spec, everything, model.model_file.refiner_weights())
        plain = Grouper(model.model_file.spec, everything)
        for number, frame in enumerate(container.decode(video=0)):
            if number not in wanted:
                continue
            peaks = model.infer(*model.prepare(frame.to_ndarray(format="bgr24")))
            drawn.append(face_scores(refined(peaks)))
            centers.append(face_scores(plain(replace(peaks, maps=None))))
    by_all, by_center = (
        sum(int((scores >= DRAWN).sum() > POINTS) for scores in faces) for faces in (drawn, centers)
    )
    strongest = max(float(scores.mean()) for scores in drawn)
    print(
        f"{len(drawn)} people from behind: a face drawn on {by_all}, by the centre's score alone on "
        f"{by_center}; the largest mean score is {strongest:.2f}"
    )
    if options.save:
        numbers = {"people": len(drawn), "drawn": by_all, "by_center": by_center, "strongest": strongest}
        save(options.save, {"clip": options.clip.name, "model": options.model, **numbers})


if __name__ == "__main__":
    main()
