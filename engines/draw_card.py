"""Draw the twenty examples of hprnet-mobile.md, evenly spaced from the worst result to the best.

    python engines/draw_card.py people/val.json.gz people/ [--photographs]

Labels are white, results of the shipped model are in colours. The photographs are only drawn with
--photographs: they may be used for research, but not be published. Writes hprnet-mobile.png beside this
script.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

import hprnet_rt
from hprnet_rt.evaluation import oks, read_annotations
from hprnet_rt.render import Overlay
from hprnet_rt.skeleton import SIGMAS, SKELETON

COLUMNS, ROWS, TILE_PX, ENLARGED = 5, 4, 320, 2
DARK, WHITE = 40, (255, 255, 255)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("images", type=Path, help="folder of the images")
    parser.add_argument("--photographs", action="store_true", help="draw on the photographs")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "hprnet-mobile.png")
    options = parser.parse_args()
    true, model = read_annotations(options.annotations), hprnet_rt.load()
    judged = []
    for number, name in enumerate(true.file_names):
        people = np.flatnonzero((true.image == number) & ~true.crowd)
        if not len(people):
            continue
        image = cv2.imread(str(options.images / name))
        poses = model(image)
        agreement = oks(
            poses.xy,
            true.xy[people],
            true.labelled[people],
            true.area[people],
            true.box_xywh[people],
            np.array(SIGMAS),
        )
        judged.append((float(agreement.max(axis=0, initial=0.0).mean()), name, image, poses, people))
    judged.sort(key=lambda entry: entry[:2])
    tiles = []
    for share in (np.arange(COLUMNS * ROWS) + 0.5) / (COLUMNS * ROWS):
        score, name, image, poses, people = judged[int(share * len(judged))]
        print(f"{score:.2f} {name}")
        tiles.append(tile(image, poses, true.xy[people], true.labelled[people], score, options.photographs))
    rows = [np.hstack(tiles[first : first + COLUMNS]) for first in range(0, len(tiles), COLUMNS)]
    cv2.imwrite(str(options.out), np.vstack(rows))


def tile(image, poses, xy, labelled, score, photograph):  # type: ignore[no-untyped-def]
    canvas = cv2.resize(image, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)
    if not photograph:
        canvas[:] = DARK
    poses.xy[:] *= ENLARGED
    poses.box_xyxy[:] *= ENLARGED
    Overlay().draw(canvas, poses)
    for points, there in zip(xy * ENLARGED, labelled, strict=True):
        for start, end in SKELETON:
            if there[start] and there[end]:
                ends = [tuple(map(int, points[k])) for k in (start, end)]
                cv2.line(canvas, ends[0], ends[1], WHITE, 1, cv2.LINE_AA)
        for point in points[there]:
            cv2.circle(canvas, tuple(map(int, point)), 2, WHITE, 1, cv2.LINE_AA)
    scale = TILE_PX / max(canvas.shape[:2])
    small = cv2.resize(canvas, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    framed = np.zeros((TILE_PX, TILE_PX, 3), np.uint8)
    framed[: small.shape[0], : small.shape[1]] = small
    cv2.putText(
        framed, f"{score:.2f}", (6, TILE_PX - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, WHITE, 1, cv2.LINE_AA
    )
    return framed


if __name__ == "__main__":
    main()
