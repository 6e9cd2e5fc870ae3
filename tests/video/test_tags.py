"""What the owner wrote on a video stays on it, unless it is to be left out; and pictures are turned once."""

import pytest

from hprnet_rt.video import VideoSource
from hprnet_rt.video.capture.registry import open_live
from hprnet_rt.video.capture.source import LiveOptions
from hprnet_rt.video.tags import fits_timecode
from hprnet_rt.video.writer import comment_of
from tests import clips
from tests.media import videos
from tests.media.passing import pass_through, play


def upper(tags):
    return {name.upper(): value for name, value in tags.items()}


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize(
    ("name", "tags", "by_name"),
    [
        ("phone.mov", videos.PHONE_TAGS, False),
        ("phone.mp4", videos.PHONE_TAGS, True),
        ("phone.mkv", videos.PHONE_TAGS, False),
        ("apple.mov", videos.MAKERS_TAGS, True),
    ],
)
def test_time_place_title_and_time_code_stay(tmp_path, name, tags, by_name, suffix):
    source = videos.tagged(tmp_path / name, tags, by_name=by_name)
    pass_through(source, tmp_path / f"out{suffix}", comment="hprnet-rt 1 abc")
    found = upper(play(tmp_path / f"out{suffix}").tags)
    found |= upper(play(tmp_path / f"out{suffix}").stream_tags)
    assert found["TIMECODE"] == videos.TIMECODE
    for key, value in upper(tags).items():
        assert found[key].startswith(value), key
    assert comment_of(tmp_path / f"out{suffix}").endswith("hprnet-rt 1 abc")


def test_a_run_knows_its_outputs_behind_the_owners_comment(annotate_small, tmp_path):
    source = videos.tagged(tmp_path / "phone.mov", videos.PHONE_TAGS)
    assert annotate_small(source, "-o", tmp_path / "out", "--no-keypoints")[0] == 0
    code, out, _ = annotate_small(source, "-o", tmp_path / "out", "--no-keypoints")
    assert code == 0
    assert "skip" in out or "done" in out
    assert play(tmp_path / "out" / "phone.mp4").tags["comment"].startswith("left leg\n")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_what_is_written_on_a_video_can_be_left_out(annotate_small, tmp_path, suffix):
    source = videos.tagged(tmp_path / "phone.mov", videos.PHONE_TAGS)
    assert annotate_small(source, "-o", tmp_path / f"out{suffix}", "--strip-metadata")[0] == 0
    played = play(tmp_path / f"out{suffix}")
    text = str(played.tags) + str(played.stream_tags)
    for value in (*videos.PHONE_TAGS.values(), videos.TIMECODE):
        assert value not in text


@pytest.mark.parametrize(
    ("code", "rate", "fits"),
    [
        ("10:11:12:13", 25, True),
        ("10:11:12:26", 25, False),
        ("10:11:12;13", 30, True),
        ("10:11:12;13", 25, False),
        ("now", 25, False),
    ],
)
def test_a_time_code_stays_where_the_rate_can_have_it(code, rate, fits):
    assert fits_timecode({"timecode": code}, rate) == fits


def test_a_part_has_no_time_code_of_the_beginning(annotate_small, tmp_path):
    source = videos.tagged(tmp_path / "phone.mov", videos.PHONE_TAGS)
    assert annotate_small(source, "-o", tmp_path / "out.mp4", "--start", "0.2")[0] == 0
    played = play(tmp_path / "out.mp4")
    assert "timecode" not in {**played.tags, **played.stream_tags}
    assert played.tags["title"] == videos.PHONE_TAGS["title"]


CHAPTERS = [(0, 400, "warm-up"), (400, 1000, "left leg")]


@pytest.mark.parametrize("name", ["talk.mp4", "talk.mkv", "talk.mov"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_chapters_stay(tmp_path, name, suffix):
    source = videos.with_chapters(tmp_path / name, CHAPTERS)
    pass_through(source, tmp_path / f"out{suffix}")
    assert videos.chapters_of(tmp_path / f"out{suffix}") == CHAPTERS
    assert len(play(tmp_path / f"out{suffix}").times) == 25
    pass_through(source, tmp_path / f"bare{suffix}", strip_metadata=True)
    assert videos.chapters_of(tmp_path / f"bare{suffix}") == []


def test_chapters_move_with_the_pictures(tmp_path):
    late = [(60_000, 60_500, "one"), (60_500, 61_000, "two")]
    source = videos.with_chapters(tmp_path / "late.mkv", late, first_s=60)
    pass_through(source, tmp_path / "out.mp4")
    assert videos.chapters_of(tmp_path / "out.mp4") == [(0, 500, "one"), (500, 1000, "two")]


@pytest.mark.parametrize(
    ("part", "expected"),
    [(("--start", "0.6"), [(0, 400, "left leg")]), (("--end", "0.6"), []), (("--limit", "9"), [])],
)
def test_a_part_has_the_chapters_that_it_ends_with(annotate_small, tmp_path, part, expected):
    source = videos.with_chapters(tmp_path / "talk.mkv", CHAPTERS)
    assert annotate_small(source, "-o", tmp_path / "out", *part)[0] == 0
    assert videos.chapters_of(tmp_path / "out" / "talk.mp4") == expected


def test_subtitles_that_are_left_out_are_said(tmp_path, caplog):
    source = videos.with_chapters(tmp_path / "talk.mkv", [], subtitles=True)
    pass_through(source, tmp_path / "out.mp4")
    assert "1 subtitle track" in caplog.text


@pytest.mark.parametrize(
    ("name", "orientation", "size", "bright"),
    [
        ("timelapse.mov", 6, (96, 160), "upper right"),
        ("timelapse.mkv", 8, (96, 160), "lower left"),
        ("timelapse.avi", 2, (160, 96), "upper right"),
        ("plain.mov", 1, (160, 96), "upper left"),
    ],
)
def test_photographs_with_exif_in_a_row_come_out_upright_once(
    annotate_small, tmp_path, name, orientation, size, bright
):
    source = videos.jpegs(tmp_path / name, orientation)
    code, _, err = annotate_small(source, "-o", tmp_path / "out.mp4")
    assert (code, err) == (0, "")
    played = play(tmp_path / "out.mp4")
    assert len(played.frames) == 6
    for frame in played.frames:
        assert (frame.width, frame.height, frame.rotation) == (*size, 0)
        assert clips.corners(frame.to_ndarray(format="bgr24")) == {bright}
    again = VideoSource(tmp_path / "out.mp4")
    assert (again.info.width, again.info.height) == size
    again.close()


@pytest.mark.parametrize("orientation", [1, 6])
def test_photographs_with_exif_in_a_row_are_played_live(tmp_path, orientation):
    source = videos.jpegs(tmp_path / "timelapse.mov", orientation)
    live = open_live(str(source), LiveOptions(realtime=False))
    frames = list(live)
    live.close()
    assert len(frames) == 6
    assert {clips.corners(frame.image).pop() for frame in frames} == {
        "upper left" if orientation == 1 else "upper right"
    }
