"""An interrupted annotate goes on where it was, and its keypoints are those of an uninterrupted one."""

import itertools
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import pytest

import hprnet_rt
import hprnet_rt.jobs.file_run as file_run
from hprnet_rt import PoseModel
from hprnet_rt.bench.scenes import picture
from hprnet_rt.errors import MediaError, OutputError, UsageError
from hprnet_rt.formats import read_keypoints
from hprnet_rt.inference import crowd
from hprnet_rt.jobs.annotate_file import annotate_file
from hprnet_rt.jobs.options import AnnotateOptions
from hprnet_rt.jobs.plan import plan
from hprnet_rt.video import VideoSource, file_source
from tests import clips

ROOT = Path(__file__).parents[2]
PEOPLE_PX = 192
FRAMES = 24


@pytest.fixture(scope="module")
def model():
    with hprnet_rt.load(input_px=PEOPLE_PX, threads=1) as made:
        yield made


@pytest.fixture(autouse=True)
def every_frame_is_durable(monkeypatch):
    monkeypatch.setattr(file_run, "_DURABLE_S", 0.0)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def do(model, out, options, source=clips.SAMPLE, stop_at=None):
    """Annotate; with `stop_at`, cancel when so many frames have been reported."""
    (job,) = plan([str(source)], out, options)
    cancelled, seen = threading.Event(), itertools.count(1)

    def progress(_item):
        if next(seen) == stop_at:
            cancelled.set()

    return annotate_file(job, model, options, progress=progress, cancelled=cancelled)


@pytest.fixture(scope="module")
def whole(model, tmp_path_factory):
    """The keypoints of an uninterrupted run, by the way of smoothing."""
    made = {}

    def get(smooth):
        if smooth not in made:
            folder = tmp_path_factory.mktemp("whole")
            do(model, folder, AnnotateOptions(video=False, limit=FRAMES, smooth=smooth))
            made[smooth] = (folder / "sample.jsonl").read_bytes()
        return made[smooth]

    return get


@pytest.mark.parametrize("smooth", ["off", "one-euro", "zero-lag"])
def test_stopped_twice_and_continued_equals_the_uninterrupted_run(model, whole, tmp_path, smooth):
    options = AnnotateOptions(limit=FRAMES, smooth=smooth)
    assert do(model, tmp_path, options, stop_at=7).cancelled
    # the first frames are drawn again: 7 and some new ones
    report = do(model, tmp_path, options, stop_at=15)
    assert report.cancelled
    assert report.resumed in (6, 7)
    report = do(model, tmp_path, options)
    assert not report.cancelled
    assert report.resumed in (14, 15)
    assert report.frames == FRAMES
    assert names(tmp_path) == ["sample.jsonl", "sample.mp4"]
    assert (tmp_path / "sample.jsonl").read_bytes() == whole(smooth)
    assert clips.times(tmp_path / "sample.mp4") == clips.times(clips.SAMPLE)[:FRAMES]
    people = [len(frame["people"]) for frame in clips.read_keypoints(tmp_path / "sample.jsonl")[1]]
    assert (report.people, report.most_people) == (sum(people), max(people))


def test_a_run_that_chooses_the_size_goes_on_with_the_size_that_it_had(tmp_path, monkeypatch):
    monkeypatch.setattr(crowd, "_TO_CLOSER", (3, 4))
    people = cv2.resize(picture(50, (1280, 720)), (640, 360), interpolation=cv2.INTER_AREA)
    clips.make(tmp_path / "crowd.mp4", frames=6, size=(640, 360), draw=lambda *_: people)
    options = AnnotateOptions(video=False)
    with hprnet_rt.load(input_px="auto", threads=1) as model:
        whole = do(model, tmp_path / "whole", options, tmp_path / "crowd.mp4")
        assert do(model, tmp_path / "parts", options, tmp_path / "crowd.mp4", stop_at=4).cancelled
        report = do(model, tmp_path / "parts", options, tmp_path / "crowd.mp4")
    assert report.resumed in (3, 4)
    assert report.closer == whole.closer == 3
    assert whole.most_people >= 45
    one, other = ((tmp_path / name / "crowd.jsonl").read_bytes() for name in ("whole", "parts"))
    assert one == other


def test_no_frame_is_looked_at_twice(model, tmp_path, monkeypatch):
    calls, infer = [], PoseModel.infer
    monkeypatch.setattr(
        PoseModel, "infer", lambda self, *arguments: calls.append(1) or infer(self, *arguments)
    )
    options = AnnotateOptions(video=False, limit=FRAMES)
    resumed = do(model, tmp_path, options, stop_at=10).frames
    calls.clear()
    report = do(model, tmp_path, options)
    assert report.resumed in (resumed - 1, resumed)
    assert len(calls) == FRAMES - report.resumed


def test_zero_lag_stopped_while_it_writes_continues(model, whole, tmp_path):
    options = AnnotateOptions(limit=FRAMES, smooth="zero-lag")
    assert do(model, tmp_path, options, stop_at=FRAMES + 5).cancelled
    assert not {"sample.jsonl", "sample.mp4"}.intersection(names(tmp_path))
    assert do(model, tmp_path, options).resumed >= FRAMES - 1
    assert names(tmp_path) == ["sample.jsonl", "sample.mp4"]
    assert (tmp_path / "sample.jsonl").read_bytes() == whole("zero-lag")


def test_failure_in_the_middle_continues_too(model, whole, tmp_path, monkeypatch):
    write, options = file_run.VideoSink.write, AnnotateOptions(limit=FRAMES, formats=("csv", "npz"))

    def full(self, item):
        if item.frame.sequence == 9:
            raise OutputError("the disk is full")
        write(self, item)

    with monkeypatch.context() as patch:
        patch.setattr(file_run.VideoSink, "write", full)
        with pytest.raises(OutputError, match="the first 9 frames are kept"):
            do(model, tmp_path, options)
        with pytest.raises(OutputError, match="the first 9 frames are kept"):
            do(model, tmp_path, options)  # while what is known is drawn
    assert do(model, tmp_path, options).resumed == 9
    assert names(tmp_path) == ["sample.csv", "sample.mp4", "sample.npz"]
    recording = read_keypoints(tmp_path / "sample.npz")
    hprnet_rt.write_keypoints(tmp_path / "again.jsonl", recording.header, recording.frames)
    assert (tmp_path / "again.jsonl").read_bytes() == whole("off")


@pytest.mark.parametrize("enters", [True, False])
@pytest.mark.parametrize("more", [{}, {"stride": 3}, {"start_s": 0.5, "stride": 2}, {"limit": 45}])
def test_without_a_picture_a_long_video_is_continued_at_a_key_frame(
    model, tmp_path, monkeypatch, more, enters
):
    source = clips.make(tmp_path / "clip.mp4", frames=60, options={"g": "8", "bf": "2"})
    options = AnnotateOptions(video=False, **more)
    do(model, tmp_path / "whole", options, source)
    entered, begin_at = [], VideoSource.begin_at
    monkeypatch.setattr(VideoSource, "begin_at", lambda *args: entered.append(args[1]) or begin_at(*args))
    do(model, tmp_path / "out", options, source, stop_at=14)
    entered.clear()
    if not enters:
        monkeypatch.setattr(file_source, "read_index", lambda *_: None)
    assert do(model, tmp_path / "out", options, source).resumed in (13, 14)
    assert [part.number > 0 for part in entered] == [True] * enters
    assert (tmp_path / "out" / "clip.jsonl").read_bytes() == (tmp_path / "whole" / "clip.jsonl").read_bytes()


def test_another_run_does_not_continue_it(model, tmp_path):
    do(model, tmp_path, AnnotateOptions(video=False, limit=FRAMES), stop_at=5)
    kept = (tmp_path / "sample.partial.jsonl").read_bytes()
    with pytest.raises(UsageError, match=r"another smooth \(off; now one-euro\).*--overwrite"):
        do(model, tmp_path, AnnotateOptions(video=False, limit=FRAMES, smooth="one-euro"))
    assert (tmp_path / "sample.partial.jsonl").read_bytes() == kept
    report = do(
        model, tmp_path, AnnotateOptions(video=False, limit=FRAMES, smooth="one-euro", overwrite=True)
    )
    assert (report.resumed, report.frames) == (0, FRAMES)


def test_second_run_at_the_same_time_is_refused_and_disturbs_nothing(model, whole, tmp_path):
    options = AnnotateOptions(video=False, limit=FRAMES)
    (job,) = plan([str(clips.SAMPLE)], tmp_path, options)
    refused = []

    def progress(_item):
        if not refused:
            with pytest.raises(OutputError, match="another run is writing") as raised:
                annotate_file(job, model, options)
            refused.append(raised.value)

    annotate_file(job, model, options, progress=progress)
    assert refused
    assert names(tmp_path) == ["sample.jsonl"]
    assert (tmp_path / "sample.jsonl").read_bytes() == whole("off")
    assert do(model, tmp_path, options).skipped


def test_file_that_was_replaced_is_not_continued(model, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", frames=20)
    do(model, tmp_path / "out", AnnotateOptions(), source, stop_at=10)
    clips.make(source, frames=30)
    with pytest.raises(UsageError, match="source_bytes"):
        do(model, tmp_path / "out", AnnotateOptions(), source)


def test_what_is_done_is_skipped_and_what_another_run_has_done_is_not(model, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", frames=5)
    for options in (AnnotateOptions(), AnnotateOptions(keypoints=False)):
        out = tmp_path / f"out {options.keypoints}"
        assert not do(model, out, options, source).skipped
        before = {path: path.read_bytes() for path in out.iterdir()}
        assert do(model, out, options, source).skipped
        other = AnnotateOptions(keypoints=options.keypoints, track=False)
        with pytest.raises(UsageError, match="other settings"):
            do(model, out, other, source)
        assert {path: path.read_bytes() for path in out.iterdir()} == before


def test_killed_between_the_last_two_names_continues(model, tmp_path, monkeypatch):
    source = clips.make(tmp_path / "clip.mp4", frames=5)
    with monkeypatch.context() as patch:
        patch.setattr(file_run.Journal, "commit", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            do(model, tmp_path / "out", AnnotateOptions(), source)
    assert names(tmp_path / "out") == ["clip.mp4", "clip.partial.jsonl", "clip.partial.state"]
    do(model, tmp_path / "out", AnnotateOptions(), source)
    assert names(tmp_path / "out") == ["clip.jsonl", "clip.mp4"]


def test_what_a_run_killed_at_its_very_end_has_left_is_tidied(model, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", frames=5)
    do(model, tmp_path / "out", AnnotateOptions(), source)
    (tmp_path / "out" / "clip.partial.state").write_bytes(b"left")
    assert do(model, tmp_path / "out", AnnotateOptions(), source).skipped
    assert names(tmp_path / "out") == ["clip.jsonl", "clip.mp4"]


def test_file_that_shrank_is_a_sentence(model, tmp_path, monkeypatch):
    source = clips.make(tmp_path / "clip.mp4", frames=30)
    options = AnnotateOptions(video=False)
    do(model, tmp_path / "out", options, source, stop_at=20)
    clips.make(source, frames=5)
    monkeypatch.setattr(
        "hprnet_rt.jobs.fingerprint.size_bytes", lambda _source: 0
    )  # as if it were of one size
    monkeypatch.setattr("hprnet_rt.jobs.journal._same_header", lambda *_: True)
    with pytest.raises(MediaError, match="not as it was"):
        do(model, tmp_path / "out", options, source)
    assert len(clips.read_keypoints(tmp_path / "out" / "clip.partial.jsonl")[1]) >= 19


@pytest.mark.parametrize("damage", [b"", b"rubbish", b"PK\x03\x04rubbish"])
def test_damaged_state_begins_anew(model, tmp_path, damage):
    source = clips.make(tmp_path / "clip.mp4", frames=10)
    do(model, tmp_path / "out", AnnotateOptions(), source, stop_at=5)
    (tmp_path / "out" / "clip.partial.state").write_bytes(damage)
    report = do(model, tmp_path / "out", AnnotateOptions(), source)
    assert (report.resumed, report.frames) == (0, 10)
    assert names(tmp_path / "out") == ["clip.jsonl", "clip.mp4"]


# --- kill -9 ---

SCRIPT = """
import sys
import hprnet_rt.jobs.file_run
from hprnet_rt import cli
hprnet_rt.jobs.file_run._DURABLE_S = 0.05
sys.exit(cli.main(["annotate", *sys.argv[1:]]))
"""


def start(*arguments):
    command = [sys.executable, "-c", SCRIPT, *map(str, arguments), "--size", str(PEOPLE_PX), "--threads", "1"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("smooth", "seed"), [("one-euro", 1), ("zero-lag", 2)])
def test_killed_at_random_moments_continues(tmp_path, whole, smooth, seed):
    arguments = (clips.SAMPLE, "-o", tmp_path, "--limit", FRAMES, "--smooth", smooth)
    moments = random.Random(seed)
    for _ in range(2):
        process = start(*arguments)
        deadline_s = time.perf_counter() + 60
        while not list(tmp_path.glob("*.partial.jsonl")) and process.poll() is None:
            assert time.perf_counter() < deadline_s
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.6))
        process.kill()
        process.communicate(timeout=20)
    process = start(*arguments)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert names(tmp_path) == ["sample.jsonl", "sample.mp4"]
    assert (tmp_path / "sample.jsonl").read_bytes() == whole(smooth)
    assert clips.times(tmp_path / "sample.mp4") == clips.times(clips.SAMPLE)[:FRAMES]
