"""A file that is played by its own clock."""

import itertools
import threading
import time

import pytest

from hprnet_rt.errors import MediaError
from hprnet_rt.video import VideoSource
from hprnet_rt.video.capture import LiveOptions
from hprnet_rt.video.capture.playback import Playback
from tests import clips

BUSY_S = 0.3  # what a busy machine may be late by


def is_due(frame, first, offset_s):
    """Whether a frame was given at its time after the first one, never before."""
    return -1e-6 <= frame.captured_s - first.captured_s - offset_s < BUSY_S


@pytest.fixture
def clip(tmp_path):
    return clips.make(tmp_path / "clip.mp4", frames=10, rate=20)


def test_frames_come_when_they_are_due(tmp_path):
    pts = [0, 1, 2, 6, 7, 15]  # a variable rate
    clip = clips.make(tmp_path / "clip.mp4", frames=6, rate=20, pts=pts)
    source = Playback(clip, LiveOptions())
    frames, given_s = [], []
    for frame in source:
        frames.append(frame)
        given_s.append(time.perf_counter())
    source.close()
    assert [frame.sequence for frame in frames] == list(range(6))
    for number, frame, at_s in zip(pts, frames, given_s, strict=True):
        assert is_due(frame, frames[0], number / 20)
        assert frame.captured_s <= at_s
    assert source.status == ""
    assert source.damage is None


def test_frames_are_those_of_the_file(clip):
    source, plain = Playback(clip, LiveOptions()), VideoSource(clip)
    assert source.info == plain.info
    for played, read in zip(source, plain, strict=True):
        assert played.pts_s == read.pts_s
        assert (played.image == read.image).all()
    source.close()
    plain.close()


def test_without_a_clock_frames_come_as_fast_as_they_are_taken(tmp_path):
    clip = clips.make(tmp_path / "slow.mp4", frames=10, rate=1)
    source = Playback(clip, LiveOptions(realtime=False))
    started_s = time.perf_counter()
    frames = list(source)
    source.close()
    assert len(frames) == 10
    assert time.perf_counter() - started_s < 2
    assert all(frame.captured_s <= time.perf_counter() for frame in frames)


def test_late_frames_come_at_once_and_the_clock_goes_on(clip):
    source = Playback(clip, LiveOptions())
    frames = iter(source)
    first = next(frames)
    threading.Event().wait(0.32)  # a decoder, or a taker, that is late: 6 of 10 frames are due
    started_s = time.perf_counter()
    late = [next(frames) for _ in range(4)]
    assert time.perf_counter() - started_s < 0.15  # by their clock they would last 0.2 s
    assert all(frame.captured_s >= started_s for frame in late)  # not the time at which they were due
    last = list(frames)[-1]
    source.close()
    assert is_due(last, first, 9 / 20)


def test_pause_stops_the_clock_and_its_end_starts_it_again(clip):
    source = Playback(clip, LiveOptions())
    frames = iter(source)
    first = next(frames)
    source.pause(True)
    source.pause(True)
    threading.Timer(0.4, source.pause, [False]).start()
    second = next(frames)
    assert is_due(second, first, 0.4)
    assert is_due(next(frames), first, 0.45)
    source.close()


def test_pause_before_the_first_frame_holds_it(clip):
    source = Playback(clip, LiveOptions())
    source.pause(True)
    started_s = time.perf_counter()
    threading.Timer(0.2, source.pause, [False]).start()
    first = next(iter(source))
    source.close()
    assert 0.2 <= first.captured_s - started_s < 0.2 + BUSY_S


@pytest.mark.parametrize("paused", [False, True])
def test_interrupt_ends_the_waiting(tmp_path, paused):
    clip = clips.make(tmp_path / "slow.mp4", frames=3, rate=1, pts=[0, 60, 120])
    source = Playback(clip, LiveOptions())
    frames = iter(source)
    next(frames)
    source.pause(paused)
    interrupted_s = []

    def interrupt():
        interrupted_s.append(time.perf_counter())
        source.interrupt()

    threading.Timer(0.1, interrupt).start()
    assert list(frames) == []
    assert time.perf_counter() - interrupted_s[0] < 0.2
    source.close()


@pytest.mark.parametrize("pts", [None, [3, 4, 5, 9, 10, 11, 12, 13, 14, 15]])
def test_a_loop_goes_on_in_numbers_and_times(tmp_path, pts):
    clip = clips.make(tmp_path / "clip.mp4", frames=10, rate=20, pts=pts)
    plain = list(VideoSource(clip))
    source = Playback(clip, LiveOptions(realtime=False, loop=True))
    frames = list(itertools.islice(source, 25))
    source.close()
    assert [frame.sequence for frame in frames] == list(range(25))
    length_s = plain[-1].pts_s - plain[0].pts_s + 1 / 20
    for number, frame in enumerate(frames):
        rounds, place = divmod(number, 10)
        assert frame.pts_s == pytest.approx(plain[place].pts_s + rounds * length_s)
        assert (frame.image == plain[place].image).all()


def test_a_loop_keeps_the_clock_also_after_a_pause(tmp_path):
    clip = clips.make(tmp_path / "clip.mp4", frames=4, rate=20)
    source = Playback(clip, LiveOptions(loop=True))
    frames = iter(source)
    first, *_ = (next(frames) for _ in range(6))
    assert is_due(next(frames), first, 6 / 20)
    source.pause(True)
    threading.Timer(0.3, source.pause, [False]).start()
    assert is_due(next(frames), first, 0.3 + 6 / 20)
    source.interrupt()
    assert list(frames) == []
    source.close()


def test_a_loop_ends_when_its_file_is_gone(clip):
    source = Playback(clip, LiveOptions(realtime=False, loop=True))
    frames = iter(source)
    next(frames)
    clip.unlink()
    with pytest.raises(MediaError, match=r"clip\.mp4"):
        list(frames)
    source.close()


def test_damage_of_a_loop_is_told_after_its_first_round(tmp_path):
    clip = clips.make(tmp_path / "cut.mp4", frames=30, container={"movflags": "faststart"})
    clips.cut(clip, 0.6)
    source = Playback(clip, LiveOptions(realtime=False, loop=True))
    assert len(list(itertools.islice(source, 60))) == 60
    assert "cut off" in source.damage
    source.close()


def test_damage_is_told_at_the_end(tmp_path):
    clip = clips.make(tmp_path / "cut.mp4", frames=30, container={"movflags": "faststart"})
    clips.cut(clip, 0.6)
    source = Playback(clip, LiveOptions(realtime=False))
    assert 5 < sum(1 for _ in source) < 30
    assert "cut off" in source.damage
    source.close()


def test_file_that_is_no_video_is_an_error(tmp_path):
    (tmp_path / "text.mp4").write_text("no pictures in here\n" * 20)
    with pytest.raises(MediaError, match="not a video"):
        Playback(tmp_path / "text.mp4", LiveOptions())
