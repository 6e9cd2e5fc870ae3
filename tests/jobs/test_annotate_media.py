"""What annotate makes of every kind of input: all frames, the same times, the same sound, keypoints."""

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

import hprnet_rt
from hprnet_rt import cli
from hprnet_rt.commands import options as model_options
from hprnet_rt.jobs.annotate_file import annotate_file
from hprnet_rt.jobs.options import AnnotateOptions
from hprnet_rt.jobs.plan import plan
from hprnet_rt.skeleton import KEYPOINT_NAMES, PARTS
from tests import clips

EXACT = Fraction(0)
ONE_MS = Fraction(1, 1000)
SMALL_PX = 128  # fast, and enough where nobody is in the picture
PEOPLE_PX = 384
IRREGULAR = [0, 700, 4000, 4001, 9000, 30000, 31000, 90000, 90900, 190001, 190090, 215000, 215003]
"""Uneven timestamps in units of 1/90000 s."""


@pytest.fixture(scope="module")
def models():
    """A function that loads each model once; they are closed after the last test."""
    made = {}

    def get(input_px=SMALL_PX, threshold=0.3):
        if (input_px, threshold) not in made:
            made[input_px, threshold] = hprnet_rt.load(input_px=input_px, threshold=threshold)
        return made[input_px, threshold]

    yield get
    for model in made.values():
        model.close()


@pytest.fixture
def model(models):
    return models()


@pytest.fixture
def run(models, monkeypatch, capfd):
    """The command line in this process, with borrowed models: (exit code, stdout, stderr)."""

    def load(_name, *, threshold, input_px, **_settings):
        model = models(input_px, threshold)
        monkeypatch.setattr(model, "close", lambda: None)
        return model

    monkeypatch.setattr(model_options, "load", load)

    def run(*arguments):
        size = () if "--size" in arguments else ("--size", SMALL_PX)
        code = cli.main(["annotate", *map(str, (*size, *arguments))])
        return code, *capfd.readouterr()

    return run


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def off_by(found, expected):
    """The largest difference between two lists of times."""
    assert len(found) == len(expected)
    return max(abs(a - b) for a, b in zip(found, expected, strict=True))


# --- pictures: as many as before, at their own times ---


def test_constant_rate_mp4_keeps_every_frame_at_its_time(run, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", frames=30)
    code, out, err = run(source, "-o", tmp_path / "out")
    assert (code, err) == (0, "")
    assert names(tmp_path / "out") == ["clip.jsonl", "clip.mp4"]
    assert str(tmp_path / "out" / "clip.mp4") in out
    assert off_by(clips.times(tmp_path / "out" / "clip.mp4"), clips.times(source)) == EXACT


def test_rate_of_television_keeps_every_frame_at_its_time(run, tmp_path):
    source = clips.make(
        tmp_path / "ntsc.mp4",
        rate=30,
        time_base=Fraction(1, 30000),
        pts=[i * 1001 for i in range(20)],
    )
    assert run(source, "-o", tmp_path / "out")[0] == 0
    assert off_by(clips.times(tmp_path / "out" / "ntsc.mp4"), clips.times(source)) == EXACT


def test_variable_rate_keeps_every_frame_at_its_time(run, tmp_path):
    source = clips.make(
        tmp_path / "phone.mp4", frames=len(IRREGULAR), time_base=Fraction(1, 90000), pts=IRREGULAR
    )
    assert run(source, "-o", tmp_path / "out")[0] == 0
    found = clips.times(tmp_path / "out" / "phone.mp4")
    assert off_by(found, [Fraction(pts, 90000) for pts in IRREGULAR]) == EXACT
    assert off_by(found, clips.times(source)) == EXACT


def test_clip_that_does_not_start_at_zero_keeps_its_times(run, tmp_path):
    source = clips.make(
        tmp_path / "late.mp4",
        frames=len(IRREGULAR),
        time_base=Fraction(1, 90000),
        pts=[pts + 120_000 for pts in IRREGULAR],
    )
    assert run(source, "-o", tmp_path / "out")[0] == 0
    found = clips.times(tmp_path / "out" / "late.mp4")
    assert abs(found[0] - Fraction(4, 3)) < ONE_MS  # mp4 stores a late start in milliseconds
    assert off_by(found, clips.times(source)) == EXACT


def test_frames_stored_out_of_order_come_out_in_order(run, tmp_path):
    source = clips.make(
        tmp_path / "b.mp4", options={"preset": "veryfast", "x264-params": "bframes=3:b-adapt=0:b-pyramid=2"}
    )
    with av.open(str(source)) as file:
        stored = [packet.pts for packet in file.demux(video=0) if packet.size]
    assert stored != sorted(stored)
    assert run(source, "-o", tmp_path / "out")[0] == 0
    result = tmp_path / "out" / "b.mp4"
    assert off_by(clips.times(result), clips.times(source)) == EXACT
    for (_, before), (_, after) in zip(clips.decodable(source), clips.decodable(result), strict=True):
        # frames differ by 5 grey levels in green; two generations of encoding cost less than half of that
        assert abs(before[..., 1].mean() - after[..., 1].mean()) < 2.5


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("vp9.webm", {"codec": "libvpx-vp9", "rate": 30}),
        ("h264.mkv", {"rate": 30}),
        ("mpeg4.avi", {"codec": "mpeg4"}),
        ("mjpeg.avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
        ("flash.flv", {}),
        ("moving.gif", {"codec": "gif", "pix_fmt": "rgb8", "rate": 10}),
        ("program.mpg", {"codec": "mpeg2video"}),
        ("transport.ts", {}),
    ],
)
def test_other_containers_keep_every_frame_at_its_time(run, tmp_path, name, settings):
    source = clips.make(tmp_path / name, **settings)
    code, _, err = run(source, "-o", tmp_path / "out")
    assert (code, err) == (0, "")
    assert off_by(clips.times((tmp_path / "out" / name).with_suffix(".mp4")), clips.times(source)) == EXACT


def test_stream_without_timestamps_gets_a_regular_clock(run, tmp_path):
    source = clips.make(tmp_path / "raw.h264", options={"preset": "veryfast", "bf": "2"})
    assert set(clips.times(source)) == {None}
    assert run(source, "-o", tmp_path / "raw.mp4")[0] == 0
    assert clips.times(tmp_path / "raw.mp4") == [Fraction(i, 25) for i in range(20)]


def test_mkv_output_keeps_times_to_the_millisecond(run, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", rate=30)
    assert run(source, "-o", tmp_path / "out.mkv")[0] == 0
    # Matroska stores whole milliseconds
    assert off_by(clips.times(tmp_path / "out.mkv"), clips.times(source)) <= ONE_MS / 2


def test_odd_sides_are_padded_by_one_pixel_and_not_scaled(run, tmp_path):
    source = clips.make(tmp_path / "odd.mp4", size=(161, 97), pix_fmt="yuv444p", draw=clips.corner)
    assert run(source, "-o", tmp_path / "out")[0] == 0
    frames = clips.decodable(tmp_path / "out" / "odd.mp4")
    assert frames[0][1].shape == (98, 162, 3)
    difference = cv2.absdiff(frames[0][1][:97, :161], clips.corner(0, 161, 97))
    assert difference.mean() < 3  # one more generation of encoding, half the colour resolution
    assert off_by([t for t, _ in frames], clips.times(source)) == EXACT
    header, _ = clips.read_keypoints(tmp_path / "out" / "odd.jsonl")
    assert (header["width"], header["height"]) == (161, 97)


@pytest.mark.parametrize(
    ("turn", "size", "bright"),
    [
        (90, (96, 160), "upper right"),
        (180, (160, 96), "lower right"),
        (270, (96, 160), "lower left"),
        ("mirror", (160, 96), "upper right"),
    ],
)
def test_clip_of_a_turned_phone_comes_out_upright(run, tmp_path, turn, size, bright):
    source = clips.set_matrix(clips.make(tmp_path / "turned.mp4", draw=clips.corner), turn)
    assert run(source, "-o", tmp_path / "out")[0] == 0
    result = tmp_path / "out" / "turned.mp4"
    with av.open(str(result)) as file:
        first = next(file.decode(video=0))
    assert first.rotation == 0
    assert (first.width, first.height) == size
    assert clips.corners(first.to_ndarray(format="bgr24")) == {bright}
    header, _ = clips.read_keypoints(tmp_path / "out" / "turned.jsonl")
    assert (header["width"], header["height"]) == size
    assert off_by(clips.times(result), clips.times(source)) == EXACT


def test_clip_trimmed_by_an_edit_list_is_not_called_damaged(run, tmp_path):
    source = clips.play_half(clips.make(tmp_path / "trim.mp4", frames=60, options={"g": "10", "bf": "0"}))
    expected = clips.times(source)
    assert 20 < len(expected) < 40
    code, _, err = run(source, "-o", tmp_path / "out")
    assert off_by(clips.times(tmp_path / "out" / "trim.mp4"), expected) == EXACT
    assert (code, err) == (0, "")


def test_avi_with_dropped_frames_is_not_called_damaged(run, tmp_path):
    whole = clips.make(tmp_path / "whole.avi", codec="mpeg4")
    source = clips.drop_packets(whole, tmp_path / "drops.avi", {8, 9, 15})
    expected = clips.times(source)
    assert len(expected) == 17
    code, _, err = run(source, "-o", tmp_path / "out")
    assert off_by(clips.times(tmp_path / "out" / "drops.mp4"), expected) == EXACT
    assert (code, err) == (0, "")


def test_clip_of_one_frame(run, tmp_path):
    source = clips.make(tmp_path / "one.mp4", frames=1)
    assert run(source, "-o", tmp_path / "out")[0] == 0
    assert clips.times(tmp_path / "out" / "one.mp4") == [0]


@pytest.mark.parametrize("name", ["a clip.mp4", "çığ 100%d.mp4", "clip[1].mp4", "12:30:05.mp4", "-dash.mp4"])
def test_any_file_name_will_do(run, tmp_path, monkeypatch, name):
    clips.make(tmp_path / "plain.mp4", frames=3).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)  # a relative name is where a colon or a dash can be misread
    code, _, err = run("-o", "out", "--", name)
    assert (code, err) == (0, "")
    assert len(clips.times(tmp_path / "out" / name)) == 3


@pytest.mark.parametrize("name", ["12:30:05.mp4", "result%d.mp4"])
def test_any_output_name_will_do(run, tmp_path, monkeypatch, name):
    clips.make(tmp_path / "plain.mp4", frames=3)
    monkeypatch.chdir(tmp_path)
    code, _, err = run("plain.mp4", "-o", name)
    assert (code, err) == (0, "")
    assert len(clips.times(tmp_path / name)) == 3


# --- sound ---


def test_sound_of_an_mp4_is_copied_byte_by_byte_at_the_same_times(run, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", frames=40, audio="aac")
    assert run(source, "-o", tmp_path / "out")[0] == 0
    expected = clips.audio_packets(source)
    assert len(expected) > 50
    assert clips.audio_packets(tmp_path / "out" / "clip.mp4") == expected


@pytest.mark.parametrize(
    ("name", "codec", "audio"),
    [
        ("opus.webm", "libvpx-vp9", "libopus"),
        ("mp3.mkv", "libx264", "libmp3lame"),
        ("mp2.mpg", "mpeg2video", "mp2"),
        ("flac.mkv", "libx264", "flac"),
        ("pcm.mkv", "libx264", "pcm_s16le"),
        ("pcm.avi", "mpeg4", "pcm_s16le"),
    ],
)
def test_sound_that_mp4_can_hold_is_copied_byte_by_byte(run, tmp_path, name, codec, audio):
    source = clips.make(tmp_path / name, codec=codec, audio=audio)
    code, _, err = run(source, "-o", tmp_path / "out")
    assert (code, err) == (0, "")
    before = clips.audio_packets(source)
    after = clips.audio_packets((tmp_path / "out" / name).with_suffix(".mp4"))
    assert [data for data, _ in after] == [data for data, _ in before]
    # times of other containers, in their own units, are rounded to samples
    assert off_by([t for _, t in after], [t for _, t in before]) < ONE_MS


def test_aac_of_a_transport_stream_is_kept(run, tmp_path):
    source = clips.make(tmp_path / "camera.ts", audio="aac")
    code, _, err = run(source, "-o", tmp_path / "out")
    assert (code, err) == (0, "")
    result = tmp_path / "out" / "camera.mp4"
    assert off_by(clips.times(result), clips.times(source)) == EXACT
    before, after = clips.audio_packets(source), clips.audio_packets(result)
    assert off_by([t for _, t in after], [t for _, t in before]) < ONE_MS
    for (adts, _), (raw, _) in zip(before, after, strict=True):
        assert raw == adts or raw in (adts[7:], adts[9:])  # mp4 has no ADTS header before each packet


def test_sound_that_mp4_cannot_hold_makes_the_output_an_mkv(run, tmp_path, caplog):
    source = clips.make(tmp_path / "old.avi", codec="mpeg4", audio="pcm_u8")
    code, out, err = run(source, "-o", tmp_path / "out")
    assert (code, err) == (0, "")
    (warning,) = caplog.messages
    assert "old.mkv" in warning
    assert "old.mkv" in out
    assert names(tmp_path / "out") == ["old.jsonl", "old.mkv"]
    before, after = clips.audio_packets(source), clips.audio_packets(tmp_path / "out" / "old.mkv")
    assert [data for data, _ in after] == [data for data, _ in before]
    assert off_by([t for _, t in after], [t for _, t in before]) < ONE_MS
    assert off_by(clips.times(tmp_path / "out" / "old.mkv"), clips.times(source)) <= ONE_MS / 2


def test_with_a_limit_the_sound_ends_with_the_pictures(run, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", frames=50, audio="aac")
    assert run(source, "-o", tmp_path / "out", "--limit", "10")[0] == 0
    last = clips.audio_packets(tmp_path / "out" / "clip.mp4")[-1][1]
    assert Fraction(10, 25) - Fraction(1, 10) < last < Fraction(10, 25) + Fraction(1, 10)


# --- keypoints ---


def test_keypoints_have_a_header_and_one_line_a_frame(run, model, tmp_path):
    source = clips.make(
        tmp_path / "clip.mp4", frames=len(IRREGULAR), time_base=Fraction(1, 90000), pts=IRREGULAR
    )
    assert run(source, "-o", tmp_path / "out", "--limit", "12")[0] == 0
    header, frames = clips.read_keypoints(tmp_path / "out" / "clip.jsonl")
    assert header["format"] == "hprnet-rt-keypoints/1"
    assert header["keypoint_names"] == list(KEYPOINT_NAMES)
    assert len(header["keypoint_names"]) == 133
    assert header["source"] == str(source)
    assert (header["width"], header["height"]) == (160, 96)
    assert header["model"] == model.name == "hprnet-mobile"
    assert header["options"]["limit"] == 12
    assert header["options"]["threshold"] == 0.3
    assert header["options"]["input_px"] == model.input_px
    assert header["versions"]["hprnet_rt"] == hprnet_rt.__version__
    assert [frame["frame"] for frame in frames] == list(range(12))
    # seconds are written with six decimals
    assert [frame["pts_s"] for frame in frames] == [round(pts / 90000, 6) for pts in IRREGULAR[:12]]
    assert all(frame["people"] == [] for frame in frames)


def test_people_have_boxes_and_every_point_that_the_weights_know(run, tmp_path):
    assert run(clips.SAMPLE, "-o", tmp_path / "out", "--limit", "10", "--size", PEOPLE_PX)[0] == 0
    header, frames = clips.read_keypoints(tmp_path / "out" / "sample.jsonl")
    assert (header["width"], header["height"]) == (1280, 720)
    assert len(frames) == 10
    for frame in frames:
        assert len(frame["people"]) >= 2
        scores = [person["score"] for person in frame["people"]]
        assert scores == sorted(scores, reverse=True)
        for person in frame["people"]:
            assert {*person, "face_xyxy"} == {"track_id", "score", "box_xyxy", "face_xyxy", "keypoints"}
            assert person["track_id"] >= 0
            assert 0.3 <= person["score"] <= 1
            x1, y1, x2, y2 = person["box_xyxy"]
            assert x1 < x2
            assert y1 < y2
            assert len(person["keypoints"]) == 133
            for part in ("body", "face"):
                points = [point for point in person["keypoints"][PARTS[part]] if point is not None]
                assert points
                assert all(len(point) == 3 and 0 < point[2] <= 1 for point in points)
            for small_toe in ("left_small_toe", "right_small_toe"):
                assert person["keypoints"][KEYPOINT_NAMES.index(small_toe)] is None


def test_people_keep_their_ids_unless_told_not_to(run, tmp_path):
    arguments = (clips.SAMPLE, "--limit", "8", "--size", PEOPLE_PX, "--no-video")
    assert run(*arguments, "-o", tmp_path / "ids")[0] == 0
    assert run(*arguments, "-o", tmp_path / "none", "--no-track")[0] == 0
    assert run(*arguments, "-o", tmp_path / "smooth", "--smooth", "one-euro")[0] == 0
    header, frames = clips.read_keypoints(tmp_path / "ids" / "sample.jsonl")
    assert (header["options"]["track"], header["options"]["smooth"]) == (True, "off")
    ids = [{person["track_id"] for person in frame["people"]} for frame in frames]
    assert len(set.union(*ids)) == max(map(len, ids)) == 3
    _, without = clips.read_keypoints(tmp_path / "none" / "sample.jsonl")
    assert {person["track_id"] for frame in without for person in frame["people"]} == {None}
    _, smooth = clips.read_keypoints(tmp_path / "smooth" / "sample.jsonl")
    assert smooth[0] == frames[0]
    points = [[person["keypoints"] for person in found[-1]["people"]] for found in (frames, smooth)]
    assert points[0] != points[1]


def _nose(frame, track_id):
    return next(each["keypoints"][0][:2] for each in frame["people"] if each["track_id"] == track_id)


def test_smoothing_without_lag_reads_twice_and_loses_nothing(run, tmp_path):
    arguments = (clips.SAMPLE, "--limit", 20, "--size", PEOPLE_PX)
    assert run(*arguments, "-o", tmp_path / "plain", "--no-video")[0] == 0
    code, out, _ = run(*arguments, "-o", tmp_path / "smooth", "--smooth", "zero-lag")
    assert code == 0
    assert "smoothing" in out
    assert len(clips.times(tmp_path / "smooth" / "sample.mp4")) == 20
    _, plain = clips.read_keypoints(tmp_path / "plain" / "sample.jsonl")
    header, smooth = clips.read_keypoints(tmp_path / "smooth" / "sample.jsonl")
    assert header["options"]["smooth"] == "zero-lag"
    assert [frame["pts_s"] for frame in smooth] == [frame["pts_s"] for frame in plain]
    nose = np.array([[_nose(frame, 0) for frame in frames] for frames in (plain, smooth)])
    bends = np.abs(np.diff(nose, n=2, axis=1)).mean(axis=(1, 2))
    assert bends[1] < 0.6 * bends[0]
    assert np.abs(nose[1] - nose[0]).max() < 5


def test_smoothing_without_tracking_is_refused(run, tmp_path):
    code, _, err = run(clips.SAMPLE, "-o", tmp_path / "out", "--no-track", "--smooth", "one-euro")
    assert code == 2
    assert "tracking" in err


def test_skeletons_are_drawn_where_the_keypoints_are(run, tmp_path):
    assert run(clips.SAMPLE, "-o", tmp_path / "out", "--limit", "1", "--size", PEOPLE_PX)[0] == 0
    before = clips.decodable(clips.SAMPLE)[0][1].astype(int)
    after = clips.decodable(tmp_path / "out" / "sample.mp4")[0][1].astype(int)
    change = np.abs(after - before).max(axis=2)
    _, (frame,) = clips.read_keypoints(tmp_path / "out" / "sample.jsonl")
    points = [p for person in frame["people"] for p in person["keypoints"] if p is not None and p[2] > 0.3]
    inside = [(int(x), int(y)) for x, y, _ in points if 0 <= x < 1280 and 0 <= y < 720]
    assert len(inside) >= 10
    drawn = [change[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3].max() > 40 for x, y in inside]
    assert np.mean(drawn) > 0.9  # a few points may fall on their own colour
    assert (change < 40).mean() > 0.9  # and the rest of the picture is as it was


# --- options ---


def test_no_video_writes_keypoints_only(run, tmp_path):
    source = clips.make(tmp_path / "clip.mp4")
    assert run(source, "-o", tmp_path / "out", "--no-video")[0] == 0
    assert names(tmp_path / "out") == ["clip.jsonl"]
    assert len(clips.read_keypoints(tmp_path / "out" / "clip.jsonl")[1]) == 20


def test_no_keypoints_writes_pictures_only(run, tmp_path):
    source = clips.make(tmp_path / "clip.mp4")
    assert run(source, "-o", tmp_path / "out", "--no-keypoints")[0] == 0
    assert names(tmp_path / "out") == ["clip.mp4"]
    assert len(clips.times(tmp_path / "out" / "clip.mp4")) == 20


def test_limit_takes_the_first_frames(run, tmp_path):
    source = clips.make(tmp_path / "clip.mp4")
    assert run(source, "-o", tmp_path / "out", "--limit", "7")[0] == 0
    assert clips.times(tmp_path / "out" / "clip.mp4") == clips.times(source)[:7]
    assert len(clips.read_keypoints(tmp_path / "out" / "clip.jsonl")[1]) == 7


def test_threshold_of_one_finds_nobody(run, tmp_path):
    code, *_ = run(clips.SAMPLE, "-o", tmp_path / "out", "--limit", "3", "--threshold", "1.0", "--no-video")
    assert code == 0
    header, frames = clips.read_keypoints(tmp_path / "out" / "sample.jsonl")
    assert header["options"]["threshold"] == 1.0
    assert [frame["people"] for frame in frames] == [[], [], []]


def test_overwrite_replaces_outputs(run, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", frames=5)
    (tmp_path / "out").mkdir()
    for name in ("clip.mp4", "clip.jsonl"):
        (tmp_path / "out" / name).write_bytes(b"old")
    assert run(source, "-o", tmp_path / "out", "--overwrite")[0] == 0
    assert names(tmp_path / "out") == ["clip.jsonl", "clip.mp4"]
    assert len(clips.times(tmp_path / "out" / "clip.mp4")) == 5
    assert len(clips.read_keypoints(tmp_path / "out" / "clip.jsonl")[1]) == 5


def test_quiet_prints_nothing(run, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", frames=5)
    assert run(source, "-q", "-o", tmp_path / "out") == (0, "", "")


# --- several inputs, and images ---


def test_folder_keeps_its_subfolders(run, tmp_path):
    for folder in ("in", "in/a", "in/a/b"):
        (tmp_path / folder).mkdir()
        clips.make(tmp_path / folder / "clip.mp4", frames=3)
    (tmp_path / "in" / "notes.txt").write_text("not media")
    assert run(tmp_path / "in", "-o", tmp_path / "out")[0] == 0
    folders = ("", "a/", "a/b/")
    assert names(tmp_path / "out") == sorted(
        f"{folder}clip{suffix}" for folder in folders for suffix in (".jsonl", ".mp4")
    )


def test_glob_takes_what_matches(run, tmp_path):
    for name in ("x1.mp4", "x2.mp4", "y1.mp4"):
        clips.make(tmp_path / name, frames=3)
    assert run(tmp_path / "x*.mp4", "-o", tmp_path / "out")[0] == 0
    assert names(tmp_path / "out") == ["x1.jsonl", "x1.mp4", "x2.jsonl", "x2.mp4"]


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_image_gives_an_image_of_the_same_size_and_keypoints_without_a_time(run, tmp_path, suffix):
    source = tmp_path / f"photo{suffix}"
    before = clips.decodable(clips.SAMPLE)[0][1]
    assert cv2.imwrite(str(source), before)
    assert run(source, "-o", tmp_path / "out", "--size", PEOPLE_PX)[0] == 0
    assert names(tmp_path / "out") == sorted(["photo.jsonl", f"photo{suffix}"])
    after = cv2.imread(str(tmp_path / "out" / f"photo{suffix}"))
    assert after.shape == before.shape
    assert cv2.absdiff(after, cv2.imread(str(source))).max() > 100  # skeletons
    header, frames = clips.read_keypoints(tmp_path / "out" / "photo.jsonl")
    assert (header["width"], header["height"]) == (1280, 720)
    assert [(frame["frame"], frame["pts_s"]) for frame in frames] == [(0, None)]
    assert len(frames[0]["people"]) >= 2
    assert {person["track_id"] for person in frames[0]["people"]} == {None}


def test_photo_of_a_turned_phone_comes_out_upright(run, tmp_path):
    source = clips.make_jpeg_on_its_side(tmp_path / "photo.jpg")
    assert run(source, "-o", tmp_path / "out")[0] == 0
    after = cv2.imread(str(tmp_path / "out" / "photo.jpg"))
    assert after.shape == (160, 96, 3)
    assert clips.corners(after) == {"upper right"}
    header, _ = clips.read_keypoints(tmp_path / "out" / "photo.jsonl")
    assert (header["width"], header["height"]) == (96, 160)


def test_photo_and_clip_of_one_name_do_not_collide(run, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    clips.make(folder / "a.mp4", frames=3)
    assert cv2.imwrite(str(folder / "a.jpg"), clips.picture(0, 160, 96))
    assert run(folder, "-o", tmp_path / "out")[0] == 0
    assert names(tmp_path / "out") == ["a.jpg.jpg", "a.jpg.jsonl", "a.mp4.jsonl", "a.mp4.mp4"]
    assert len(clips.read_keypoints(tmp_path / "out" / "a.jpg.jsonl")[1]) == 1
    assert len(clips.read_keypoints(tmp_path / "out" / "a.mp4.jsonl")[1]) == 3


def test_photos_of_several_shapes_share_one_run(run, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    shapes = [(160, 96), (96, 160), (128, 128), (31, 7), (1, 1)]
    for i, (width, height) in enumerate(shapes):
        assert cv2.imwrite(str(folder / f"{i}.png"), clips.picture(0, width, height))
    assert run(folder, "-o", tmp_path / "out")[0] == 0
    sizes = [cv2.imread(str(tmp_path / "out" / f"{i}.png")).shape[1::-1] for i in range(len(shapes))]
    assert sizes == shapes


# --- the function behind the command ---


def test_outputs_have_their_final_names_only_when_they_are_complete(model, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", audio="aac")
    options = AnnotateOptions()
    (job,) = plan([str(source)], tmp_path / "out", options)
    seen = []
    report = annotate_file(job, model, options, progress=lambda _item: seen.append(names(tmp_path / "out")))
    assert len(seen) == 20
    assert set().union(*seen) == {"clip.partial.jsonl", "clip.partial.lock", "clip.partial.mp4"}
    assert names(tmp_path / "out") == ["clip.jsonl", "clip.mp4"]
    assert sorted(report.written) == [tmp_path / "out" / "clip.jsonl", tmp_path / "out" / "clip.mp4"]
    assert (report.frames, report.damage, report.cancelled) == (20, None, False)


def test_what_overwrite_replaces_stays_until_the_new_file_is_complete(model, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", frames=5)
    old = tmp_path / "out" / "clip.jsonl"
    old.parent.mkdir()
    old.write_text("old")
    options = AnnotateOptions(video=False, overwrite=True)
    (job,) = plan([str(source)], tmp_path / "out", options)
    seen = []
    annotate_file(job, model, options, progress=lambda _item: seen.append(old.read_text()))
    assert seen == ["old"] * 5
    assert len(clips.read_keypoints(old)[1]) == 5


# --- what cameras and editors make ---


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ten bits.mp4", {"pix_fmt": "yuv420p10le"}),
        ("ten bits 4:2:2.mkv", {"pix_fmt": "yuv422p10le"}),
        (
            "interlaced.mp4",
            {"options": {"preset": "veryfast", "x264-params": "tff=1", "flags": "+ildct+ilme"}},
        ),
        ("hdr.mp4", {"pix_fmt": "yuv420p10le", "options": {"colorprim": "bt2020", "transfer": "smpte2084"}}),
        ("lossless.mov", {"codec": "png", "pix_fmt": "rgb24"}),
        ("long pauses.mp4", {"pts": [n * 250 for n in range(20)]}),
    ],
)
def test_unusual_pictures_keep_every_frame_at_its_time(run, tmp_path, name, settings):
    source = clips.make(tmp_path / name, **settings)
    code, _, err = run(source, "-o", tmp_path / "out.mp4")
    assert (code, err) == (0, "")
    assert off_by(clips.times(tmp_path / "out.mp4"), clips.times(source)) == EXACT
    for (_, before), (_, after) in zip(
        clips.decodable(source), clips.decodable(tmp_path / "out.mp4"), strict=True
    ):
        # half the colour resolution, one more generation of encoding
        assert cv2.absdiff(before, after).mean() < 6


def test_all_sound_tracks_are_kept_and_subtitles_are_no_harm(run, tmp_path):
    source = tmp_path / "film.mkv"
    first = clips.make(tmp_path / "first.mp4", audio="aac")
    second = clips.make_audio(tmp_path / "second.mp4", codec="libmp3lame", seconds=0.8)
    words = tmp_path / "words.srt"
    words.write_text("1\n00:00:00,100 --> 00:00:00,600\nhello\n", encoding="utf-8")
    with av.open(str(source), "w") as film:
        files = [av.open(str(path)) for path in (first, second, words)]
        pairs = [(stream, film.add_stream_from_template(stream)) for file in files for stream in file.streams]
        for stream, copy in pairs:
            for packet in stream.container.demux(stream):
                if packet.dts is not None:
                    packet.stream = copy
                    film.mux(packet)
        for file in files:
            file.close()
    code, _, err = run(source, "-o", tmp_path / "out")
    assert (code, err) == (0, "")
    with av.open(str(tmp_path / "out" / "film.mp4")) as file:
        assert [stream.codec_context.name for stream in file.streams.audio] == ["aac", "mp3float"]
    assert off_by(clips.times(tmp_path / "out" / "film.mp4"), clips.times(source)) == EXACT


def test_sound_stays_in_step_with_uneven_pictures(run, tmp_path):
    pts = [n * 40 + (n * 7919) % 37 for n in range(200)]  # ms, uneven
    source = clips.make(
        tmp_path / "uneven.mp4", frames=200, time_base=Fraction(1, 1000), pts=pts, audio="aac", size=(64, 48)
    )
    assert run(source, "-o", tmp_path / "out")[0] == 0
    result = tmp_path / "out" / "uneven.mp4"
    assert off_by(clips.times(result), clips.times(source)) == EXACT
    assert clips.audio_packets(result) == clips.audio_packets(source)
