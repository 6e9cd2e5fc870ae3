"""A live run that nobody looks at."""

import pytest

import hprnet_rt
from hprnet_rt.errors import OutputError, UsageError
from hprnet_rt.live.session import Session, SessionOptions
from hprnet_rt.outputs import Outputs
from hprnet_rt.video import VideoSink
from tests.clips import decodable
from tests.live.driving import Clip, own_threads, sample_pictures


@pytest.fixture(scope="module")
def model():
    with hprnet_rt.load() as loaded:
        yield loaded


def test_a_recording_that_cannot_be_finished_does_not_cost_the_outputs(model, tmp_path, monkeypatch):
    clip = Clip(sample_pictures(2))
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
    assert len(decodable(tmp_path / "out.mp4")) == 3
    assert session.close() == () and own_threads() == []


def test_writing_and_showing_is_a_stage_of_its_own_and_the_stages_are_named(model):
    with Session(Clip(sample_pictures(1)), model, SessionOptions(limit=3)) as session:
        shown = sum(1 for _ in session)
        summary = {stage.name: stage for stage in session.profiler.summary()}
    assert session.stages[-1] == Session.OUTPUT
    assert list(summary)[1:] == list(session.stages) and summary[Session.OUTPUT].frames == shown


def test_a_recording_without_a_frame_leaves_no_file_and_says_so(model, tmp_path):
    with Session(Clip(sample_pictures(1)), model, folder=tmp_path) as session:
        session.record()
        with pytest.raises(UsageError, match="nothing was recorded"):
            session.record()
    assert list(tmp_path.iterdir()) == []
