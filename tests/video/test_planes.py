"""Frames in planes: from decoder to encoder as they are, and an image where somebody asks for one."""

import av
import numpy as np
import pytest

from hprnet_rt.types import FramePoses, Planes, Poses
from hprnet_rt.video import VideoSink, VideoSource
from hprnet_rt.video import orientation as turning
from hprnet_rt.video.conversion import bgr_of, planes_of, to_bgr
from hprnet_rt.video.orientation import upright, upright_planes
from tests import clips
from tests.media import videos
from tests.media.passing import pass_through, planes, play

SIZE = (96, 64)


@pytest.fixture
def clip(tmp_path):
    return clips.make(tmp_path / "clip.mp4", frames=6, size=SIZE, draw=clips.noise)


def frames_of(path):
    source = VideoSource(path)
    try:
        return list(source)
    finally:
        source.close()


def test_what_is_not_drawn_on_is_what_was_decoded_number_for_number(tmp_path, clip):
    pass_through(clip, tmp_path / "out.mp4")
    for before, after in zip(play(clip).frames, play(tmp_path / "out.mp4").frames, strict=True):
        for plane, given in zip(planes(after), planes(before), strict=True):
            np.testing.assert_array_equal(plane, given)


def test_odd_sides_are_filled_up_with_their_last_lines(tmp_path):
    source = clips.make(tmp_path / "clip.mkv", frames=2, size=(97, 63), draw=clips.noise, codec="ffv1")
    pass_through(source, tmp_path / "out.mp4")
    before, after = play(source).frames[0], play(tmp_path / "out.mp4").frames[0]
    y, u, v = planes(before)
    shown = planes(after)
    np.testing.assert_array_equal(shown[0], np.pad(y, ((0, 1), (0, 1)), mode="edge"))
    np.testing.assert_array_equal(shown[1], u)
    np.testing.assert_array_equal(shown[2], v)


def test_an_image_is_made_when_it_is_asked_for_and_is_the_picture_from_then_on(clip):
    (frame, *_) = frames_of(clip)
    assert frame.planes is not None
    assert frame.image_hw == (64, 96)
    assert "sequence=0" in repr(frame)
    assert frame.planes is not None  # nobody has asked for an image
    expected = bgr_of(frame.planes)
    np.testing.assert_array_equal(frame.image, expected)
    assert frame.image is frame.image
    assert frame.planes is None


def test_images_are_those_that_were_decoded(clip):
    for frame, decoded in zip(frames_of(clip), play(clip).frames, strict=True):
        np.testing.assert_array_equal(frame.image, to_bgr(decoded))


def test_what_is_drawn_on_the_planes_or_on_the_image_is_written(tmp_path, clip):
    source = VideoSource(clip)
    sink = VideoSink(tmp_path / "out.mp4", source.info, threads=1, crf=0)
    for frame in source:
        if frame.sequence % 2:
            frame.planes.y[:8, :8] = 235
            frame.planes.u[:4, :4] = frame.planes.v[:4, :4] = 128
        else:
            frame.image[:8, :8] = 255
        sink.write(FramePoses(frame, Poses.empty()))
    source.close()
    sink.close()
    sink.commit()
    for frame in play(tmp_path / "out.mp4").frames:
        corner = [plane[: 8 >> n, : 8 >> n] for plane, n in zip(planes(frame), (0, 1, 1), strict=True)]
        assert [np.unique(plane).tolist() for plane in corner] == [[235], [128], [128]]


def test_a_frame_s_planes_are_its_own(clip):
    """The decoder makes later pictures of earlier ones, which are drawn on meanwhile."""
    expected = [frame.image for frame in frames_of(clip)]
    source = VideoSource(clip)
    for frame, image in zip(source, expected, strict=True):
        np.testing.assert_array_equal(bgr_of(frame.planes), image)
        for plane in (frame.planes.y, frame.planes.u, frame.planes.v):
            plane[...] = 0
    source.close()


@pytest.mark.parametrize("turn", clips.MATRICES)
def test_turned_planes_are_planes_of_the_turned_image(clip, turn):
    decoded = play(clips.set_matrix(clip, turn)).frames[0]
    np.testing.assert_array_equal(bgr_of(upright_planes(decoded)), upright(decoded))


def test_planes_are_not_turned_at_half_a_sample(monkeypatch):
    decoded = av.VideoFrame(97, 64, "yuv420p")
    assert upright_planes(decoded) is not None
    monkeypatch.setattr(turning, "orientation", lambda _: (False, True, False))
    assert upright_planes(decoded) is None


@pytest.mark.parametrize("pix_fmt", ["nv12", "p010le", "yuv420p10le", "yuv420p12le"])
def test_other_ways_to_store_a_picture_give_planes_of_eight_bits(pix_fmt):
    with av.open(str(clips.SAMPLE)) as file:
        plain = next(file.decode(video=0))
    stored = planes_of(plain.reformat(format=pix_fmt))
    assert isinstance(stored, Planes)
    for plane, given in zip((stored.y, stored.u, stored.v), planes(plain), strict=True):
        assert plane.shape == given.shape
        assert np.abs(plane - given).max() <= 1


@pytest.mark.parametrize("pix_fmt", ["yuv422p", "yuv444p", "gray", "bgr24", "yuva420p"])
def test_pictures_that_are_not_of_such_planes_are_images_at_once(pix_fmt):
    frame = av.VideoFrame.from_ndarray(clips.noise(0, 64, 48), format="bgr24").reformat(format=pix_fmt)
    assert upright_planes(frame) is None


def test_a_full_range_becomes_a_limited_one_as_before(tmp_path):
    source = videos.natural(tmp_path / "clip.mp4", 1, True, frames=1)
    (frame,) = frames_of(source)
    assert frame.planes.is_full
    pass_through(source, tmp_path / "out.mp4")
    shown = to_bgr(play(tmp_path / "out.mp4").frames[0]).astype(int)
    assert np.abs(shown - frame.image).mean() < 1.5
