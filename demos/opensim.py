"""Make .trc files for OpenSim and its kind, one for each person: smooth, and without points that are guessed.

python demos/opensim.py VIDEO FOLDER

Positions are in the picture (1 px as 1 mm, y upwards, z 0); two such folders of two cameras are what Pose2Sim
and others make three dimensions of. `smooth="zero-lag"` steadies points without a lag, which measuring needs.
"""

import sys
from dataclasses import replace
from pathlib import Path

import hprnet_rt


def main(video: str, folder: str) -> None:
    keypoints = Path(folder) / f"{Path(video).stem}.jsonl"
    hprnet_rt.annotate(video, keypoints, video=False, smooth="zero-lag")
    recording = hprnet_rt.read_keypoints(keypoints)
    trusted = (replace(frame, poses=frame.poses.confident()) for frame in recording.frames)
    made = keypoints.with_suffix(".trc")
    hprnet_rt.write_keypoints(made, recording.header, trusted)
    for path in sorted(made.iterdir()):
        print(path)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except hprnet_rt.HprnetError as error:
        sys.exit(str(error))
