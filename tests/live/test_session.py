from dataclasses import replace
from threading import Event, current_thread

import cv2
import numpy as np
import pytest

import hprnet_rt
from hprnet_rt import MediaError, OutputError, UsageError
from hprnet_rt.bench.scenes import picture
from hprnet_rt.formats import KeypointsSink
from hprnet_rt.jobs.outputs import Outputs
from hprnet_rt.live.session import Session, SessionOptions
from hprnet_rt.live.writer import WRITING
from hprnet_rt.pipeline import ChannelClosed
from hprnet_rt.render import Overlay, OverlayStyle
from hprnet_rt.video import VideoSink, VideoSource
from tests.clips import times
from tests.live.driving import DEADLINE_S, Clip, own_threads, sample_pictures

IMAGES = sample_pictures(4)


@pytest.fixture(scope="module")
def model():
    with hprnet_rt.load() as opened:
        yield opened


def test_frames_come_with_skeletons_ids_and_an_age(model):
    source = Clip(IMAGES, rate=20)
    with Session(source, model, SessionOptions(limit=6)) as session:
        shown = list(session)
    assert len(shown) == session.count == 6
    for item in shown:
        assert len(item.result.poses) == 3
        assert (item.result.poses.track_id >= 0).all()
        assert item.picture is item.result.frame.image
        assert not np.array_equal(item.picture, IMAGES[item.result.frame.sequence % 4])
    age = session.profiler.age()
    assert age.frames == 6
    assert source.closed
    assert not own_threads()


def test_while_the_network_that_looks_closer_is_opened_frames_come_as_they_did(monkeypatch):
    crowd = cv2.resize(picture(50, (1280, 720)), (640, 360), interpolation=cv2.INTER_AREA)
    with hprnet_rt.load(input_px="auto") as model:
        closed, asked, closer = Event(), Event(), model.closer

        def open_slowly(input_px):
            asked.set()
            assert closed.wait(DEADLINE_S)
            return closer(input_px)

        monkeypatch.setattr(model, "closer", open_slowly)
        with Session(Clip([crowd], rate=100), model, SessionOptions(in_flight=1)) as session:
            found = []
            for shown in session:
                found.append(len(shown.result.poses))
                if len(found) == 20:
                    assert asked.is_set()
                    assert max(found) < 40
                    closed.set()
                if found[-1] >= 45:
                    break
    assert session.watch.closer >= 1
    assert not own_threads()


def test_a_duration_ends_the_run(model):
    with Session(Clip(IMAGES, rate=50), model, SessionOptions(duration_s=0.5)) as session:
        assert list(session)
    assert not own_threads()


def test_the_end_of_the_source_is_the_end(model):
    with Session(Clip(IMAGES, frames=1), model) as session:
        assert len(list(session)) == 1


def test_an_error_of_the_source_reaches_the_caller_and_leaves_no_thread(model):
    source = Clip(IMAGES, frames=2, error=MediaError("the camera is gone"))
    with pytest.raises(MediaError, match="the camera is gone"), Session(source, model) as session:
        list(session)
    assert source.closed
    assert not own_threads()


def test_outputs_hold_every_shown_frame_and_are_finished(model, tmp_path):
    source = Clip(IMAGES, rate=30)
    video, keypoints = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    outputs = Outputs([VideoSink(video, source.info), KeypointsSink(keypoints, {})])
    with Session(source, model, SessionOptions(limit=5), outputs=outputs) as session:
        list(session)
    assert len(times(video)) == 5
    assert len(keypoints.read_text().splitlines()) == 6


def test_outputs_of_a_failed_run_stay_under_partial_names(model, tmp_path):
    source = Clip(IMAGES, frames=3, rate=10, error=MediaError("gone"))
    outputs = Outputs([KeypointsSink(tmp_path / "out.jsonl", {})])
    with pytest.raises(MediaError), Session(source, model, outputs=outputs) as session:
        list(session)
    assert not (tmp_path / "out.jsonl").exists()
    assert (tmp_path / "out.partial.jsonl").read_text().count("\n") == 4


def test_an_output_that_fails_ends_the_run(model):
    class Full:
        def write(self, item):
            raise OutputError("no space left")

    with (
        pytest.raises(OutputError, match="no space"),
        Session(Clip(IMAGES), model, streams=[Full()]) as session,
    ):
        list(session)
    assert not own_threads()


def test_recording_begins_and_ends_while_it_runs(model, tmp_path):
    with Session(Clip(IMAGES, rate=20), model, folder=tmp_path) as session:
        frames = iter(session)
        next(frames)
        path = session.record()
        assert session.readings().recording == path
        for _ in range(4):
            next(frames)
        assert session.record() == path
        assert session.readings().recording is None
    opened = VideoSource(path)
    times = [frame.pts_s for frame in opened]
    opened.close()
    assert len(times) == 4
    assert times[0] == pytest.approx(0.0, abs=0.01)
    assert list(tmp_path.iterdir()) == [path]


def test_a_recording_that_is_going_on_is_finished_at_the_end(model, tmp_path):
    with Session(Clip(IMAGES), model, SessionOptions(limit=3), folder=tmp_path) as session:
        path = session.record()
        list(session)
    assert len(times(path)) == 3


def test_a_saved_picture_is_the_one_that_is_seen(model, tmp_path):
    with Session(Clip(IMAGES), model, SessionOptions(limit=1), folder=tmp_path) as session:
        with pytest.raises(UsageError, match="no picture"):
            session.save()
        (item,) = list(session)
        first, second = session.save(), session.save()
    assert first != second
    assert np.array_equal(cv2.imread(str(first)), item.picture)


def test_a_mirror_turns_the_picture_and_not_the_poses(model):
    plain, mirrored = [], []
    for items, mirror in ((plain, False), (mirrored, True)):
        session = Session(Clip(IMAGES[:1]), model, SessionOptions(limit=1, track=False, smooth="off"))
        session.mirror = mirror
        with session:
            items.extend(session)
    (one,), (other,) = plain, mirrored
    assert np.array_equal(one.result.poses.xy, other.result.poses.xy, equal_nan=True)
    assert np.array_equal(one.result.frame.image, other.result.frame.image)
    same = np.abs(cv2.flip(other.picture, 1).astype(int) - one.picture).max(axis=2) < 40
    assert same.mean() > 0.995  # but for the rounding of lines


def test_parts_are_left_out_of_the_picture_while_it_runs(model):
    session = Session(Clip(IMAGES[:1]), model, SessionOptions(limit=1))
    session.overlay.style = replace(session.overlay.style, body=False, face=False, hands=False, ids=False)
    with session:
        (item,) = list(session)
    assert len(item.result.poses) == 3
    assert np.array_equal(item.picture, IMAGES[0])


@pytest.mark.parametrize("mirror", [False, True])
def test_skeletons_stand_alone_on_black_in_what_is_shown_and_written(model, mirror):
    session = Session(Clip(IMAGES[:1]), model, SessionOptions(limit=1, only="skeleton"))
    session.mirror = mirror
    with session:
        (item,) = list(session)
    assert len(item.result.poses) == 3
    for drawn in (item.picture, item.result.frame.image):
        assert drawn.any()
        assert (drawn == 0).all(axis=2).mean() > 0.8


def test_faces_are_blurred_and_all_else_stays(model):
    without = OverlayStyle(body=False, face=False, hands=False, ids=False)
    session = Session(
        Clip(IMAGES[:1]), model, SessionOptions(limit=1, blur="faces"), overlay=Overlay(without)
    )
    with session:
        (item,) = list(session)
    changed = (item.picture != IMAGES[0]).any(axis=2)
    assert 0 < changed.mean() < 0.3  # three large heads, and what is around them
    for person in item.result.poses:
        x, y, _ = person["nose"]
        assert changed[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3].any()


def test_nobody_is_left_unblurred_by_a_higher_threshold(model):
    with Session(Clip(IMAGES[:1]), model, SessionOptions(limit=1, blur="faces")) as session:
        assert session.nudge_threshold(0.5) == model.facts.threshold
        assert session.nudge_threshold(-0.1) < model.facts.threshold
    with Session(Clip(IMAGES[:1]), model, SessionOptions(limit=1)) as session:
        assert session.nudge_threshold(0.5) > model.facts.threshold


def test_the_largest_people_alone_are_kept_and_not_with_blurred_faces(model):
    with Session(Clip(IMAGES[:1]), model, SessionOptions(limit=1, max_people=2)) as session:
        (item,) = list(session)
    assert len(item.result.poses) == 2
    with pytest.raises(UsageError, match="does not go with fewer people"):
        SessionOptions(max_people=2, blur="faces")
    with pytest.raises(UsageError, match="at least 1"):
        SessionOptions(max_people=0)


def test_a_threshold_changes_who_is_found_in_its_own_session_only(model):
    usual = model.group.options.person_threshold
    with Session(Clip(IMAGES), model) as session, Session(Clip(IMAGES), model) as other:
        frames, other_frames = iter(session), iter(other)
        assert len(next(frames).result.poses) == 3
        assert session.nudge_threshold(0.9) == session.threshold == 1.0
        last = [next(frames) for _ in range(4)][-1]
        assert len(last.result.poses) == 0
        assert len(next(other_frames).result.poses) == 3
        assert other.threshold == model.facts.threshold == usual
    assert len(model(IMAGES[0])) == 3


def test_nothing_is_taken_while_paused(model):
    source = Clip(IMAGES, rate=100)
    with Session(source, model) as session:
        frames = iter(session)
        next(frames)
        session.pause(True)
        assert session.readings().paused
        session.shown()
        arrived = 0
        while session.take(0.5) is not None:
            session.shown()
            arrived += 1
        assert arrived <= session.options.in_flight + 1
        session.pause(False)
        assert session.take(5.0) is not None
    assert source.pauses == [True, False]


def test_readings_tell_how_it_goes(model):
    source = Clip(IMAGES, rate=200)
    with Session(source, model, SessionOptions(limit=10)) as session:
        for _ in session:
            source.status = "no picture for 3 s"
            readings = session.readings()
    assert readings.people == 3
    assert readings.shown == 10
    assert readings.dropped > 0
    assert readings.trouble == "no picture for 3 s"
    assert readings.fps > 0
    assert readings.age_ms > 0
    assert list(readings.stages) == [
        *("capture", "preprocess", "engine", "grouping", "tracking", "render", "output"),
    ]


def test_wrong_options_are_refused():
    for wrong in ({"in_flight": 0}, {"smooth": "wiener"}, {"limit": 0}, {"duration_s": 0.0}):
        with pytest.raises(UsageError):
            SessionOptions(**wrong)


def test_take_says_when_nothing_more_comes(model):
    with Session(Clip(IMAGES, frames=1), model) as session:
        session.start()
        assert session.take(5.0) is not None
        with pytest.raises(ChannelClosed):
            session.take(5.0)


def test_a_recording_that_cannot_be_finished_does_not_cost_the_outputs(model, tmp_path, monkeypatch):
    clip = Clip(IMAGES)
    outputs = Outputs([VideoSink(tmp_path / "out.mp4", clip.info)])
    session = Session(clip, model, SessionOptions(limit=3), outputs=outputs, folder=tmp_path)
    recording = session.record()
    assert sum(1 for _ in session) == 3
    commit = VideoSink.commit

    def fail(sink):
        if sink.path == recording:
            raise OutputError("the disk is gone")
        commit(sink)

    monkeypatch.setattr(VideoSink, "commit", fail)
    with pytest.raises(OutputError, match="the disk is gone"):
        session.close()
    assert len(times(tmp_path / "out.mp4")) == 3
    assert session.close() == () and own_threads() == []


def test_showing_is_a_stage_of_its_own_and_the_stages_are_named(model):
    with Session(Clip(IMAGES), model, SessionOptions(limit=3)) as session:
        shown = sum(1 for _ in session)
        summary = {stage.name: stage for stage in session.profiler.summary()}
    assert session.stages[-1] == Session.OUTPUT
    assert list(summary)[1:] == list(session.stages) and summary[Session.OUTPUT].frames == shown


class Gate:
    """A stream whose writes wait until it is opened, and then fail if there is an error."""

    def __init__(self, error=None):
        self.entered, self.opened, self.written, self._error = Event(), Event(), [], error
        self.viewer = current_thread()

    def write(self, item):
        assert current_thread() is not self.viewer
        self.entered.set()
        assert self.opened.wait(DEADLINE_S)
        if self._error is not None:
            raise self._error
        self.written.append(item.frame.sequence)


def _take_all(session, taken):
    """Show frames until none comes, and append their numbers."""
    while (item := session.take(0.5)) is not None:
        taken.append(item.result.frame.sequence)
        session.shown()


def test_a_stream_that_blocks_does_not_block_the_viewer_and_loses_nothing_that_was_shown(model):
    gate, ready, taken = Gate(), Event(), []
    with Session(Clip(IMAGES, rate=100), model, SessionOptions(limit=30), streams=[gate]) as session:
        session.start(ready.set)
        _take_all(session, taken)  # ends though the source goes on: no more may wait to be written
        assert gate.entered.is_set() and gate.written == []
        assert 1 < len(taken) < 30
        ready.clear()
        gate.opened.set()
        assert ready.wait(DEADLINE_S)  # there is room again
        with pytest.raises(ChannelClosed):
            while True:
                _take_all(session, taken)
        assert gate.written == taken and len(taken) == session.count == 30
        summary = {stage.name: stage for stage in session.profiler.summary()}
        assert summary[WRITING].frames == 30 and WRITING in session.readings().stages
    assert not own_threads()


def test_the_last_frames_are_written_when_a_session_is_closed(model):
    gate, taken = Gate(), []
    session = Session(Clip(IMAGES), model, streams=[gate])
    session.start()
    _take_all(session, taken)
    gate.opened.set()
    session.close()
    assert gate.written == taken and not own_threads()


@pytest.mark.parametrize("error", [OutputError("no space left"), BrokenPipeError()])
def test_an_error_in_the_last_frame_rises_once_at_the_latest_when_it_is_closed(model, tmp_path, error):
    for early in (True, False):
        clip, gate = Clip(IMAGES), Gate(error)
        keypoints = tmp_path / "out.jsonl"
        outputs = Outputs([KeypointsSink(keypoints, {})])
        session = Session(clip, model, SessionOptions(limit=1), outputs=outputs, streams=[gate])
        session.start()
        assert session.take(DEADLINE_S) is not None
        session.shown()
        assert session.take(0.01) is None  # over, but not yet written
        gate.opened.set()
        if early:
            with pytest.raises(type(error)):
                session.wait_until_written()
            session.wait_until_written()
            assert session.close() == (keypoints,)
            keypoints.unlink()
        else:
            with pytest.raises(type(error)):
                session.close()
            assert not keypoints.exists()
        assert not own_threads()


def test_a_recording_that_cannot_be_completed_is_told_and_does_not_end_the_run(model, tmp_path, monkeypatch):
    def fail(_):
        raise OutputError("the disk is gone")

    monkeypatch.setattr(VideoSink, "commit", fail)
    with Session(Clip(IMAGES), model, folder=tmp_path) as session:
        frames = iter(session)
        session.record()
        next(frames)
        session.record()
        session.wait_until_written()
        assert "the disk is gone" in session.readings().trouble
        assert session.readings().recorded is None
        assert next(frames)


def test_recordings_that_begin_in_one_second_have_files_of_their_own(model, tmp_path):
    with Session(Clip(IMAGES, rate=100), model, folder=tmp_path) as session:
        frames = iter(session)
        paths = []
        for _ in range(3):
            paths.append(session.record())
            next(frames)
            next(frames)
            assert session.record() == paths[-1]
        session.wait_until_written()
        assert session.readings().recorded == paths[-1]
    assert [len(times(path)) for path in paths] == [2, 2, 2]


def test_a_recording_without_a_frame_leaves_no_file_and_says_so(model, tmp_path):
    with Session(Clip(IMAGES), model, folder=tmp_path) as session:
        session.record()
        with pytest.raises(UsageError, match="nothing was recorded"):
            session.record()
    assert list(tmp_path.iterdir()) == []
