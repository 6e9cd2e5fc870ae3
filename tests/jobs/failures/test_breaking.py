"""Something breaks in the middle: the error arrives, what was done is kept, no thread is left."""

import itertools

import pytest

from hprnet_rt import PoseModel
from hprnet_rt.errors import BackendError, MediaError, OutputError
from hprnet_rt.formats import KeypointsSink
from hprnet_rt.jobs.annotate_file import annotate_file
from hprnet_rt.jobs.options import AnnotateOptions
from hprnet_rt.jobs.plan import plan
from hprnet_rt.video import VideoSink, VideoSource
from tests import clips
from tests.jobs.failures.common import (
    FAILED,
    kept_frames,
    names,
    pipeline_threads,
)
from tests.sentences import is_one_sentence


def break_infer(monkeypatch, at, error):
    """Let the network fail at an image: where it takes one at a time, and where several."""
    calls, infer, begin = itertools.count(), PoseModel.infer, PoseModel.begin

    def broken(self, batch, letterbox):
        if next(calls) == at:
            raise error
        return infer(self, batch, letterbox)

    def broken_later(self, inputs):
        collect, fails = begin(self, inputs), next(calls) == at

        def collected():
            found = collect()
            if fails:
                raise error
            return found

        return collected

    monkeypatch.setattr(PoseModel, "infer", broken)
    monkeypatch.setattr(PoseModel, "begin", broken_later)


def break_write(monkeypatch, sink, at, error):
    write = sink.write

    def broken(self, item):
        if item.frame.sequence == at:
            raise error
        write(self, item)

    monkeypatch.setattr(sink, "write", broken)


def break_source(monkeypatch, at, error):
    frames = VideoSource.__iter__

    def broken(self):
        yield from itertools.islice(frames(self), at)
        raise error

    monkeypatch.setattr(VideoSource, "__iter__", broken)


def annotate_clip(model, tmp_path, frames, **callbacks):
    """Annotate a fresh clip; returns the source, for comparison, and passes errors on."""
    source = clips.make(tmp_path / "clip.mp4", frames=frames, audio="aac")
    options = AnnotateOptions()
    (job,) = plan([str(source)], tmp_path / "out", options)
    annotate_file(job, model, options, **callbacks)


def assert_kept(tmp_path, frames):
    """Whether both partial files hold exactly the first `frames` frames, and there are no others."""
    out = tmp_path / "out"
    assert names(out) == ["clip.partial.jsonl", "clip.partial.mp4"]
    assert clips.times(out / "clip.partial.mp4") == clips.times(tmp_path / "clip.mp4")[:frames]
    sequences = [frame["frame"] for frame in clips.read_keypoints(out / "clip.partial.jsonl")[1]]
    assert sequences == list(range(frames))
    assert pipeline_threads() == []


def test_engine_that_fails_on_frame_100_leaves_100_frames(model, tmp_path, monkeypatch):
    break_infer(monkeypatch, 100, BackendError("the engine broke"))
    with pytest.raises(BackendError, match="the engine broke") as caught:
        annotate_clip(model, tmp_path, 120)
    frames, files = kept_frames(str(caught.value))
    assert frames == 100
    out = tmp_path / "out"
    assert sorted(files) == [str(out / "clip.partial.jsonl"), str(out / "clip.partial.mp4")]
    assert_kept(tmp_path, 100)


def test_engine_that_fails_is_told_in_one_sentence(run, tmp_path, monkeypatch):
    source = clips.make(tmp_path / "clip.mp4", frames=20)
    break_infer(monkeypatch, 10, BackendError("the engine broke"))
    code, err = run(source, "-o", tmp_path / "out")
    assert code == FAILED
    assert is_one_sentence(err, "the engine broke", "10 frames", tmp_path / "out" / "clip.partial.mp4")


def test_engine_that_fails_on_the_first_frame_leaves_no_file(model, tmp_path, monkeypatch):
    break_infer(monkeypatch, 0, BackendError("the engine broke"))
    with pytest.raises(BackendError, match=r"^the engine broke$"):
        annotate_clip(model, tmp_path, 20)
    assert names(tmp_path / "out") == []
    assert pipeline_threads() == []


def test_unexpected_error_in_a_stage_reaches_the_caller_as_it_is(model, tmp_path, monkeypatch):
    error = ZeroDivisionError("a bug")
    break_infer(monkeypatch, 10, error)
    with pytest.raises(ZeroDivisionError) as caught:
        annotate_clip(model, tmp_path, 20)
    assert caught.value is error
    assert_kept(tmp_path, 10)


def test_source_that_fails_leaves_the_frames_before(model, tmp_path, monkeypatch):
    break_source(monkeypatch, 7, MediaError("the card was pulled out"))
    with pytest.raises(MediaError, match="the card was pulled out") as caught:
        annotate_clip(model, tmp_path, 20)
    assert kept_frames(str(caught.value))[0] == 7
    assert_kept(tmp_path, 7)


def test_keypoints_sink_that_fails_leaves_the_frames_before(model, tmp_path, monkeypatch):
    break_write(monkeypatch, KeypointsSink, 6, OutputError("the disk is gone"))
    with pytest.raises(OutputError, match="the disk is gone") as caught:
        annotate_clip(model, tmp_path, 20)
    assert kept_frames(str(caught.value))[0] == 6
    assert_kept(tmp_path, 6)


def test_video_sink_that_fails_leaves_the_frames_before(model, tmp_path, monkeypatch):
    break_write(monkeypatch, VideoSink, 6, OutputError("the disk is gone"))
    with pytest.raises(OutputError, match="the disk is gone") as caught:
        annotate_clip(model, tmp_path, 20)
    assert kept_frames(str(caught.value))[0] == 6
    assert pipeline_threads() == []
    out = tmp_path / "out"
    assert names(out) == ["clip.partial.jsonl", "clip.partial.mp4"]
    assert len(clips.times(out / "clip.partial.mp4")) == 6
    # keypoints are written before pictures: one frame more is no harm
    assert len(clips.read_keypoints(out / "clip.partial.jsonl")[1]) in (6, 7)


def test_callback_that_fails_leaves_the_frames_before(model, tmp_path):
    error = KeyError("in the caller's code")

    def progress(item):
        if item.frame.sequence == 5:
            raise error

    with pytest.raises(KeyError) as caught:
        annotate_clip(model, tmp_path, 20, progress=progress)
    assert caught.value is error
    assert_kept(tmp_path, 6)
