"""`stream`: frames with people, and what is known of them."""

import logging
import threading

import numpy as np
import pytest

import hprnet_rt
from hprnet_rt import Frame
from hprnet_rt.errors import MediaError, UsageError
from tests import clips


@pytest.fixture
def clip(tmp_path):
    return clips.make(tmp_path / "clip.mp4", frames=9)


def threads():
    return [each.name for each in threading.enumerate() if each.name.startswith("hprnet-")]


def test_a_stream_knows_its_video_before_it_is_read(clip):
    with hprnet_rt.stream(str(clip)) as video:
        assert (video.fps, video.size, video.frames, video.duration_s) == (25.0, (160, 96), 9, 0.36)
        assert not video.is_over and threads() == []


def test_a_loop_and_a_block_give_all_frames_and_close(clip, small_model):
    loop = [frame.sequence for frame, _ in hprnet_rt.stream(clip, small_model)]
    with hprnet_rt.stream(clip, small_model) as video:
        block = [frame.sequence for frame, _ in video]
        assert video.is_over and list(video) == []
    assert loop == block == list(range(9))
    assert threads() == []


def test_leaving_early_ends_the_threads(clip, small_model):
    for _ in hprnet_rt.stream(clip, small_model):
        break
    assert threads() == []
    with hprnet_rt.stream(clip, small_model) as video:
        frame, _ = next(video)
        assert frame.sequence == 0 and threads() != []
    assert threads() == [] and not video.is_over
    video.close()


def test_a_part_of_the_frames_keeps_numbers_and_times(clip, small_model):
    with hprnet_rt.stream(clip, small_model, start_s=0.08, end_s=0.3, stride=3) as video:
        assert video.fps == pytest.approx(25 / 3)
        assert [(frame.sequence, frame.pts_s) for frame, _ in video] == [(2, 0.08), (5, 0.2)]
    with pytest.raises(UsageError, match="stride is at least 1"):
        hprnet_rt.stream(clip, stride=0)


def test_an_image_is_one_frame_without_a_clock(tmp_path, small_model):
    path = clips.make_jpeg_on_its_side(tmp_path / "photo.jpg")
    with hprnet_rt.stream(path, small_model) as video:
        assert (video.fps, video.size, video.frames, video.duration_s) == (None, (96, 160), 1, None)
        assert [frame.pts_s for frame, _ in video] == [None]


class Own:
    """Frames of one's own."""

    closed = False

    def __iter__(self):
        return iter([Frame(n, np.zeros((96, 160, 3), np.uint8), float(n)) for n in range(2)])

    def close(self):
        self.closed = True


def test_of_frames_of_one_s_own_nothing_is_known(small_model):
    own = Own()
    with hprnet_rt.stream(own, small_model) as video:
        assert (video.fps, video.size, video.frames, video.duration_s) == (None,) * 4
        assert len(list(video)) == 2
    assert own.closed
    with pytest.raises(UsageError, match="frames can be chosen of a file"):
        hprnet_rt.stream(own, small_model, stride=2)


def test_what_cannot_be_opened_is_said_at_once(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        hprnet_rt.stream(tmp_path / "none.mp4")
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(MediaError, match="not a video"):
        hprnet_rt.stream(tmp_path / "text.mp4")
    with pytest.raises(UsageError, match="a source is a file"):
        hprnet_rt.stream(3)


def test_damage_is_told_once_at_the_end(tmp_path, small_model, caplog):
    whole = clips.make(tmp_path / "whole.mkv", frames=20)
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(whole.read_bytes()[:-600])
    with caplog.at_level(logging.WARNING), hprnet_rt.stream(broken, small_model) as video:
        frames = sum(1 for _ in video)
        assert list(video) == []
    assert frames and video.damage
    assert [record.getMessage() for record in caplog.records].count(video.damage) == 1
