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
from hprnet_rt.formats import KeypointsFrame, format_of, read_keypoints, require_format, write_keypoints
from hprnet_rt.formats.openpose import _BODY_25
from hprnet_rt.skeleton import KEYPOINT_NAMES
from hprnet_rt.types import Poses
from tests.formats.forms import ALL, READABLE, WHOLE, usable
from tests.formats.recordings import HEADER, frames, frames_for, poses

ROOT = Path(__file__).parents[2]
PERSON_FIELDS = {"person scores": ("score",), "boxes": ("box_xyxy", "face_xyxy")}


@pytest.fixture
def master(tmp_path):
    """A JSONL file."""
    write_keypoints(tmp_path / "clip.jsonl", HEADER, frames())
    return tmp_path / "clip.jsonl"


def through(master, name):
    """A file made of the master, in the format of this name."""
    path = master.with_name(f"made{usable(name).suffix}")
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


def kept(lines, loses):
    """The frames of JSON lines without the contents that a format loses."""
    found = list(map(json.loads, lines.splitlines()[1:]))
    if "empty frames" in loses:
        found = [frame for frame in found if frame["people"]]
    for frame in found:
        if "times" in loses:
            frame["pts_s"] = None
        for person in frame["people"]:
            for field in (name for lost in loses for name in PERSON_FIELDS.get(lost, ())):
                person.pop(field, None)
    return found


@pytest.mark.parametrize("name", READABLE)
def test_a_format_loses_only_what_it_says(master, name):
    path = through(master, name)
    loses = ALL[name].loses
    assert read_keypoints(path).header == ({} if "header" in loses else HEADER)
    after = back(path)
    assert kept(after, loses) == kept(master.read_bytes(), loses)
    assert ("times" in loses) == (b'"pts_s":null' in after)
    if not loses & {"times", "person scores", "boxes", "point scores", "empty frames"}:
        assert after.splitlines()[1:] == master.read_bytes().splitlines()[1:]


@pytest.mark.parametrize("name", ALL)
def test_a_name_says_its_format(tmp_path, name):
    form = ALL[name]
    assert require_format(usable(name).name) is form
    for suffix in (form.suffix, *form.other_suffixes):
        assert format_of(tmp_path / f"a clip{suffix.upper()}") is form
    (tmp_path / f"folder{form.suffix}").mkdir()
    in_folder = format_of(tmp_path / f"folder{form.suffix}")
    assert in_folder is form if form.is_folder else in_folder.reads_any_folder


def test_the_evaluation_reads_coco(master):
    assert read_results(through(master, "coco")) is not None


def test_openpose_has_a_file_for_each_frame_and_boxes_around_the_points(master):
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
    form = usable(name)
    path = tmp_path / f"gaps{form.suffix}"
    write_keypoints(path, {}, frames(4, stride=30))
    found = [frame.number for frame in read_keypoints(path).frames]
    assert found == ([30, 60, 90] if "empty frames" in form.loses else [0, 30, 60, 90])
    if not form.is_folder:
        empty = tmp_path / f"empty{form.suffix}"
        write_keypoints(empty, {}, [])
        assert list(read_keypoints(empty).frames) == []


@pytest.mark.parametrize("name", READABLE)
def test_damaged_file_is_one_sentence(master, name):
    path = through(master, name)
    file = sorted(path.iterdir())[5] if ALL[name].is_folder else path
    data = file.read_bytes()
    middle = len(data) // 2
    file.write_bytes(data[: middle - 200] + b"\n\0rubbish" + data[middle:])
    with pytest.raises(DataError) as caught:
        list(read_keypoints(path).frames)
    assert file.name in str(caught.value)


@pytest.mark.parametrize("name", [name for name in READABLE if not ALL[name].is_folder])
def test_file_of_something_else_is_one_sentence(tmp_path, name):
    form = usable(name)
    for content in (b"", b"hello\n", b"{}\n", b"[1, 2]\n"):
        path = tmp_path / f"other{form.suffix}"
        path.write_bytes(content)
        with pytest.raises(DataError, match="other"):
            list(read_keypoints(path).frames)


def test_line_that_a_crash_cut_off_is_left_out(master, caplog):
    master.write_bytes(master.read_bytes()[:-10])
    assert len(list(read_keypoints(master).frames)) == 8
    assert "line 10" in caplog.text


@pytest.mark.parametrize("name", ALL)
def test_failure_in_the_middle_leaves_no_file(tmp_path, name):
    form = usable(name)

    def broken():
        yield from frames_for(form, 3)
        raise DataError("the input is damaged")

    with pytest.raises(DataError, match="the input is damaged"):
        write_keypoints(tmp_path / f"x{form.suffix}", HEADER, broken())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", READABLE)
def test_old_file_stays_until_the_new_one_is_complete(tmp_path, name):
    path = tmp_path / f"clip{usable(name).suffix}"
    people = [frame for frame in frames(7) if len(frame.poses)]
    write_keypoints(path, {}, people)
    seen = []

    def slowly():
        for frame in people[:2]:
            seen.append(len(list(read_keypoints(path).frames)))
            yield frame

    write_keypoints(path, {}, slowly())
    assert seen == [5, 5]
    assert len(list(read_keypoints(path).frames)) == 2


@pytest.mark.parametrize("name", ALL)
def test_place_that_cannot_be_written_is_one_sentence(tmp_path, name):
    form = usable(name)
    with pytest.raises(OutputError, match=r"cannot write .*clip"):
        write_keypoints(tmp_path / "no folder" / f"clip{form.suffix}", {}, frames_for(form))


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
    for name in READABLE:
        if ALL[name].loses <= {"header"}:
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
    path = tmp_path / f"long{usable(name).suffix}"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, path, str(count)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    # 1,500 frames of 3 people are 7 MB of numbers, and several times that as Python's objects
    assert float(done.stdout) < 5, done.stderr
