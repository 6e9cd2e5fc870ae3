"""Outputs that cannot be written: exit code 1, one sentence, and nothing else is lost."""

import resource
from pathlib import Path

import pytest

from tests import clips, disks
from tests.jobs.failures.common import (
    FAILED,
    count_frames,
    kept_frames,
    names,
    start,
)
from tests.sentences import is_one_sentence


def test_output_folder_below_a_file_cannot_be_made(run, clip, tmp_path):
    (tmp_path / "file").touch()
    code, err = run(clip, "-o", tmp_path / "file" / "out")
    assert code == FAILED
    assert is_one_sentence(err, tmp_path / "file" / "out")


def test_output_folder_of_the_kernel_cannot_be_made(run, clip):
    code, err = run(clip, "-o", "/proc/hprnet")
    assert code == FAILED
    assert is_one_sentence(err, "/proc/hprnet")


@pytest.fixture(scope="module")
def heavy(tmp_path_factory):
    """A clip of noise, which makes 2 MB of annotated clip."""
    return clips.make(
        tmp_path_factory.mktemp("heavy") / "heavy.mp4", frames=60, size=(320, 180), draw=clips.noise
    )


def test_file_size_limit_ends_the_run_with_a_sentence(heavy, tmp_path):
    limit = 100_000

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    process = start(heavy, "-o", tmp_path / "out", preexec_fn=limited)
    _, err = process.communicate(timeout=60)
    assert process.returncode == FAILED
    assert is_one_sentence(err, "cannot write", "heavy")
    assert not {"heavy.mp4", "heavy.jsonl"}.intersection(names(tmp_path / "out"))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB."""
    with disks.small_disk(tmp_path / "disk", "1m") as folder:
        yield folder


def fill_up(disk, free_bytes):
    """Leave so many bytes of the small file system."""
    (disk / "fill").write_bytes(bytes((1 << 20) - free_bytes))


@pytest.mark.parametrize("free_bytes", [0, 8192, 900_000])
def test_full_disk_ends_the_run_with_a_sentence(run, heavy, small_disk, free_bytes):
    fill_up(small_disk, free_bytes)
    code, err = run(heavy, "-o", small_disk)
    assert code == FAILED
    assert is_one_sentence(err, "cannot write", "No space left on device")
    assert not {"heavy.mp4", "heavy.jsonl"}.intersection(names(small_disk))


@pytest.mark.parametrize("name", ["csv", "npz", "openpose"])
def test_full_disk_leaves_no_other_format_half_written(run, small_disk, name, monkeypatch):
    monkeypatch.setattr(
        "hprnet_rt.jobs.file_run._DURABLE_S", 1e9
    )  # a slow machine would meet the full disk earlier
    fill_up(small_disk, 150_000)  # enough for the JSON lines
    arguments = ("--no-video", "--format", name, "--size", 384, "--limit", 14)
    code, err = run(clips.SAMPLE, "-o", small_disk, *arguments)
    assert code == FAILED
    assert is_one_sentence(err, f"cannot write {small_disk / 'sample'}.{name}", "No space left on device")
    assert [path for path in names(small_disk) if "partial" not in path] == ["fill"]


@pytest.mark.parametrize("free_bytes", [0, 8192, 900_000])
def test_full_disk_message_is_true_about_what_is_kept(run, heavy, small_disk, free_bytes):
    fill_up(small_disk, free_bytes)
    _, err = run(heavy, "-o", small_disk)
    claim = kept_frames(err)
    if claim is not None:
        frames, files = claim
        assert {name: count_frames(name) >= frames for name in files} == dict.fromkeys(files, True)


@pytest.mark.parametrize("free_bytes", [0, 8192])
def test_full_disk_leaves_no_file_open(run, heavy, small_disk, free_bytes):
    fill_up(small_disk, free_bytes)
    assert run(heavy, "-o", small_disk)[0] == FAILED
    opened = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert [path for path in opened if path.is_relative_to(small_disk)] == []


def test_full_disk_leaves_what_overwrite_would_replace(run, heavy, small_disk):
    for name in ("heavy.mp4", "heavy.jsonl"):
        (small_disk / name).write_text("old")
    code, _ = run(heavy, "-o", small_disk, "--overwrite")
    assert code == FAILED
    assert [(small_disk / name).read_text() for name in ("heavy.mp4", "heavy.jsonl")] == ["old", "old"]
