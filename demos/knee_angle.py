"""Write the angles of everyone's knees over time to a table; what is not to be trusted is an empty cell.

python demos/knee_angle.py VIDEO TABLE.csv
"""

import csv
import math
import sys
from pathlib import Path

import hprnet_rt

SIDES = ("left", "right")


def main(video: str, table: str) -> None:
    with hprnet_rt.stream(video) as frames, Path(table).open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["time_s", "person", *(f"{side}_knee_degrees" for side in SIDES)])
        for frame, poses in frames:
            for person in poses.confident():
                angles = (person.angle(f"{side}_hip", f"{side}_knee", f"{side}_ankle") for side in SIDES)
                cells = ["" if math.isnan(degrees) else f"{degrees:.1f}" for degrees in angles]
                rows.writerow([frame.pts_s, person.track_id, *cells])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except (hprnet_rt.HprnetError, OSError) as error:
        sys.exit(str(error))
