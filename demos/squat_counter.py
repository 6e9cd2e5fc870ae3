"""Count everyone's squats: a squat is a knee that bends below 100 degrees and stretches beyond 150 again.

python demos/squat_counter.py [CAMERA, FILE or ADDRESS]
"""

import sys
from collections import Counter

import hprnet_rt

BENT, STRETCHED = 100.0, 150.0
SIDES = ("left", "right")


def main(source: str = "0") -> None:
    down: set[int] = set()
    squats: Counter[int] = Counter()
    for frame, poses in hprnet_rt.stream(source, live=True):
        for person in poses.confident():
            angles = [person.angle(f"{side}_hip", f"{side}_knee", f"{side}_ankle") for side in SIDES]
            known = [degrees for degrees in angles if degrees == degrees]  # an absent point makes it NaN
            if known and max(known) < BENT:
                down.add(person.track_id)
            elif known and min(known) > STRETCHED and person.track_id in down:
                down.remove(person.track_id)
                squats[person.track_id] += 1
                count = squats[person.track_id]
                print(f"{frame.pts_s:7.2f} s  person {person.track_id}: {count}", flush=True)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except hprnet_rt.HprnetError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
