"""Say who raises a hand, live, and who lowers it again.

python demos/hand_raise.py [CAMERA, FILE or ADDRESS]
"""

import sys

import hprnet_rt
from hprnet_rt.skeleton import KEYPOINT_NAMES

NOSE, LEFT, RIGHT = (KEYPOINT_NAMES.index(name) for name in ("nose", "left_wrist", "right_wrist"))


def main(source: str = "0") -> None:
    raised: dict[int, bool] = {}
    for frame, poses in hprnet_rt.stream(source, live=True):
        for person in poses:
            wrists, nose = person.xy[[LEFT, RIGHT], 1], person.xy[NOSE, 1]
            up = bool((wrists < nose).any())  # y grows downwards; an absent point is NaN, and not above
            if up != raised.get(person.track_id, False):
                print(f"{frame.pts_s:7.2f} s  person {person.track_id} {'raises' if up else 'lowers'} a hand")
            raised[person.track_id] = up


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except hprnet_rt.HprnetError as error:
        sys.exit(str(error))
