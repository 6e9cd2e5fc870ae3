"""Turn the keypoints that `hprnet-rt annotate` writes into a table with one row per point that was found.

python demos/keypoints_to_csv.py KEYPOINTS.jsonl TABLE.csv
"""

import csv
import json
import sys
from pathlib import Path


def main(keypoints: str, table: str) -> None:
    with Path(keypoints).open() as lines, Path(table).open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["frame", "time_s", "person", "keypoint", "x_px", "y_px", "score"])
        names = json.loads(lines.readline())["keypoint_names"]
        for line in lines:
            frame = json.loads(line)
            for person in frame["people"]:
                for name, point in zip(names, person["keypoints"], strict=True):
                    if point is not None:
                        rows.writerow([frame["frame"], frame["pts_s"], person["track_id"], name, *point])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.exit(f"cannot make {sys.argv[2]} of {sys.argv[1]}: {error!r}")
