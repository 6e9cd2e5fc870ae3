"""`hprnet-rt convert`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hprnet_rt import cli
from hprnet_rt.formats import read_keypoints, write_keypoints
from tests.formats.forms import ALL, usable
from tests.formats.recordings import HEADER, frames, frames_for

FAILED, WRONG_USAGE = 1, 2


@pytest.fixture
def run(capfd):
    def run(*arguments):
        code = cli.main(["convert", *map(str, arguments)])
        return code, *capfd.readouterr()

    return run


@pytest.fixture
def clip(tmp_path):
    write_keypoints(tmp_path / "clip.jsonl", HEADER, frames())
    return tmp_path / "clip.jsonl"


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_file_s_name_says_its_format(run, clip, tmp_path):
    code, out, err = run(clip, "-o", tmp_path / "out" / "clip.csv")
    assert (code, err) == (0, "")
    assert "clip.csv" in out
    assert run(tmp_path / "out" / "clip.csv", "-q", "-o", tmp_path / "out" / "clip.json") == (0, "", "")
    assert run(tmp_path / "out" / "clip.csv", "-o", tmp_path / "out" / "clip.jsonl")[0] == 0
    assert names(tmp_path / "out") == ["clip.csv", "clip.json", "clip.jsonl"]
    assert len(list(read_keypoints(tmp_path / "out" / "clip.jsonl").frames)) == 9


@pytest.mark.parametrize("name", ALL)
def test_every_format_is_written_by_name_or_option_and_read_back(run, tmp_path, name):
    form = usable(name)
    people = [frame for frame in frames_for(form) if len(frame.poses)]
    write_keypoints(tmp_path / "clip.jsonl", HEADER, people)
    made, again = tmp_path / "out" / f"clip{form.suffix}", tmp_path / "again.jsonl"
    assert run(tmp_path / "clip.jsonl", "-q", "-o", made) == (0, "", "")
    written = names(made.parent)
    assert run(tmp_path / "clip.jsonl", "-q", "--overwrite", "-o", made.parent, "--to", name) == (0, "", "")
    assert names(made.parent) == written
    assert written
    for suffix in form.other_suffixes:
        assert run(tmp_path / "clip.jsonl", "-q", "-o", tmp_path / f"other{suffix}") == (0, "", "")
    if form.read is None:
        return
    assert run(made, "-q", "-o", again) == (0, "", "")
    assert [frame.number for frame in read_keypoints(again).frames] == [frame.number for frame in people]


def test_help_has_a_line_for_every_format(run):
    code, out, _ = run("--help")
    assert code == 0
    lines = out.partition("formats:")[2].splitlines()
    for form in ALL.values():
        assert [form.name, form.suffix, *form.summary.split()] in [line.split() for line in lines]


def test_many_go_to_a_folder(run, clip, tmp_path):
    clip.with_name("other clip.jsonl").write_bytes(clip.read_bytes())
    assert run(tmp_path / "*.jsonl", "-o", tmp_path / "out", "--to", "npz")[0] == 0
    assert names(tmp_path / "out") == ["clip.npz", "other clip.npz"]
    assert run(*sorted((tmp_path / "out").iterdir()), "-o", tmp_path / "poses", "--to", "openpose")[0] == 0
    assert len(names(tmp_path / "poses")) == 18
    # the folders themselves are inputs too
    assert run(*sorted((tmp_path / "poses").iterdir()), "-o", tmp_path / "again", "--to", "csv")[0] == 0
    assert names(tmp_path / "again") == ["clip.csv", "other clip.csv"]


def test_bad_file_does_not_keep_the_others_from_being_done(run, clip, tmp_path):
    (tmp_path / "bad.jsonl").write_text("hello\n")
    code, _, err = run(tmp_path / "*.jsonl", "-o", tmp_path / "out", "--to", "csv")
    assert code == FAILED
    first, last = err.splitlines()
    assert "bad.jsonl" in first
    assert "1 of 2" in last
    assert names(tmp_path / "out") == ["clip.csv"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("{}/clip.jsonl", "-o", "{}/out"), "--to"),
        (("{}/none.jsonl", "-o", "{}/out.csv"), "does not exist"),
        (("{}/*.npz", "-o", "{}/out.csv"), "does not exist"),
        (("", "-o", "{}/out.csv"), "does not exist"),
        (("{}/clip.jsonl", "-o", "{}/clip.jsonl", "--overwrite"), "is an input"),
        (("{}/clip.jsonl", "-o", "{}", "--to", "jsonl", "--overwrite"), "is an input"),
        (("{}/clip.partial.jsonl", "-o", "{}/clip.jsonl", "--overwrite"), "is an input"),
        (("{}/clip.partial.jsonl", "-o", "{}", "--to", "jsonl"), "is an input"),
        (("{}/old.openpose/clip.jsonl", "-o", "{}/old.openpose", "--overwrite"), "is an input"),
        (("{}/clip.partial.jsonl", "{}/clip.jsonl", "-o", "{}/out", "--to", "csv"), "both be written"),
        (("{}/clip.jsonl", "-o", "{}/old.csv"), "--overwrite"),
        (("{}/clip.jsonl", "{}/old.csv", "-o", "{}/out.npz"), "2 inputs"),
        (("{}/clip.jsonl", "{}/notes.txt", "-o", "{}/out", "--to", "csv"), "notes.txt"),
        (("{}/clip.jsonl", "-o", "{}/out", "--to", "yaml"), "yaml"),
    ],
)
def test_impossible_request_is_refused(run, clip, tmp_path, arguments, word):
    (tmp_path / "old.csv").write_text("old")
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "old.openpose").mkdir()
    for name in ("clip.partial.jsonl", "old.openpose/clip.jsonl"):
        (tmp_path / name).write_bytes(clip.read_bytes())
    before = names(tmp_path)
    code, _, err = run(*(text.format(tmp_path) for text in arguments))
    assert code == WRONG_USAGE
    assert word in err.splitlines()[-1]
    assert names(tmp_path) == before
    assert (tmp_path / "old.csv").read_text() == "old"


def test_a_link_to_an_input_is_that_input(run, clip, tmp_path):
    (tmp_path / "out.partial.jsonl").symlink_to(clip)
    (tmp_path / "other.jsonl").hardlink_to(clip)
    before = clip.read_bytes()
    for out in ("out.jsonl", "other.jsonl"):
        code, _, err = run(clip, "-o", tmp_path / out, "--overwrite")
        assert code == WRONG_USAGE
        assert "is an input" in err
    assert clip.read_bytes() == before


@pytest.mark.parametrize("reader", ["gone", "full", "none"])
def test_all_are_converted_when_nobody_reads_what_is_printed(clip, tmp_path, reader):
    clip.with_name("other.jsonl").write_bytes(clip.read_bytes())
    command = [sys.executable, "-m", "hprnet_rt", "convert", *map(str, tmp_path.glob("*.jsonl"))]
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as gone, Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*command, "-o", str(tmp_path / "out"), "--to", "csv"],
            stdout=full if reader == "full" else gone,
            stderr=subprocess.PIPE,
            text=True,
            timeout=100,
            preexec_fn=(lambda: os.close(1)) if reader == "none" else None,
        )
    assert done.returncode == 0, done.stderr
    assert names(tmp_path / "out") == ["clip.csv", "other.csv"]
    assert len(done.stderr.splitlines()) == (reader == "full")


def test_overwrite_replaces(run, clip, tmp_path):
    (tmp_path / "out.csv").write_text("old")
    assert run(clip, "-o", tmp_path / "out.csv", "--overwrite")[0] == 0
    assert len(list(read_keypoints(tmp_path / "out.csv").frames)) == 9


def test_points_that_are_not_to_be_trusted_are_left_out_where_that_is_asked_for(run, clip, tmp_path):
    assert run(clip, "-q", "-o", tmp_path / "all.csv") == (0, "", "")
    assert run(clip, "-q", "--confident", "-o", tmp_path / "sure.csv") == (0, "", "")
    everything, sure = (list(read_keypoints(tmp_path / name).frames) for name in ("all.csv", "sure.csv"))
    left_out = 0
    for one, other in zip(everything, sure, strict=True):
        shown = one.poses.shown()
        assert (other.poses.score == one.poses.score * shown).all() and len(other.poses) == len(one.poses)
        left_out += int(((one.poses.score > 0) & ~shown).sum())
    assert left_out > 0
