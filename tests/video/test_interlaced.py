"""Fields become whole pictures: no combs, and as many pictures at the same times."""

import numpy as np
import pytest

from hprnet_rt.errors import UsageError
from hprnet_rt.jobs.options import AnnotateOptions
from hprnet_rt.video import PartDiffers, Selection, VideoSource, chosen_frames, read_index
from tests import clips
from tests.media import videos
from tests.media.passing import pass_through, play

KINDS = {
    "h264.mp4": lambda path: videos.interlaced(path),
    "mpeg2.mkv": lambda path: videos.interlaced(path, "mpeg2video"),
    "mpeg2.ts": lambda path: videos.interlaced(path, "mpeg2video"),
}


def combs(path):
    return np.mean([videos.combs(frame.to_ndarray(format="bgr24")) for frame in play(path).frames])


@pytest.mark.parametrize("name", KINDS)
def test_marked_pictures_are_deinterlaced_unless_told_not_to(tmp_path, name):
    source = KINDS[name](tmp_path / name)
    before = play(source)
    assert all(frame.interlaced_frame for frame in before.frames)
    for mode in ("auto", "off", "on"):
        times = pass_through(source, tmp_path / f"{mode}.mp4", deinterlace=mode)
        assert times == before.times
        assert play(tmp_path / f"{mode}.mp4").times == times
    assert combs(tmp_path / "off.mp4") == pytest.approx(combs(source), rel=0.1)
    assert combs(tmp_path / "auto.mp4") < 0.3 * combs(source)
    assert combs(tmp_path / "on.mp4") < 0.3 * combs(source)


def test_whole_pictures_stay_as_they_are_unless_told_otherwise(tmp_path):
    source = clips.make(tmp_path / "clip.mp4", frames=12, draw=clips.noise)
    images = {}
    for mode in ("auto", "off", "on"):
        pass_through(source, tmp_path / f"{mode}.mp4", deinterlace=mode)
        played = play(tmp_path / f"{mode}.mp4")
        assert played.times == clips.times(source)
        images[mode] = [frame.to_ndarray(format="bgr24") for frame in played.frames]
    assert np.array_equal(images["auto"], images["off"])
    assert not np.array_equal(images["on"], images["off"])


def test_a_file_that_becomes_interlaced_is_deinterlaced_from_there(tmp_path):
    whole = clips.make(tmp_path / "whole.h264", frames=10)
    fields = videos.interlaced(tmp_path / "fields.h264")
    source = tmp_path / "both.h264"
    source.write_bytes(whole.read_bytes() + fields.read_bytes())
    video = VideoSource(source)
    frames = list(video)
    video.close()
    assert len(frames) == len(clips.times(source)) == 22
    woven = [videos.combs(image) for _, image in clips.decodable(fields)]
    assert max(videos.combs(frame.image) for frame in frames[12:]) < 0.4 * np.mean(woven)


@pytest.mark.parametrize("mode", ["auto", "on", "off"])
def test_fields_are_the_same_wherever_reading_begins(tmp_path, mode):
    source = videos.interlaced(tmp_path / "clip.mkv", "mpeg2video", frames=40)
    parts = read_index(source).parts(1)
    assert len(parts) > 2
    whole = list(VideoSource(source, mode))
    later = list(chosen_frames(VideoSource(source, mode), Selection(start_s=1.2)))
    assert [frame.sequence for frame in later] == list(range(30, 40))
    for one, other in zip(whole[30:], later, strict=True):
        assert np.array_equal(one.image, other.image)
    if mode != "off":  # a picture depends on the one before, which a part has not
        with pytest.raises(PartDiffers):
            list(VideoSource(source, mode).part(parts[-1]))


def test_the_network_sees_and_keypoints_name_what_was_asked_for(annotate_small, tmp_path):
    source = videos.interlaced(tmp_path / "clip.mp4")
    code, _, err = annotate_small(source, "-o", tmp_path / "out", "--deinterlace", "off")
    assert (code, err) == (0, "")
    header, frames = clips.read_keypoints(tmp_path / "out" / "clip.jsonl")
    assert header["options"]["deinterlace"] == "off"
    assert len(frames) == 12
    assert combs(tmp_path / "out" / "clip.mp4") > 0.5 * combs(source)


def test_a_way_that_is_not_there_is_refused():
    with pytest.raises(UsageError, match="deinterlace is"):
        AnnotateOptions(deinterlace="yes")
