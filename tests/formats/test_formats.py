"""Every format gives back what it holds, and says in a sentence when a file is not what it should be."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hprnet_rt.errors import DataError, OutputError, UsageError
from hprnet_rt.evaluation import read_results
from hprnet_rt.formats import FORMATS, KeypointsFrame, read_keypoints, write_keypoints
from hprnet_rt.formats.openpose import _BODY_25
from hprnet_rt.skeleton import KEYPOINT_NAMES
from hprnet_rt.types import Poses
from tests.formats.recordings import HEADER, frames, poses

ROOT = Path(__file__).parents[2]

WHOLE = ("jsonl", "parquet", "parquet-compact", "npz")
"""Formats that hold everything."""

READABLE = [name for name, form in FORMATS.items() if form.read is not None]


@pytest.fixture
def master(tmp_path):
    """A JSONL file."""
    write_keypoints(tmp_path / "clip.jsonl", HEADER, frames())
    return tmp_path / "clip.jsonl"


def needs(name):
    if name.startswith("parquet"):
        pytest.importorskip("pyarrow")


def through(master, name):
    """A file made of the hub, in the format of this name."""
    needs(name)
    path = master.with_name(f"made{FORMATS[name].suffix}")
    recording = read_keypoints(master)
    write_keypoints(path, recording.header, recording.frames)
    return path


def back(path):
    """JSON lines made of a file."""
    recording = read_keypoints(path)
    again = path.with_name("again.jsonl")
    write_keypoints(again, recording.header, recording.frames)
    return again.read_bytes()


@pytest.mark.parametrize("name", WHOLE)
def test_what_goes_through_a_whole_format_comes_back_byte_by_byte(master, name):
    path = through(master, name)
    assert back(path) == master.read_bytes()
    assert sorted(file.name for file in master.parent.iterdir()) == sorted(
        {"again.jsonl", master.name, path.name}
    )


def test_csv_loses_only_the_header(master):
    path = through(master, "csv")
    assert back(path).splitlines()[1:] == master.read_bytes().splitlines()[1:]
    assert read_keypoints(path).header == {}


def test_coco_loses_header_times_and_frames_without_anyone(master):
    path = through(master, "coco")
    expected = [
        {**json.loads(line), "pts_s": None}
        for line in master.read_text().splitlines()[1:]
        if '"score"' in line
    ]
    assert [json.loads(line) for line in back(path).splitlines()[1:]] == expected
    assert read_results(path) is not None  # the evaluation takes it


def test_openpose_loses_header_times_people_s_scores_and_boxes(master):
    path = through(master, "openpose")
    names = sorted(file.name for file in path.iterdir())
    assert names[0] == "çığ clip_000000000000_keypoints.json"
    assert len(names) == 9
    for before, after in zip(read_keypoints(master).frames, read_keypoints(path).frames, strict=True):
        assert (after.number, after.pts_s) == (before.number, None)
        np.testing.assert_array_equal(after.poses.xy, before.poses.xy)
        np.testing.assert_array_equal(after.poses.score, before.poses.score)
        np.testing.assert_array_equal(after.poses.track_id, before.poses.track_id)
        for person in after.poses:
            there = person.xy[person.score > 0]
            np.testing.assert_array_equal(person.box_xyxy, [*there.min(axis=0), *there.max(axis=0)])


def test_openpose_body_has_a_neck_between_the_shoulders(tmp_path):
    write_keypoints(tmp_path / "o.openpose", {}, [KeypointsFrame(4, 0.2, poses(3))])
    (file,) = (tmp_path / "o.openpose").iterdir()
    data = json.loads(file.read_text())
    for person, made in zip(poses(3), data["people"], strict=True):
        body = np.reshape(made["pose_keypoints_2d"], (25, 3))
        assert len(made["face_keypoints_2d"]) == 70 * 3
        assert len(made["hand_left_keypoints_2d"]) == len(made["hand_right_keypoints_2d"]) == 21 * 3
        left, right = (KEYPOINT_NAMES.index(f"{side}_shoulder") for side in ("left", "right"))
        both = person.score[[left, right]].min()
        expected = person.xy[[left, right]].mean(axis=0) if both > 0 else (0, 0)
        # written to 0.01 px
        np.testing.assert_allclose(body[1], [*expected, both], atol=0.006)
        assert body[_BODY_25.index("left_heel"), 2] == pytest.approx(
            person.score[KEYPOINT_NAMES.index("left_heel")], abs=1e-4
        )


@pytest.mark.parametrize("name", READABLE)
def test_numbers_of_frames_may_have_gaps_and_files_may_hold_no_frame(tmp_path, name):
    needs(name)
    path = tmp_path / f"gaps{FORMATS[name].suffix}"
    write_keypoints(path, {}, frames(4, stride=30))
    found = [frame.number for frame in read_keypoints(path).frames]
    assert found == ([30, 60, 90] if name == "coco" else [0, 30, 60, 90])
    if name != "openpose":
        empty = tmp_path / f"empty{FORMATS[name].suffix}"
        write_keypoints(empty, {}, [])
        assert list(read_keypoints(empty).frames) == []


@pytest.mark.parametrize("name", READABLE)
def test_damaged_file_is_one_sentence(master, name):
    path = through(master, name)
    if name == "openpose":
        path = sorted(path.iterdir())[5]
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(data[: middle - 200] + b"\n\0rubbish" + data[middle:])
    with pytest.raises(DataError) as caught:
        list(read_keypoints(path.parent if name == "openpose" else path).frames)
    assert path.name in str(caught.value)


@pytest.mark.parametrize("name", [name for name in READABLE if name != "openpose"])
def test_file_of_something_else_is_one_sentence(tmp_path, name):
    needs(name)
    for content in (b"", b"hello\n", b"{}\n", b"[1, 2]\n"):
        path = tmp_path / f"other{FORMATS[name].suffix}"
        path.write_bytes(content)
        with pytest.raises(DataError, match="other"):
            list(read_keypoints(path).frames)


def test_line_that_a_crash_cut_off_is_left_out(master, caplog):
    master.write_bytes(master.read_bytes()[:-10])
    assert len(list(read_keypoints(master).frames)) == 8
    assert "line 10" in caplog.text


def test_failure_in_the_middle_leaves_no_file(tmp_path):
    def broken():
        yield from frames(3)
        raise DataError("the input is damaged")

    for name, form in FORMATS.items():
        if name.startswith("parquet") or form.read is None:
            continue  # below, where pyarrow is; and in its own tests
        with pytest.raises(DataError):
            write_keypoints(tmp_path / f"x{form.suffix}", {}, broken())
    assert list(tmp_path.iterdir()) == []


def test_failure_in_the_middle_leaves_no_parquet_file(tmp_path):
    needs("parquet")

    def broken():
        yield from frames(3)
        raise DataError("the input is damaged")

    with pytest.raises(DataError):
        write_keypoints(tmp_path / "x.parquet", {}, broken())
    assert list(tmp_path.iterdir()) == []


def test_old_file_stays_until_the_new_one_is_complete(tmp_path):
    for suffix in (".jsonl", ".openpose"):
        path = tmp_path / f"clip{suffix}"
        write_keypoints(path, {}, frames(5))
        seen = []

        def slowly(path=path, seen=seen):
            for frame in frames(2):
                seen.append(len(list(read_keypoints(path).frames)))
                yield frame

        write_keypoints(path, {}, slowly())
        assert seen == [5, 5]
        assert len(list(read_keypoints(path).frames)) == 2


def test_place_that_cannot_be_written_is_one_sentence(tmp_path):
    with pytest.raises(OutputError, match="cannot write"):
        write_keypoints(tmp_path / "no folder" / "clip.csv", {}, frames())


def test_missing_pyarrow_is_said_with_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(UsageError, match=r"hprnet-rt\[parquet\]"):
        write_keypoints(tmp_path / "clip.parquet", {}, frames())
    assert list(tmp_path.iterdir()) == []


def test_a_point_at_the_edge_of_presence_stays_present(tmp_path):
    faint = poses(1)
    faint.xy[:] = 3.5
    faint = replace(faint, score=np.full((1, 133), 0.00001, np.float32))
    write_keypoints(
        tmp_path / "a.jsonl", {}, [KeypointsFrame(0, None, faint), KeypointsFrame(1, None, Poses.empty())]
    )
    for name in (*WHOLE, "csv"):
        if name.startswith("parquet"):
            continue
        path = through(tmp_path / "a.jsonl", name)
        assert back(path) == (tmp_path / "a.jsonl").read_bytes()


SCRIPT = """
import resource, sys
from hprnet_rt.formats import KeypointsFrame, read_keypoints, write_keypoints
from tests.formats.recordings import poses

def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

everyone = poses(3)
def run(count):
    frames = (KeypointsFrame(n, n / 25, everyone) for n in range(count))
    write_keypoints(sys.argv[1], {}, frames)
    assert sum(1 for _ in read_keypoints(sys.argv[1]).frames) == count
run(int(sys.argv[2]))
small = peak_mib()
run(2 * int(sys.argv[2]))
print(peak_mib() - small)
"""


# pyarrow keeps some memory until it has enough
@pytest.mark.parametrize(
    ("name", "count"), [("csv", 1500), ("jsonl", 1500), ("npz", 1500), ("parquet", 6000)]
)
def test_memory_does_not_grow_with_the_length(tmp_path, name, count):
    needs(name)
    path = tmp_path / f"long{FORMATS[name].suffix}"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, path, str(count)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    # 1,500 frames of 3 people are 7 MB of numbers, and several times that as Python's objects
    assert float(done.stdout) < 5, done.stderr
