"""A job is finished, with its report, although nobody reads what it prints."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import clips

ROOT = Path(__file__).parents[2]
ARGUMENTS = ("--no-video", "--size", "128", "--threads", "1")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    for n in range(3):
        clips.make(tmp_path / "in" / f"{n}.mp4", frames=3)
    return tmp_path


def annotate(folder, stdout, *more, stderr=subprocess.PIPE, **environment):
    command = [sys.executable, "-m", "hprnet_rt", "annotate", folder / "in", "-o", folder / "out", *ARGUMENTS]
    return subprocess.run(
        [*map(str, command), "--report", str(folder / "report.json"), *more],
        cwd=ROOT,
        stdout=stdout,
        stderr=stderr,
        text=True,
        timeout=90,
        env={**os.environ, **environment},
    )


def statuses(folder):
    return [file["status"] for file in json.loads((folder / "report.json").read_text())["files"]]


@pytest.mark.parametrize("more", [(), ("--jobs", "2")])
def test_reader_that_has_gone(folder, more):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        process = annotate(folder, writing, *more)
    finally:
        os.close(writing)
    assert (process.returncode, process.stderr) == (0, "")
    assert statuses(folder) == ["done"] * 3
    assert len(list((folder / "out").glob("*.jsonl"))) == 3


def test_reader_of_errors_that_has_gone(folder):
    (folder / "in" / "0.mp4").write_text("no video")
    reading, writing = os.pipe()
    os.close(reading)
    try:
        process = annotate(folder, writing, stderr=writing)
    finally:
        os.close(writing)
    assert process.returncode == 1
    assert statuses(folder) == ["failed", "done", "done"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_disk_full_for_what_is_printed(folder):
    with Path("/dev/full").open("w") as full:
        process = annotate(folder, full)
    assert process.returncode == 0
    assert process.stderr.count("\n") == 1
    assert "standard output" in process.stderr
    assert statuses(folder) == ["done"] * 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_disk_full_for_a_list():
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "hprnet_rt", "models"]
        process = subprocess.run(
            command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=90
        )
    assert process.returncode == 1
    assert process.stderr.count("\n") == 1
    assert "cannot write to standard output: No space left on device" in process.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have names that are text")
def test_name_that_is_no_text(folder):
    (folder / "in" / "1.mp4").rename(folder / "in" / os.fsdecode(b"\xff.mp4"))
    process = annotate(folder, subprocess.PIPE, PYTHONIOENCODING="utf-8:strict")
    assert (process.returncode, process.stderr) == (0, "")
    assert r"\udcff.mp4" in process.stdout
    assert statuses(folder) == ["done"] * 3
