"""A run that is stopped in the middle keeps what it has done."""

import signal
import threading
import time

import pytest

from hprnet_rt.jobs.annotate_file import annotate_file
from hprnet_rt.jobs.options import AnnotateOptions
from hprnet_rt.jobs.plan import plan
from tests import clips
from tests.jobs.failures.common import (
    INTERRUPTED,
    count_frames,
    names,
    start,
)
from tests.sentences import is_one_sentence

LONG = 1200  # frames


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    return clips.make(tmp_path_factory.mktemp("long") / "long.mp4", frames=LONG, size=(320, 180), audio="aac")


def wait_for_frames(process, path, frames):
    """Wait until `path`, a partial JSONL file, holds so many frames; the process must be running still."""
    deadline = time.perf_counter() + 60
    while not path.exists() or path.read_bytes().count(b"\n") <= frames:
        assert process.poll() is None, process.stderr.read()
        assert time.perf_counter() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_run_keeps_the_same_frames_in_playable_partial_files(long_clip, tmp_path, number):
    out = tmp_path / "out"
    with start(long_clip, "-o", out) as process:
        wait_for_frames(process, out / "long.partial.jsonl", 30)
        process.send_signal(number)
        stopped_s = time.perf_counter()
        stdout, err = process.communicate(timeout=30)
        took_s = time.perf_counter() - stopped_s
    assert process.returncode == INTERRUPTED
    assert is_one_sentence(err, "stopped")
    assert took_s < 5
    assert names(out) == ["long.partial.jsonl", "long.partial.mp4"]
    assert str(out / "long.partial.mp4") in stdout
    frames = clips.read_keypoints(out / "long.partial.jsonl")[1]
    assert 30 <= len(frames) < LONG
    assert clips.times(out / "long.partial.mp4") == clips.times(long_clip)[: len(frames)]
    sound = clips.audio_packets(out / "long.partial.mp4")
    assert sound == clips.audio_packets(long_clip)[: len(sound)]
    assert abs(sound[-1][1] - frames[-1]["pts_s"]) < 0.1


def test_killed_run_leaves_a_partial_clip_that_plays(long_clip, tmp_path):
    out = tmp_path / "out"
    with start(long_clip, "-o", out) as process:
        wait_for_frames(process, out / "long.partial.jsonl", 500)  # 20 s of video
        process.kill()
        process.wait(10)
        process.stdout.close()
        process.stderr.close()
    assert count_frames(str(out / "long.partial.jsonl")) >= 500
    # at least what was 10 s before the end
    assert count_frames(str(out / "long.partial.mp4")) >= 250


def test_cancelled_annotate_reports_what_it_kept(model, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", frames=60)
    cancelled = threading.Event()

    def progress(item):
        if item.frame.sequence == 9:
            cancelled.set()

    options = AnnotateOptions()
    (job,) = plan([str(source)], tmp_path / "out", options)
    report = annotate_file(job, model, options, progress=progress, cancelled=cancelled)
    assert report.cancelled
    assert report.frames == 10
    kept = {path.name for path in report.written}
    assert kept == {"clip.partial.jsonl", "clip.partial.mp4"} == set(names(tmp_path / "out"))
    assert clips.times(tmp_path / "out" / "clip.partial.mp4") == clips.times(source)[:10]
    assert len(clips.read_keypoints(tmp_path / "out" / "clip.partial.jsonl")[1]) == 10
