"""Send everyone's joints by OSC, to programs of music, light and pictures such as TouchDesigner or Max.

pip install python-osc
python demos/osc_sender.py [CAMERA, FILE or ADDRESS] [HOST] [PORT]

/person/ID/left_wrist x y score     x and y from 0 to 1, from the upper left; absent joints are not sent
/people count                       behind each frame
"""

import sys

from pythonosc.udp_client import SimpleUDPClient

import hprnet_rt

JOINTS = hprnet_rt.KEYPOINT_NAMES[hprnet_rt.PARTS["body"]]


def main(source: str = "0", host: str = "127.0.0.1", port: str = "9000") -> None:
    client = SimpleUDPClient(host, int(port))
    for frame, poses in hprnet_rt.stream(source, live=True):
        height, width = frame.image.shape[:2]
        for person in poses.confident():
            for joint in JOINTS:
                x, y, score = person[joint]
                if score:
                    client.send_message(f"/person/{person.track_id}/{joint}", [x / width, y / height, score])
        client.send_message("/people", len(poses))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:4])
    except hprnet_rt.HprnetError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
