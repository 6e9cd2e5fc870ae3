"""The face box in JSON lines."""

import time

import numpy as np

from hprnet_rt.formats import KeypointsSink
from hprnet_rt.types import Frame, FramePoses, Poses
from tests import clips


def test_a_face_xyxy_is_written_where_it_is_known(tmp_path):
    xy = np.full((2, 133, 2), 7, np.float32)
    poses = Poses(
        xy,
        np.full((2, 133), 0.5, np.float32),
        np.array([[0, 0, 90, 90]] * 2, np.float32),
        np.array([[np.nan] * 4, [10.123, 20, 30, 40.456]], np.float32),
        np.array([0.9, 0.8], np.float32),
        np.array([-1, -1]),
    )
    sink = KeypointsSink(tmp_path / "k.jsonl", {})
    frame = Frame(0, np.zeros((90, 90, 3), np.uint8), time.perf_counter())
    sink.write(FramePoses(frame, poses))
    sink.close()
    sink.commit()
    _, (line,) = clips.read_keypoints(tmp_path / "k.jsonl")
    assert "face_xyxy" not in line["people"][0]
    assert line["people"][1]["face_xyxy"] == [10.12, 20.0, 30.0, 40.46]
    np.testing.assert_array_equal(poses[1].face_xyxy, poses.face_xyxy[1])
