"""Frames of files whose own times do not do: joined ones, and H.264 in AVI."""

import logging
import struct
from fractions import Fraction
from itertools import pairwise

import pytest

from hprnet_rt.video import ResumePoint, Selection, VideoSource, chosen_frames
from hprnet_rt.video.index import read_index
from tests import clips

REORDERED = {"preset": "medium", "g": "8", "bf": "3", "b-pyramid": "normal", "x264-params": "b-adapt=0"}
ADTS_BYTES = 7


def joined(path, *parts):
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def two_in_one(folder, **settings):
    """A transport stream of two that both begin at the same time: 40 and 35 frames."""
    parts = [
        clips.make(folder / f"{n}.ts", frames=n, options=REORDERED, draw=clips.noise, **settings)
        for n in (40, 35)
    ]
    return joined(folder / "joined.ts", *parts)


def frames_of(path, selection=None, done=None):
    source = VideoSource(path)
    frames = list(source) if selection is None else list(chosen_frames(source, selection, done))
    source.close()
    return frames, source.damage


def numbers(frames):
    return [(frame.sequence, frame.pts) for frame in frames]


def seconds(frames):
    return [frame.pts * frame.time_base for frame in frames]


# --- AVI, which says when a frame is stored ---


def test_reordered_frames_of_avi_have_even_times(tmp_path):
    path = clips.make(tmp_path / "clip.avi", frames=60, options=REORDERED)
    assert clips.times(path) != sorted(clips.times(path))  # what the decoder says
    frames, damage = frames_of(path)
    assert seconds(frames) == [Fraction(n, 25) for n in range(1, 61)]
    assert damage is None


def test_pictures_of_avi_stay_in_order(tmp_path):
    avi = clips.make(tmp_path / "clip.avi", frames=40, options=REORDERED)
    mp4 = clips.make(tmp_path / "clip.mp4", frames=40, options=REORDERED)
    ours, _ = frames_of(avi)
    theirs, _ = frames_of(mp4)
    assert all((a.image == b.image).all() for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(
    "settings",
    [
        {"codec": "mpeg4", "options": {"bf": "2", "g": "9"}},
        {"codec": "mpeg2video", "options": {"bf": "2", "g": "9"}},
        {"options": {"bf": "0", "g": "9"}},
    ],
)
def test_other_avi_keep_the_times_of_the_decoder(tmp_path, settings):
    path = clips.make(tmp_path / "clip.avi", frames=40, **settings)
    assert seconds(frames_of(path)[0]) == clips.times(path)
    assert read_index(path) is not None


def test_reordered_avi_is_decoded_from_its_beginning(tmp_path):
    path = clips.make(tmp_path / "clip.avi", frames=60, options=REORDERED)
    assert read_index(path) is None
    whole, _ = frames_of(path)
    assert numbers(frames_of(path, Selection(start_s=1.0))[0]) == numbers(whole[25:])
    done = ResumePoint(31, 30, float(whole[30].pts_s))
    assert numbers(frames_of(path, Selection(), done)[0]) == numbers(whole[31:])


def test_damaged_avi_keeps_its_last_time(tmp_path):
    path = clips.make(tmp_path / "clip.avi", frames=60, options=REORDERED, draw=clips.noise)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    path.write_bytes(data)
    frames, _ = frames_of(path)
    assert 50 < len(frames) <= 60
    assert seconds(frames) == sorted(set(seconds(frames)))
    assert seconds(frames)[-1] <= Fraction(60, 25)


# --- joined files ---


def test_times_of_a_joined_file_run_on(tmp_path, caplog):
    path = two_in_one(tmp_path)
    with caplog.at_level(logging.WARNING):
        frames, damage = frames_of(path)
    assert damage is None
    assert "joined from 2 parts" in caplog.text
    first = seconds(frames)[0]
    assert [time - first for time in seconds(frames)] == [Fraction(n, 25) for n in range(75)]


def test_a_joined_file_is_entered_at_the_same_frames(tmp_path):
    path = two_in_one(tmp_path)
    whole, _ = frames_of(path)
    for start in (0.5, 1.2, 1.55, 1.62, 2.4):
        expected = [f for f in whole if f.pts_s - whole[0].pts_s >= start - 1e-9]
        assert numbers(frames_of(path, Selection(start_s=start))[0]) == numbers(expected)
    for number in (10, 30, 39, 40, 55):
        done = ResumePoint(number + 1, number, float(whole[number].pts_s))
        assert numbers(frames_of(path, Selection(), done)[0]) == numbers(whole[number + 1 :])


def test_joined_sound_stays_in_step(annotate_small, tmp_path, caplog):
    path = two_in_one(tmp_path, audio="aac")
    assert annotate_small(path, "-o", tmp_path / "out")[0] == 0
    assert "joined from 2 parts" in caplog.text
    result = tmp_path / "out" / "joined.mp4"
    assert len(clips.times(result)) == 75
    source, found = clips.audio_packets(path), clips.audio_packets(result)
    assert len(source) - 3 <= len(found) <= len(source)
    ninth = source[9][0][ADTS_BYTES:]  # it is the same tone in both
    begins = [time for data, time in found if data == ninth]
    pictures = clips.times(result)
    assert abs((begins[1] - begins[0]) - (pictures[40] - pictures[0])) < Fraction(1, 1000)


def test_three_parts_of_sound_and_pictures(tmp_path):
    part = clips.make(tmp_path / "part.ts", frames=30, audio="aac", options=REORDERED)
    frames, damage = frames_of(joined(tmp_path / "joined.ts", part, part, part))
    times = seconds(frames)
    assert (len(times), damage) == (90, None)
    assert all(Fraction(39, 1000) < b - a < Fraction(1, 5) for a, b in pairwise(times))


def test_sound_that_begins_in_the_second_part_is_left_out_and_that_is_said(annotate_small, tmp_path, caplog):
    silent = clips.make(tmp_path / "0.ts", frames=60, options=REORDERED, draw=clips.noise)
    loud = clips.make(tmp_path / "1.ts", frames=30, options=REORDERED, audio="aac")
    path = joined(tmp_path / "joined.ts", silent, loud)
    assert annotate_small(path, "-o", tmp_path / "out")[0] == 0
    assert len(clips.times(tmp_path / "out" / "joined.mp4")) == 90
    assert "audio track 1" in caplog.text


def test_a_gap_stays_a_gap(tmp_path):
    pts = [*range(20), *range(500, 520)]
    path = clips.make(tmp_path / "gap.mp4", frames=40, pts=pts, options=REORDERED)
    assert seconds(frames_of(path)[0]) == clips.times(path)


def set_time(path, number, units):
    """Give a picture of a transport stream without reordered ones another time."""
    data = bytearray(path.read_bytes())
    at = -1
    for _ in range(number + 1):
        at = data.index(b"\0\0\1\xe0", at + 1)
    assert data[at + 7] & 0xC0 == 0x80  # it has one time
    parts = (0x20 | units >> 29 & 0xE | 1, (units >> 14 & 0xFFFE) | 1, (units << 1 & 0xFFFE) | 1)
    data[at + 9 : at + 14] = struct.pack(">BHH", *parts)
    path.write_bytes(data)


@pytest.mark.parametrize("seconds_off", [-3, 600])
def test_one_wrong_time_changes_nothing_behind_it(tmp_path, seconds_off):
    pts = [n + 250 for n in range(50)]
    path = clips.make(tmp_path / "clip.ts", frames=50, pts=pts, options={"bf": "0", "g": "10"})
    right, _ = frames_of(path)
    wrong = right[22].pts + seconds_off * 90_000
    set_time(path, 22, wrong)
    assert clips.times(path)[22] == Fraction(wrong, 90_000)
    found, _ = frames_of(path)
    assert [f.pts for f in found[:22]] == [f.pts for f in right[:22]]
    if seconds_off < 0:
        assert [f.pts for f in found[23:]] == [f.pts for f in right[23:]]
    else:  # frames are not reordered: the ones behind it have no place before it
        assert [f.pts for f in found[22:]] == [wrong + n for n in range(28)]
