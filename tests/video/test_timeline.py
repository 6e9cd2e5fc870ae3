"""Times of real files: clocks that wrap or are late, rates that are not, and a last picture that stays."""

from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from hprnet_rt.types import Frame, FramePoses, Poses
from hprnet_rt.video import MediaInfo, VideoSink, VideoSource
from hprnet_rt.video.timeline import TimeLine
from tests import clips
from tests.media import videos
from tests.media.passing import pass_through, play

ONE_MS = Fraction(1, 1000)


def in_step(before, after):
    """How much later the pictures are, compared with the sound, than they were: in seconds, at most."""
    picture_shift = [a - b for a, b in zip(after.times, before.times, strict=True)]
    sound_shift = [a - b for (_, a), (_, b) in zip(after.sounds, before.sounds, strict=True)]
    return max(abs(p - s) for p in picture_shift for s in sound_shift)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("first_s", [videos.WRAP / videos.CLOCK - 0.4, videos.WRAP / videos.CLOCK - 0.7])
def test_a_clock_that_begins_again_loses_no_picture_and_no_sound(tmp_path, first_s, suffix):
    source = videos.broadcast(tmp_path / "wrap.ts", first_s)
    before = play(source)
    assert before.times[0] < 0
    pass_through(source, tmp_path / f"out{suffix}")
    after = play(tmp_path / f"out{suffix}")
    assert len(after.times) == len(before.times) == 20
    assert len(after.sounds) == len(before.sounds) > 30
    assert min(after.times[0], after.sounds[0][1]) == 0
    assert in_step(before, after) <= ONE_MS


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("late.ts", lambda path: videos.broadcast(path, 80_000)),
        ("later.ts", lambda path: videos.broadcast(path, 12.5)),
        ("late.mkv", videos.late_mkv),
        ("late.mp4", videos.late_mkv),
    ],
)
def test_a_file_that_begins_late_becomes_one_that_begins_at_zero(tmp_path, name, make):
    source = make(tmp_path / name)
    times = pass_through(source, tmp_path / "out.mp4")
    before, after = play(source), play(tmp_path / "out.mp4")
    assert times == before.times  # the keypoints' times are the source's
    assert 0 <= after.times[0] < 0.1
    assert [a - after.times[0] for a in after.times] == [b - before.times[0] for b in before.times]
    assert [data[-20:] for data, _ in after.sounds] == [data[-20:] for data, _ in before.sounds]
    if before.sounds:
        assert in_step(before, after) <= ONE_MS


@pytest.mark.parametrize(
    ("begin_s", "first_s", "origin_s"),
    [
        (0, 0, 0),
        ("1.4", "1.5", 0),
        ("-0.02", 0, 0),  # what sound needs to begin with
        ("-0.5", 0, "-0.5"),
        ("-0.02", "-0.01", "-0.02"),
        (80_000, 80_001, 80_000),
    ],
)
def test_times_are_moved_only_where_they_must_be(begin_s, first_s, origin_s):
    assert TimeLine(Fraction(begin_s)).origin_s(Fraction(first_s)) == Fraction(origin_s)


def test_the_rate_of_a_browsers_recording_is_measured(tmp_path):
    source = VideoSource(videos.browser_recording(tmp_path / "clip.webm"))
    times = [frame.pts_s for frame in source]
    source.close()
    measured = (len(times) - 1) / (times[-1] - times[0])
    assert float(source.info.rate) == pytest.approx(measured, rel=0.01)
    assert 15 < measured < 20


@pytest.mark.parametrize(("rate", "base"), [(120, 1000), (240, 240), (25, 25)])
def test_a_rate_that_is_true_is_believed(tmp_path, rate, base):
    pts = [round(n * base / rate) for n in range(30)]
    path = clips.make(
        tmp_path / "fast.mkv", frames=30, rate=rate, time_base=Fraction(1, base), pts=pts, size=(64, 48)
    )
    source = VideoSource(path)
    source.close()
    assert source.info.rate == rate


def key_times(path):
    with av.open(str(path)) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
    return [packet.pts * packet.time_base for packet in packets if packet.is_keyframe]


@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
def test_key_frames_are_two_seconds_apart_whatever_the_rate_is_said_to_be(tmp_path, encoder):
    source = videos.browser_recording(tmp_path / "clip.webm")
    pass_through(source, tmp_path / "out.mp4", encoder=encoder, crf=21)
    keys = [*key_times(tmp_path / "out.mp4"), play(tmp_path / "out.mp4").times[-1]]
    assert max(after - before for before, after in pairwise(keys)) < 2.2


@pytest.mark.parametrize(("rate", "stated"), [(1, 1), (Fraction(1, 3), Fraction(1, 3)), (17, 1000), (60, 60)])
def test_what_was_written_two_seconds_ago_can_be_played_after_a_kill(tmp_path, rate, stated):
    base = Fraction(1, 90_000)
    step = round(1 / (rate * base))
    sink = VideoSink(tmp_path / "out.mp4", MediaInfo("x", 64, 48, Fraction(stated), base), threads=1)
    count = round(9 * rate) + 3
    for number in range(count):
        frame = Frame(number, clips.picture(number, 64, 48), 0.0, number * step, base)
        sink.write(FramePoses(frame, Poses.empty()))
    killed = tmp_path / "killed.mp4"
    killed.write_bytes(sink.partial_path.read_bytes())
    sink.close()
    shown_s = clips.times(killed)[-1]
    # few pictures wait: for the next one, and for those that are shown before them
    assert (count - 1) / rate - shown_s <= 2 + (2 if rate <= 4 else 6) / rate


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(
    ("name", "make", "stays_s"),
    [
        ("still.mp4", videos.last_stays, 2),
        ("reordered.mov", lambda path: videos.last_stays(path, 1.2, options={"bf": "3"}), Fraction(6, 5)),
        ("moving.gif", videos.last_stays_gif, 3),
        ("slides.mp4", lambda path: videos.last_stays(path, 5, frames=3, step_s=5), 5),
    ],
)
def test_the_last_picture_stays_as_long_as_it_did(tmp_path, name, make, stays_s, suffix):
    source = make(tmp_path / name)
    assert play(source).end_s - play(source).times[-1] == stays_s
    pass_through(source, tmp_path / f"out{suffix}", crf=21)
    before, after = play(source), play(tmp_path / f"out{suffix}")
    assert len(after.times) == len(before.times)
    assert abs(after.end_s - after.times[-1] - stays_s) <= ONE_MS
    with av.open(str(tmp_path / f"out{suffix}")) as file:
        length_s = Fraction(file.duration, av.time_base)
    assert length_s >= after.end_s - ONE_MS


def test_a_last_picture_whose_stay_only_the_track_knows_is_kept(tmp_path):
    """Encoders write the picture that is shown last before those that it is predicted for."""
    source = videos.last_stays(tmp_path / "still.mp4", options={"preset": "veryfast", "bf": "3"})
    with av.open(str(source)) as file:
        stream = file.streams.video[0]
        stated = (stream.start_time + stream.duration) * stream.time_base
    pass_through(source, tmp_path / "out.mp4", crf=21)
    assert play(tmp_path / "out.mp4").end_s == stated > 2


def test_with_a_limit_the_last_picture_does_not_stay(tmp_path):
    source = VideoSource(videos.last_stays(tmp_path / "still.mp4"))
    sink = VideoSink(tmp_path / "out.mp4", source.info, threads=1)
    for frame, _ in zip(source, range(5), strict=False):
        sink.write(FramePoses(frame, Poses.empty()))
    source.close()
    sink.close()
    sink.commit()
    assert play(tmp_path / "out.mp4").end_s == Fraction(5, 25)


def test_sound_that_a_player_would_not_play_is_an_error_and_not_a_file(tmp_path, monkeypatch):
    source = videos.wraps(tmp_path / "wrap.ts")
    monkeypatch.setattr(TimeLine, "origin_s", lambda self, first_s: Fraction(0))
    with pytest.raises(OSError, match=r"show \d+ of the 20 pictures"):
        pass_through(source, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_a_wrapped_clock_ends_the_command_well(annotate_small, tmp_path):
    source = videos.wraps(tmp_path / "wrap.ts")
    code, _, err = annotate_small(source, "-o", tmp_path / "out")
    assert (code, err) == (0, "")
    _, frames = clips.read_keypoints(tmp_path / "out" / "wrap.jsonl")
    assert len(frames) == len(play(tmp_path / "out" / "wrap.mp4").times) == 20
    times = np.array([frame["pts_s"] for frame in frames])
    np.testing.assert_allclose(times, np.array(play(source).times, float), atol=1e-6)
