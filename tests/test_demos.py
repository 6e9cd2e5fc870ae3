"""Every demo runs, and is short."""

import csv
import os
import runpy
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import hprnet_rt
from hprnet_rt import Frame, cli
from hprnet_rt.skeleton import KEYPOINT_NAMES
from hprnet_rt.video import VideoSource
from tests import clips
from tests.tracking.scenes import people

DEMOS = Path(__file__).parents[1] / "demos"
NOSE, *WRISTS = (KEYPOINT_NAMES.index(name) for name in ("nose", "left_wrist", "right_wrist"))
PROGRAMS = ("webcam", "two_cameras", "keypoints_to_csv", "hand_raise")


def run(name, *arguments):
    runpy.run_path(str(DEMOS / f"{name}.py"))["main"](*map(str, arguments))


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_demo_is_short(name):
    assert len((DEMOS / f"{name}.py").read_text().splitlines()) < 40


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("webcam", ["none.mp4"], "none.mp4 does not exist"),
        ("hand_raise", ["none.mp4"], "none.mp4 does not exist"),
        ("two_cameras", ["none.mp4", "other.mp4"], "other.mp4 does not exist"),
        ("keypoints_to_csv", [], "KEYPOINTS.jsonl TABLE.csv"),
        ("keypoints_to_csv", ["none.jsonl", "table.csv"], "No such file"),
        ("keypoints_to_csv", [str(DEMOS / "webcam.py"), "table.csv"], "cannot make table.csv"),
    ],
)
def test_what_a_demo_cannot_do_is_a_sentence(tmp_path, name, arguments, words):
    environment = {**os.environ, "PYTHONPATH": str(DEMOS.parent), "QT_QPA_PLATFORM": "offscreen"}
    ended = subprocess.run(
        [sys.executable, DEMOS / f"{name}.py", *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


def test_keypoints_become_a_table(tmp_path):
    keypoints, table = tmp_path / "sample.jsonl", tmp_path / "table.csv"
    assert cli.main(["annotate", str(clips.SAMPLE), "-o", str(tmp_path), "--no-video", "--limit", "3"]) == 0
    run("keypoints_to_csv", keypoints, table)
    rows = list(csv.DictReader(table.open()))
    _, frames = clips.read_keypoints(keypoints)
    points = [
        point for frame in frames for person in frame["people"] for point in person["keypoints"] if point
    ]
    assert len(rows) == len(points) > 3 * 3 * 100
    assert {row["frame"] for row in rows} == {"0", "1", "2"}
    assert [float(row["x_px"]) for row in rows] == [x for x, _, _ in points]
    assert rows[0]["keypoint"] == "nose"


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """The first two seconds of the sample, for what plays by its clock."""
    with closing(VideoSource(clips.SAMPLE)) as source:
        images = [frame.image for frame in islice(source, 50)]
    height, width = images[0].shape[:2]
    path = tmp_path_factory.mktemp("short") / "short.mp4"
    return clips.make(path, frames=50, size=(width, height), draw=lambda index, *_: images[index])


def test_raised_hands_are_told(short, capsys, monkeypatch):
    run("hand_raise", short)
    assert capsys.readouterr().out == ""  # nobody in it raises a hand

    def scene(source, *, live):
        assert (source, live) == ("0", True)
        for n, wrist_y in enumerate((90.0, 90.0, 10.0, 5.0, np.nan, 80.0)):
            poses = people([(50.0, 60.0)])
            poses.xy[0, NOSE, 1], poses.xy[0, WRISTS, 1] = 40.0, (95.0, wrist_y)
            frame = Frame(n, np.zeros((8, 8, 3), np.uint8), 0.0, n, Fraction(1, 2))
            yield frame, replace(poses, track_id=np.array([7]))

    monkeypatch.setattr(hprnet_rt, "stream", scene)
    run("hand_raise")
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [(line[0], line[4]) for line in lines] == [("1.00", "raises"), ("2.00", "lowers")]


def test_two_cameras_are_watched_at_once(short, capsys, tmp_path):
    other = tmp_path / "other.mp4"
    other.write_bytes(short.read_bytes())
    run("two_cameras", short, other)
    out = capsys.readouterr().out
    assert f"{short}: 3 people" in out
    assert f"{other}: 3 people" in out
