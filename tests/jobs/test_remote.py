"""Inputs and outputs in object stores and archives, through fsspec itself."""

import io
import json
import sys
import zipfile

import cv2
import fsspec
import pytest

from hprnet_rt.video.remote import is_remote, remote_name, split_remote
from tests import clips

FAILED, WRONG_USAGE = 1, 2


@pytest.fixture
def store():
    """fsspec's file system in memory, empty."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    yield system
    system.store.clear()


def put(store, source, *names):
    """Put a file into the store, under each of the names."""
    for name in names:
        store.makedirs(name.rsplit("/", 1)[0], exist_ok=True)
        store.pipe(name, source.read_bytes())


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("text", "remotely"),
    [
        ("s3://bucket/clip.mp4", True),
        ("zip://clip.mp4::s3://bucket/a.zip", True),
        ("https://host/clip.mp4", False),
        ("FTP://host/clip.mp4", False),
        ("C://clips/clip.mp4", False),
        ("clips/s3://clip.mp4", False),
        ("clip.mp4", False),
    ],
)
def test_addresses_of_fsspec_are_known_by_their_form(text, remotely):
    assert is_remote(text) == remotely


def test_address_has_a_name_and_a_place():
    assert remote_name("zip://a/clip.mp4::s3://bucket/b.zip") == "clip.mp4"
    assert split_remote("s3://bucket/a/out/") == ("s3://bucket/a/", "out")
    assert split_remote("s3://bucket") == ("s3://", "bucket")


def test_video_is_read_with_its_sound_and_its_times(annotate_small, tmp_path, store):
    source = clips.make(tmp_path / "clip.mp4", frames=30, audio="aac")  # its index is at its end
    put(store, source, "/bucket/my clip.mp4")
    code, _, err = annotate_small("memory://bucket/my clip.mp4", "-o", tmp_path / "out")
    assert (code, err) == (0, "")
    assert names(tmp_path / "out") == ["my clip.jsonl", "my clip.mp4"]
    assert clips.times(tmp_path / "out" / "my clip.mp4") == clips.times(source)
    assert clips.audio_packets(tmp_path / "out" / "my clip.mp4") == clips.audio_packets(source)
    header, _ = clips.read_keypoints(tmp_path / "out" / "my clip.jsonl")
    assert header["source"] == "memory://bucket/my clip.mp4"
    assert header["source_bytes"] == source.stat().st_size
    again = annotate_small("memory://bucket/my clip.mp4", "-o", tmp_path / "out")
    assert "skipped" in again[1]
    put(store, clips.make(tmp_path / "other.mp4", frames=40), "/bucket/my clip.mp4")
    code, _, err = annotate_small("memory://bucket/my clip.mp4", "-o", tmp_path / "out")
    assert code == FAILED
    assert "of another file" in err


def test_cut_off_video_gives_its_good_frames(annotate_small, tmp_path, store):
    source = clips.make(tmp_path / "clip.mp4", frames=60, container={"movflags": "faststart"})
    good = len(clips.times(clips.cut(source, 0.6)))
    put(store, source, "/bucket/clip.mp4")
    code, _, err = annotate_small("memory://bucket/clip.mp4", "-o", tmp_path / "out")
    assert code == FAILED
    assert "cut off" in err
    assert len(clips.read_keypoints(tmp_path / "out" / "clip.jsonl")[1]) == good


def test_folder_and_pattern_keep_their_order_and_places(annotate_small, tmp_path, store):
    source = clips.make(tmp_path / "clip.mp4", frames=2)
    put(store, source, "/bucket/in/a.mp4", "/bucket/in/deep/er/b.mp4", "/bucket/in/c.partial.mp4")
    assert cv2.imwrite(str(tmp_path / "photo.png"), clips.picture(0, 160, 96))
    put(store, tmp_path / "photo.png", "/bucket/in/deep/photo.png", "/bucket/in/notes.txt")
    assert annotate_small("memory://bucket/in", "-o", tmp_path / "out")[0] == 0
    stems = ("a.jsonl", "a.mp4", "deep/er/b.jsonl", "deep/er/b.mp4", "deep/photo.jsonl", "deep/photo.png")
    assert names(tmp_path / "out") == sorted(stems)
    code, _, _ = annotate_small("memory://bucket/in/**/*.mp4", "-o", tmp_path / "two", "--no-video")
    assert code == 0
    assert "b.jsonl" in names(tmp_path / "two")


def test_archive_is_read_without_unpacking(annotate_small, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", frames=5)
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name in ("a/clip.mp4", "b/clip.mp4"):
            archive.write(source, name)
    outer = f"::file://{tmp_path}/all.zip"
    assert annotate_small(f"zip://a/clip.mp4{outer}", "-o", tmp_path / "one")[0] == 0
    assert clips.times(tmp_path / "one" / "clip.mp4") == clips.times(source)
    assert annotate_small(f"zip://{outer}", "-o", tmp_path / "all", "--no-video")[0] == 0
    assert names(tmp_path / "all") == ["a/clip.jsonl", "b/clip.jsonl"]


def test_list_may_name_what_is_missing(annotate_small, tmp_path, store):
    put(store, clips.make(tmp_path / "clip.mp4", frames=2), "/bucket/clip.mp4")
    listed = tmp_path / "list.txt"
    listed.write_text(f"memory://bucket/clip.mp4\nmemory://bucket/none.mp4\n{tmp_path}/clip.mp4\n")
    report = tmp_path / "report.json"
    arguments = ("--from", listed, "-o", tmp_path / "out", "--no-video", "--report", report)
    code, _, err = annotate_small(*arguments)
    assert code == WRONG_USAGE  # two clips of one name
    listed.write_text("memory://bucket/clip.mp4\nmemory://bucket/none.mp4\n")
    code, _, err = annotate_small(*arguments)
    assert code == FAILED
    assert "memory://bucket/none.mp4: there is no such file" in err
    assert [each["status"] for each in json.loads(report.read_text())["files"]] == ["done", "failed"]


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("memory://bucket/none.mp4", "-o", "{}/out"), WRONG_USAGE, "does not exist"),
        (("memory://bucket/*.mp4", "-o", "{}/out"), WRONG_USAGE, "no file matches"),
        (("memory://bucket/empty", "-o", "{}/out"), WRONG_USAGE, "holds no video"),
        (("magic://bucket/clip.mp4", "-o", "{}/out"), WRONG_USAGE, "magic"),
        (("{}/clip.mp4", "-o", "memory://bucket/out"), WRONG_USAGE, "--work"),
        (("{}/clip.mp4", "-o", "https://host/out"), WRONG_USAGE, "https://host/out"),
        (("{}/clip.mp4", "-o", "{}/out", "--work", "{}/w"), WRONG_USAGE, "--work"),
        (("{}/clip.mp4", "-o", "memory://", "--work", "{}/w"), WRONG_USAGE, "names no"),
    ],
)
def test_what_cannot_be_is_one_sentence(annotate_small, tmp_path, store, arguments, code, word):
    clips.make(tmp_path / "clip.mp4", frames=1)
    store.makedirs("/bucket/empty")
    found, _, err = annotate_small(*(text.format(tmp_path) for text in arguments))
    assert found == code
    assert word in err.splitlines()[-1]
    assert names(tmp_path) == ["clip.mp4"]


@pytest.mark.parametrize(("missing", "word"), [("fsspec", "hprnet-rt[remote]"), ("s3fs", "s3fs")])
def test_package_that_is_missing_is_named(annotate_small, tmp_path, monkeypatch, missing, word):
    monkeypatch.setitem(sys.modules, missing, None)
    code, _, err = annotate_small("s3://bucket/clip.mp4", "-o", tmp_path / "out")
    assert code == FAILED
    assert word in err
    assert len(err.splitlines()) == 1


def test_store_that_fails_in_the_middle_is_one_sentence_and_the_same_command_continues(
    annotate_small, tmp_path, store, monkeypatch
):
    source = clips.make(tmp_path / "clip.mp4", frames=200, draw=clips.noise)
    put(store, source, "/bucket/clip.mp4")
    served = []

    class Breaking(io.BufferedReader):
        def read(self, size=-1):
            served.append(size)
            if len(served) > 60:
                raise ConnectionResetError(104, "Connection reset by peer")
            return super().read(size)

    with monkeypatch.context() as broken:
        broken.setattr(type(store), "open", lambda *_, **__: Breaking(source.open("rb", buffering=0)))
        code, _, err = annotate_small("memory://bucket/clip.mp4", "-o", tmp_path / "out")
    assert code == FAILED
    assert "cannot read memory://bucket/clip.mp4: Connection reset by peer" in err
    assert len(err.splitlines()) == 1
    code, _, err = annotate_small("memory://bucket/clip.mp4", "-o", tmp_path / "out")
    assert (code, err) == (0, "")
    assert clips.times(tmp_path / "out" / "clip.mp4") == clips.times(source)


# --- outputs ---


def test_outputs_are_sent_when_they_are_complete(annotate_small, tmp_path, store, monkeypatch):
    for name in ("in/a.mp4", "in/b/c.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        clips.make(tmp_path / name, frames=5)
    (tmp_path / "in" / "bad.mp4").write_text("no video")
    formats = ("--format", "openpose", "--format", "jsonl")
    command = (tmp_path / "in", "-o", "memory://bucket/out", "--work", tmp_path / "work", *formats)
    assert annotate_small(*command)[0] == FAILED
    sent = sorted(store.find("/bucket"))
    assert sent == sorted(f"/bucket/{name}" for name in names(tmp_path / "work"))
    assert "/bucket/out/b/c.openpose/c_000000000004_keypoints.json" in sent
    for name in ("out/a.mp4", "out/b/c.jsonl"):
        assert store.cat(f"/bucket/{name}") == (tmp_path / "work" / name).read_bytes()
    # again: nothing is done twice, and what is missing there is sent
    store.rm("/bucket/out/a.mp4")
    put_file, copied = type(store).put_file, []
    monkeypatch.setattr(
        type(store), "put_file", lambda self, *paths, **more: copied.append(paths) or put_file(self, *paths)
    )
    assert annotate_small(*command)[0] == FAILED
    assert [target for _, target in copied] == ["/bucket/out/a.mp4"]


def test_single_output_has_its_name(annotate_small, tmp_path, store):
    source = clips.make(tmp_path / "clip.mp4", frames=2)
    command = (source, "-o", "memory://bucket/talk.mp4", "--work", tmp_path / "work")
    code, out, err = annotate_small(*command)
    assert (code, err) == (0, "")
    assert f"from {tmp_path / 'work'} to memory://bucket/" in out
    assert sorted(store.find("/bucket")) == ["/bucket/talk.jsonl", "/bucket/talk.mp4"]


def test_store_that_takes_nothing_is_one_sentence_and_nothing_is_lost(
    annotate_small, tmp_path, store, monkeypatch
):
    source = clips.make(tmp_path / "clip.mp4", frames=2)

    def refuse(self, *paths, **more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(store), "put_file", refuse)
    command = (source, "-o", "memory://bucket/out", "--work", tmp_path / "work")
    code, _, err = annotate_small(*command)
    assert code == FAILED
    assert "cannot write memory://bucket/out/clip.mp4: Permission denied" in err
    assert names(tmp_path / "work") == ["out/clip.jsonl", "out/clip.mp4"]
