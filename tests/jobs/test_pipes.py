"""Standard input as a source, standard output for keypoints, and what is not a file but live."""

import io
import json
import os
import subprocess
import sys

import pytest

from hprnet_rt import cli
from tests import clips
from tests.media import photos
from tests.sentences import is_one_sentence

DONE, FAILED, WRONG_USAGE = 0, 1, 2
COMMAND = (sys.executable, "-m", "hprnet_rt", "annotate", "--size", "128")


@pytest.fixture
def pipe(monkeypatch):
    """Let a file's bytes come from standard input, as of a pipe that cannot be sought."""

    def do(data):
        class Pipe(io.BytesIO):
            def seekable(self):
                return False

            def seek(self, *_):
                raise io.UnsupportedOperation("seek")

        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Pipe(data)))

    return do


def lines_of(text):
    """The header and the frames in the JSON lines on standard output."""
    header, *frames = map(json.loads, text.splitlines())
    return header, frames


def temporary(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith("hprnet-rt-")]


@pytest.fixture
def temporaries(tmp_path, monkeypatch):
    """The folder of temporary files, where nothing may be left."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield folder
    assert temporary(folder) == []


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts"])
def test_standard_input_is_a_source(annotate_small, pipe, temporaries, tmp_path, name):
    source = clips.make(tmp_path / name, frames=20, audio="aac")
    pipe(source.read_bytes())
    code, said, err = annotate_small("-", "-o", tmp_path / "out")
    assert (code, err) == (DONE, "")
    assert "standard input: 20 frames, 0 people" in said
    assert clips.times(tmp_path / "out" / "stdin.mp4") == clips.times(source)
    assert len(clips.audio_packets(tmp_path / "out" / "stdin.mp4")) == len(clips.audio_packets(source))
    header, frames = clips.read_keypoints(tmp_path / "out" / "stdin.jsonl")
    assert (header["source"], header["source_bytes"]) == ("standard input", source.stat().st_size)
    assert len(frames) == 20
    pipe(source.read_bytes())
    assert "skipped" in annotate_small("-", "-o", tmp_path / "out")[1]


def test_photo_on_standard_input_gives_a_photo(annotate_small, pipe, temporaries, tmp_path):
    pipe(photos.save(tmp_path / "a.png", photos.corner()).read_bytes())
    assert annotate_small("-", "-o", tmp_path / "out")[0] == DONE
    assert clips.corners(photos.pixels(tmp_path / "out" / "stdin.png")) == {"upper left"}


def test_standard_input_beside_other_inputs(annotate_small, pipe, temporaries, tmp_path):
    pipe(clips.make(tmp_path / "a.mp4", frames=3).read_bytes())
    other = clips.make(tmp_path / "b.mp4", frames=3)
    code, said, _ = annotate_small("-", other, "-o", tmp_path / "out", "--no-video")
    assert (code, "2 files: 2 done" in said) == (DONE, True)


def test_keypoints_go_to_standard_output_and_messages_do_not(annotate_small, pipe, temporaries, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", frames=12)
    assert annotate_small(source, "-o", tmp_path / "kp.jsonl", "--no-video")[0] == DONE
    pipe(source.read_bytes())
    code, out, err = annotate_small("-", "-o", "-")
    assert code == DONE
    header, frames = lines_of(out)
    before, expected = clips.read_keypoints(tmp_path / "kp.jsonl")
    assert frames == expected
    assert {**header, "source": before["source"]} == before
    assert "standard input: 12 frames" in err
    assert "wrote" not in err


def test_keypoints_that_know_the_future_go_to_standard_output_too(annotate_small, temporaries, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", frames=12)
    more = ("--smooth", "zero-lag")
    assert annotate_small(source, "-o", tmp_path / "kp.jsonl", "--no-video", *more)[0] == DONE
    code, out, _ = annotate_small(source, "-o", "-", *more)
    assert code == DONE
    assert out == (tmp_path / "kp.jsonl").read_text()


def test_quiet_leaves_keypoints_alone_on_both_streams(annotate_small, temporaries, tmp_path):
    code, out, err = annotate_small(clips.make(tmp_path / "clip.mp4", frames=3), "-o", "-", "-q")
    assert (code, err) == (DONE, "")
    assert len(lines_of(out)[1]) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("{}/clip.mp4", "-o", "-", "--no-keypoints"), ("-o -",)),
        (("{}/clip.mp4", "-o", "-", "--format", "csv"), ("-o -", "JSON lines")),
        (("{}/clip.mp4", "-o", "-", "--work", "{}"), ("--work",)),
        (("{}/clip.mp4", "{}/other.mp4", "-o", "-"), ("single input", "2")),
        (("-", "--from", "-", "-o", "{}/out"), ("--from -",)),
        (("-", "-o", "{}/out", "--cluster", "auto"), ("cluster",)),
        (("{}/clip.mp4",), ("-o FOLDER",)),
        (("--frobnicate", "{}/clip.mp4", "-o", "{}/out"), ("--frobnicate", "--help")),
        (("{}/clip.mp4", "-o", "{}/out", "--limit", "ten"), ("--limit", "ten", "--help")),
        (("rtsp://door/1", "-o", "{}/out"), ("hprnet-rt live rtsp://door/1",)),
        (("RTMP://host/a", "-o", "{}/out"), ("hprnet-rt live RTMP://host/a",)),
        (("udp://0.0.0.0:5000", "-o", "{}/out"), ("hprnet-rt live udp://0.0.0.0:5000",)),
        (("0", "-o", "{}/out"), ("hprnet-rt live 0", "camera")),
        (("/dev/video7", "-o", "{}/out"), ("hprnet-rt live /dev/video7",)),
        (("screen", "-o", "{}/out"), ("hprnet-rt live screen",)),
    ],
)
def test_what_cannot_be_is_one_sentence(
    annotate_small, pipe, temporaries, tmp_path, monkeypatch, arguments, words
):
    for name in ("clip.mp4", "other.mp4"):
        clips.make(tmp_path / name, frames=1)
    monkeypatch.chdir(tmp_path)
    pipe(b"")
    code, out, err = annotate_small(*(text.format(tmp_path) for text in arguments))
    assert (code, out) == (WRONG_USAGE, "")
    assert is_one_sentence(err, *words)
    assert not (tmp_path / "out").exists()


def test_stream_in_a_list_fails_when_its_turn_comes(annotate_small, tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text(f"{clips.make(tmp_path / 'clip.mp4', frames=2)}\nrtsp://door/1\n")
    code, said, err = annotate_small("--from", listed, "-o", tmp_path / "out", "--no-video")
    assert (code, "2 files: 1 done, 1 failed" in said) == (FAILED, True)
    assert "hprnet-rt live rtsp://door/1" in err


def test_file_that_is_called_like_a_camera_is_that_file(annotate_small, tmp_path, monkeypatch):
    clips.make(tmp_path / "clip.mp4", frames=2).rename(tmp_path / "0")
    monkeypatch.chdir(tmp_path)
    assert annotate_small("0", "-o", "out")[0] == DONE


@pytest.mark.parametrize(("data", "words"), [(b"", ("empty",)), (b"nonsense" * 99, ("standard input",))])
def test_standard_input_without_a_video_is_one_sentence(
    annotate_small, pipe, temporaries, tmp_path, data, words
):
    pipe(data)
    code, _, err = annotate_small("-", "-o", tmp_path / "out")
    assert code == FAILED
    assert is_one_sentence(err, *words)


def test_terminal_is_not_waited_for(annotate_small, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    code, _, err = annotate_small("-", "-o", tmp_path / "out")
    assert code == WRONG_USAGE
    assert is_one_sentence(err, "terminal")


@pytest.mark.skipif(os.name == "nt", reason="this system has no such pipes")
def test_reader_that_goes_ends_the_run_in_silence(tmp_path):
    source = clips.make(tmp_path / "clip.mp4", frames=300)
    process = subprocess.Popen(
        [*COMMAND, "-", "-o", "-", "-q"],
        stdin=source.open("rb"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert json.loads(process.stdout.readline())["source"] == "standard input"
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == DONE
    assert temporary(tmp_path) == []


# --- what every run says ---


def test_every_run_says_its_time_and_one_is_not_many(annotate_small, capfd, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", frames=1)
    _, said, _ = annotate_small(source, "-o", tmp_path / "out")
    assert "1 frame, 0 people" in said
    assert "1 thread" in said
    assert "1 threads" not in said
    assert "total time" in said
    drawn = (str(source), str(tmp_path / "out" / "clip.jsonl"), "-o", str(tmp_path / "b.mp4"))
    assert cli.main(["render", *drawn]) == DONE
    assert "1 frame, " in (said := capfd.readouterr().out)
    assert "total time" in said
    assert cli.main(["convert", str(tmp_path / "out" / "clip.jsonl"), "-o", str(tmp_path / "c.csv")]) == DONE
    assert "total time" in capfd.readouterr().out
