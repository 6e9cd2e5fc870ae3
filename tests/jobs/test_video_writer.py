"""`VideoWriter`: a video like the one that its frames came from."""

import av
import numpy as np
import pytest

import hprnet_rt
from hprnet_rt import VideoWriter
from hprnet_rt.errors import OutputError, ShapeError, UsageError
from tests import clips
from tests.inference.test_stream import Own

UNEVEN = [0, 1, 4, 5, 9, 30, 31, 60]


@pytest.fixture
def clip(tmp_path):
    return clips.make(tmp_path / "clip.mp4", frames=8, pts=UNEVEN, audio="aac")


def copy(clip, out, model, most=99, **settings):
    with hprnet_rt.stream(clip, model) as video, VideoWriter(out, like=video, **settings) as writer:
        for frame, _ in video:
            writer.write(frame)
            if frame.sequence + 1 == most:
                break
    return writer


def labels(path):
    with av.open(str(path)) as file:
        context = file.streams.video[0].codec_context
        return (
            context.width,
            context.height,
            context.color_range,
            context.colorspace,
            file.metadata.get("title"),
        )


def test_times_sound_and_labels_are_those_that_annotate_writes(clip, small_model, annotate_small, tmp_path):
    assert annotate_small(clip, "-o", tmp_path / "out", "--no-keypoints")[0] == 0
    writer = copy(clip, tmp_path / "new" / "copy.mp4", small_model)
    assert writer.path.exists() and writer.damage is None
    for other in (clip, tmp_path / "out" / "clip.mp4"):
        assert clips.times(writer.path) == clips.times(other)
        assert clips.audio_packets(writer.path) == clips.audio_packets(other)
    assert labels(writer.path) == labels(tmp_path / "out" / "clip.mp4")


def test_other_pictures_may_be_written(clip, small_model, tmp_path):
    with hprnet_rt.stream(clip, small_model) as video, VideoWriter(tmp_path / "o.mp4", like=video) as out:
        for frame, _ in video:
            out.write(frame, np.full_like(frame.image, 200))
            with pytest.raises(ShapeError, match=r"\(96, 160, 3\) uint8, got \(95, 160, 3\)"):
                out.write(frame, frame.image[1:])
    assert all(abs(int(image.mean()) - 200) < 4 for _, image in clips.decodable(tmp_path / "o.mp4"))


def test_sound_ends_with_the_frames_where_not_all_were_read(clip, small_model, tmp_path):
    copy(clip, tmp_path / "part.mp4", small_model, most=3)
    assert clips.times(tmp_path / "part.mp4") == clips.times(clip)[:3]
    assert 0 < len(clips.audio_packets(tmp_path / "part.mp4")) < len(clips.audio_packets(clip))


def test_an_error_leaves_the_frames_under_a_partial_name(clip, small_model, tmp_path):
    out = tmp_path / "out" / "mine.mp4"
    with (
        pytest.raises(ZeroDivisionError),
        hprnet_rt.stream(clip, small_model) as video,
        VideoWriter(out, like=video) as writer,
    ):
        for frame, _ in video:
            writer.write(frame)
            if frame.sequence == 3:
                raise ZeroDivisionError
    assert [path.name for path in out.parent.iterdir()] == ["mine.partial.mp4"]
    assert len(clips.times(out.with_name("mine.partial.mp4"))) == 4


def test_a_closed_file_takes_no_frames_and_one_without_frames_is_none(clip, small_model, tmp_path):
    with hprnet_rt.stream(clip, small_model) as video:
        frame, _ = next(video)
        writer = VideoWriter(tmp_path / "a.mp4", like=video)
        writer.write(frame)
        assert writer.close() == writer.close() == tmp_path / "a.mp4"
        with pytest.raises(OutputError, match="is closed"):
            writer.write(frame)
        with pytest.raises(OutputError, match="no frame was written"):
            VideoWriter(tmp_path / "b.mp4", like=video).close()
    assert sorted(path.name for path in tmp_path.glob("*.mp4")) == ["a.mp4", "clip.mp4"]


def test_a_video_is_like_a_stream_not_like_a_name(clip, tmp_path):
    with pytest.raises(UsageError, match=r"from hprnet_rt\.stream, got"):
        VideoWriter(tmp_path / "a.mp4", like=str(clip))


def test_names_that_cannot_be_are_refused(clip, small_model, tmp_path):
    with hprnet_rt.stream(clip, small_model) as video:
        with pytest.raises(UsageError, match="is the source itself"):
            VideoWriter(clip, like=video)
        with pytest.raises(UsageError, match="a video cannot be written to"):
            VideoWriter(tmp_path / "a.png", like=video)
    with hprnet_rt.stream(Own(), small_model) as video, pytest.raises(UsageError, match="nothing is known"):
        VideoWriter(tmp_path / "a.mp4", like=video)


def test_a_photo_is_written_like_its_own(small_model, tmp_path):
    photo = clips.make_jpeg_on_its_side(tmp_path / "photo.jpg")
    copy(photo, tmp_path / "drawn.jpg", small_model)
    assert hprnet_rt.stream(tmp_path / "drawn.jpg").size == (96, 160)


def test_a_live_source_is_written_without_its_sound(small_model, tmp_path):
    clip = clips.make(tmp_path / "short.mp4", frames=4, audio="aac")
    with (
        hprnet_rt.stream(str(clip), small_model, live=True) as video,
        VideoWriter(tmp_path / "live.mp4", like=video) as out,
    ):
        for frame, _ in video:
            out.write(frame)
    assert clips.times(tmp_path / "live.mp4")[0] == 0
    assert hprnet_rt.stream(tmp_path / "live.mp4").size == (160, 96)
