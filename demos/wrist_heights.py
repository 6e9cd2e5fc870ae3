"""Print, for every frame of a video, who has a wrist above the nose.

python demos/wrist_heights.py demos/sample.mp4
"""

import sys

import hprnet_rt
from hprnet_rt.skeleton import KEYPOINT_NAMES

NOSE, LEFT, RIGHT = (KEYPOINT_NAMES.index(name) for name in ("nose", "left_wrist", "right_wrist"))


def main(path: str) -> None:
    for frame, poses in hprnet_rt.stream(path):
        raised = sum(person.xy[[LEFT, RIGHT], 1].min() < person.xy[NOSE, 1] for person in poses)
        time_s = 0.0 if frame.pts_s is None else frame.pts_s
        print(f"{time_s:7.2f} s  {len(poses)} people, {raised} with a raised hand")


if __name__ == "__main__":
    main(*sys.argv[1:2] or ["demos/sample.mp4"])
