"""`hprnet-rt live` without a window: sinks, ends, and what it says when something is wrong."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from fractions import Fraction

import pytest

import hprnet_rt
from hprnet_rt import cli
from hprnet_rt.commands import options as model_options
from hprnet_rt.types import FramePoses, Poses
from hprnet_rt.video import VideoSink, VideoSource
from tests import clips
from tests.media import videos
from tests.media.passing import play

DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130
COMMAND = (sys.executable, "-m", "hprnet_rt", "live")


@pytest.fixture(scope="module")
def model():
    with hprnet_rt.load() as opened:
        yield opened


@pytest.fixture
def run(model, monkeypatch, capfd):
    """The command line in this process, with a borrowed model: (exit code, stdout, stderr)."""
    monkeypatch.setattr(model_options, "load", lambda *_, **__: model)
    monkeypatch.setattr(model, "close", lambda: None)

    def run(*arguments):
        code = cli.main(["live", *map(str, arguments)])
        captured = capfd.readouterr()
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("hprnet-")]
        return code, captured.out, captured.err

    return run


def test_a_file_plays_by_its_clock_and_is_written_while_it_plays(run, tmp_path):
    video, keypoints, profile = (tmp_path / name for name in ("v.mp4", "deep/k.jsonl", "new/p.json"))
    start_s = time.perf_counter()
    code, out, _ = run(
        *(clips.SAMPLE, "--no-window", "--duration", 1.5, "-o", video, "-o", keypoints, "--profile", profile)
    )
    assert code == DONE
    assert 1.5 <= time.perf_counter() - start_s < 15
    header, frames = clips.read_keypoints(keypoints)
    assert header["options"]["in_flight"] == 2
    assert 3 <= len(frames) <= 1.5 * 25 + 1
    assert len(clips.times(video)) == len(frames)
    assert {len(frame["people"]) for frame in frames} == {3}
    times = [frame["pts_s"] for frame in frames]
    assert times == sorted(times)
    assert {event["name"] for event in json.loads(profile.read_text())["traceEvents"]} >= {"engine", "render"}
    for word in (
        "frames shown",
        "dropped",
        "age p50",
        "preprocess",
        str(video),
        str(keypoints),
        str(profile),
    ):
        assert word in out


def test_as_fast_as_it_goes_ends_with_the_file(run, tmp_path):
    clip = clips.make(tmp_path / "clip.mp4", frames=30, rate=Fraction(1, 60))  # half an hour by its own clock
    code, out, _ = run(clip, "--no-window", "--no-realtime")
    assert code == DONE
    assert "frames shown" in out


def test_what_is_drawn_can_be_chosen(run, tmp_path):
    video, keypoints = tmp_path / "v.mp4", tmp_path / "k.jsonl"
    chosen = ("--only", "skeleton", "--max-people", 2)
    code, _, _ = run(clips.SAMPLE, "--no-window", "--limit", 2, *chosen, "-o", video, "-o", keypoints)
    assert code == DONE
    header, frames = clips.read_keypoints(keypoints)
    assert header["options"]["max_people"] == 2
    assert {len(frame["people"]) for frame in frames} == {2}
    image = next(iter(VideoSource(video))).image
    assert 0.8 < (image < 30).all(axis=2).mean() < 1
    nothing = [word for part in ("body", "face", "hands", "ids") for word in ("--hide", part)]
    code, _, _ = run(
        *(clips.SAMPLE, "--no-window", "--limit", 2, "--overwrite", "-o", video), *chosen, *nothing
    )
    assert code == DONE
    assert next(iter(VideoSource(video))).image.max() < 30


@pytest.mark.parametrize("conceals", [(), ("--blur", "faces")])
def test_a_video_that_hides_faces_does_not_tell_where_it_was_taken(run, tmp_path, conceals):
    source, out = videos.tagged(tmp_path / "phone.mov", videos.PHONE_TAGS), tmp_path / "out.mp4"
    code, _, _ = run(source, "--no-window", "--no-realtime", "-o", out, *conceals)
    assert code == DONE
    played = play(out)
    text = str(played.tags) + str(played.stream_tags)
    assert any(value in text for value in videos.PHONE_TAGS.values()) == (not conceals)


def test_a_loop_goes_on_and_its_outputs_with_it(run, tmp_path):
    clip = clips.make(tmp_path / "clip.mp4", frames=8, rate=25)
    keypoints, video = tmp_path / "k.jsonl", tmp_path / "v.mp4"
    outputs = ("-o", keypoints, "-o", video)
    code, out, _ = run(clip, "--no-window", "--loop", "--no-realtime", "--limit", 20, *outputs)
    assert code == DONE
    assert "20 frames shown" in out
    _, frames = clips.read_keypoints(keypoints)
    times = [frame["pts_s"] for frame in frames]
    assert times == sorted(set(times)) and times[-1] > 0.5
    assert len(clips.times(video)) == 20


def test_people_keep_their_ids_while_a_file_loops(run, tmp_path):
    keypoints, clip = tmp_path / "k.jsonl", tmp_path / "clip.mp4"
    source = VideoSource(clips.SAMPLE)
    sink = VideoSink(clip, source.info)
    for frame, _ in zip(source, range(12), strict=False):
        sink.write(FramePoses(frame, Poses.empty()))
    source.close()
    sink.close()
    sink.commit()
    code, _, _ = run(clip, "--no-window", "--loop", "--duration", 2, "-o", keypoints)
    assert code == DONE
    _, frames = clips.read_keypoints(keypoints)
    assert frames[-1]["frame"] > 24  # in the third round at least
    assert {person["track_id"] for frame in frames for person in frame["people"]} == {0, 1, 2}


def test_json_lines_go_to_standard_output_and_words_elsewhere(run):
    code, out, err = run(clips.SAMPLE, "--no-window", "--limit", 3, "-o", "-")
    assert code == DONE
    header, *frames = map(json.loads, out.splitlines())
    assert header["format"].startswith("hprnet-rt-keypoints")
    assert len(frames) == 3
    assert "frames shown" in err


def test_a_reader_that_has_enough_ends_the_run_quietly():
    with subprocess.Popen(
        [*COMMAND, clips.SAMPLE, "--no-window", "-o", "-", "-q"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert b"format" in process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == DONE


def test_a_source_that_would_be_overwritten_is_refused(run, tmp_path):
    clip = clips.make(tmp_path / "clip.partial.mp4", frames=3)
    before = clip.read_bytes()
    for out in ("clip.mp4", "clip.partial.mp4"):
        code, _, err = run(clip, "--no-window", "-o", tmp_path / out, "--overwrite")
        assert code == WRONG_USAGE
        assert "is an input" in err
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(clip.name, before)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_and_finishes_the_files(tmp_path, number):
    keypoints, video = tmp_path / "k.jsonl", tmp_path / "v.mp4"
    with subprocess.Popen(
        [*COMMAND, clips.SAMPLE, "--no-window", "-o", keypoints, "-o", video], stderr=subprocess.PIPE
    ) as process:
        partial = keypoints.with_name("k.partial.jsonl")
        deadline = time.monotonic() + 60
        while not (partial.exists() and partial.stat().st_size > 70_000) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        assert process.wait(30) == INTERRUPTED
        assert b"Traceback" not in process.stderr.read()
    _, frames = clips.read_keypoints(keypoints)
    assert frames
    assert len(clips.times(video)) == len(frames)


def test_a_browser_is_served_without_a_window():
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*COMMAND, clips.SAMPLE, "--serve", "0", "--loop"], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            url = next(line.split()[-1] for line in process.stdout if "watch it at" in line)
            deadline, status = time.monotonic() + 20, {}
            while "fps" not in status and time.monotonic() < deadline:
                with urllib.request.urlopen(f"{url}status.json", timeout=20) as answer:
                    status = json.load(answer)
            assert status["people"] == 3
            assert status["trouble"] == ""
            with urllib.request.urlopen(f"{url}keypoints.jsonl", timeout=20) as answer:
                header, first = (json.loads(answer.readline()) for _ in range(2))
            assert header["source"] == str(clips.SAMPLE)
            assert len(first["people"]) == 3
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(30) == INTERRUPTED


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere.mp4"], WRONG_USAGE, "does not exist"),
        (["63"], FAILED, "camera"),
        (["rtsp://127.0.0.1:1/x"], FAILED, "127.0.0.1"),
        ([clips.SAMPLE, "-o", "out.avi"], WRONG_USAGE, "out.avi"),
        ([clips.SAMPLE, "--profile", "times.txt"], WRONG_USAGE, ".csv"),
        (["0", "--loop"], WRONG_USAGE, "only a file can be played again and again"),
        ([clips.SAMPLE, "--in-flight", "0"], WRONG_USAGE, "in_flight"),
        ([clips.SAMPLE, "--duration", "0"], WRONG_USAGE, "duration"),
        ([clips.SAMPLE, "--timeout", "0"], WRONG_USAGE, "timeout_s"),
        ([clips.SAMPLE, "--blur", "faces", "--max-people", "1"], WRONG_USAGE, "fewer people"),
        ([clips.SAMPLE, "--max-people", "0"], WRONG_USAGE, "at least 1"),
        ([clips.SAMPLE, "--blur", "faces"], WRONG_USAGE, "leave out --no-window"),
        ([clips.SAMPLE, "--hide", "face", "-o", "a.jsonl"], WRONG_USAGE, "write a video with -o"),
        ([clips.SAMPLE, "--threshold", "2"], WRONG_USAGE, "person_threshold"),
        ([clips.SAMPLE, "-o", "/dev/null/x/out.mp4"], FAILED, "folder"),
        ([clips.SAMPLE, "--profile", "/dev/null/x/times.json"], FAILED, "cannot create the output folder"),
        ([clips.SAMPLE, "-o", "a.jsonl", "-o", "./a.jsonl"], WRONG_USAGE, "-o a.jsonl is given twice"),
        ([clips.SAMPLE, "-o", "-", "-o", "-"], WRONG_USAGE, "-o - is given twice"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(arguments, code, words, capfd):
    assert cli.main(["live", "--no-window", "-q", *map(str, arguments)]) == code
    err = capfd.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_outputs_are_not_replaced_unless_asked_for(run, tmp_path):
    old = tmp_path / "k.jsonl"
    old.write_text("old")
    arguments = (clips.SAMPLE, "--no-window", "--limit", 2, "-o", old)
    code, _, err = run(*arguments)
    assert code == WRONG_USAGE
    assert "--overwrite" in err
    assert old.read_text() == "old"
    assert run(*arguments, "--overwrite")[0] == DONE
    assert len(clips.read_keypoints(old)[1]) == 2


def test_the_source_is_not_overwritten(run, tmp_path):
    clip = clips.make(tmp_path / "clip.mp4", frames=5)
    before = clip.read_bytes()
    code, _, err = run(clip, "--no-window", "-o", clip, "--overwrite")
    assert code == WRONG_USAGE
    assert "source" in err
    assert clip.read_bytes() == before


def test_a_file_that_is_cut_off_is_played_as_far_as_it_goes(run, tmp_path):
    clip = clips.make(tmp_path / "clip.mkv", frames=40)
    clips.cut(clip, 0.5)
    code, _, err = run(clip, "--no-window", "--no-realtime")
    assert code in (DONE, FAILED)  # a cut Matroska file does not always tell
    assert "Traceback" not in err


def test_words_for_a_reader_that_has_gone_are_dropped():
    with subprocess.Popen(
        [*COMMAND, clips.SAMPLE, "--no-window", "--limit", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == DONE
