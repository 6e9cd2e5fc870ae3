"""Encoders: which are chosen, what is said of those that are not there, and what they write."""

from dataclasses import replace
from fractions import Fraction

import av
import pytest

from hprnet_rt import cli
from hprnet_rt.errors import BackendError, UsageError
from hprnet_rt.types import Frame, FramePoses, Poses
from hprnet_rt.video import MediaInfo, VideoSink, encoders
from hprnet_rt.video.encoders import ENCODERS, choose_encoder
from tests import clips

FAILED, WRONG_USAGE = 1, 2
SOFTWARE = [name for name, each in ENCODERS.items() if not each.hardware]
HARDWARE = [name for name, each in ENCODERS.items() if each.hardware]
ABSENT = "h264_nvenc"


@pytest.fixture
def devices(monkeypatch):
    """In the place of the machine's devices: the encoders that work, and those that were tried."""
    working, tried = set(SOFTWARE), []

    def failure(name):
        tried.append(name)
        return None if name in working else f"no device for {name}"

    monkeypatch.setattr(encoders, "_failure", failure)
    return working, tried


def test_default_asks_no_device(devices):
    assert choose_encoder("libx264") == "libx264"
    assert devices[1] == ["libx264"]


def test_auto_takes_the_first_device_that_works_and_tries_no_more(devices):
    working, tried = devices
    working.update(HARDWARE[1:3])
    assert choose_encoder("auto") == HARDWARE[1]
    assert tried == HARDWARE[:2]


def test_auto_without_a_device_is_the_default(devices):
    assert choose_encoder("auto") == "libx264"
    assert devices[1] == HARDWARE


def test_encoder_that_was_named_is_taken_or_refused(devices):
    working, _ = devices
    working.add("h264_qsv")
    assert choose_encoder("h264_qsv") == "h264_qsv"
    with pytest.raises(BackendError, match=r"no device for h264_amf.*: libx264, libx265, h264_qsv$"):
        choose_encoder("h264_amf")
    with pytest.raises(UsageError, match="h265_magic"):
        choose_encoder("h265_magic")


def test_encoder_that_this_ffmpeg_does_not_have_is_said(monkeypatch):
    monkeypatch.setitem(ENCODERS, "none", encoders.Encoder("no_such_codec", lambda _: {}))
    with pytest.raises(BackendError, match="this build of FFmpeg"):
        choose_encoder("none")


def test_encoder_that_is_there_and_does_not_encode_is_not_taken(monkeypatch):
    monkeypatch.setitem(ENCODERS, "broken", encoders.Encoder("libx264", lambda _: {}, pix_fmt="rgb24"))
    working = encoders.Encoder("mpeg4", lambda _: {})
    monkeypatch.setitem(ENCODERS, "working", working)
    with pytest.raises(BackendError, match="broken"):
        choose_encoder("broken")
    assert choose_encoder("working") == "working"


def test_real_device_that_is_not_there_is_one_sentence(annotate_small, tmp_path):
    if encoders._failure(ABSENT) is None:
        pytest.skip("it is there")
    source = clips.make(tmp_path / "clip.mp4", frames=3)
    code, _, err = annotate_small(source, "-o", tmp_path / "out", "--encoder", ABSENT)
    assert code == FAILED
    assert len(err.splitlines()) == 1
    assert ABSENT in err
    assert "libx264" in err
    assert not (tmp_path / "out").exists()
    assert av.logging.get_level() is None


def test_command_says_what_auto_has_chosen(annotate_small, tmp_path, devices, capfd, monkeypatch):
    source = clips.make(tmp_path / "clip.mp4", frames=3)
    devices[0].add("h264_qsv")
    monkeypatch.setitem(ENCODERS, "h264_qsv", replace(ENCODERS["libx264"], hardware=True))
    code, out, err = annotate_small(source, "-o", tmp_path / "out", "--encoder", "auto")
    assert (code, err) == (0, "")
    assert "videos by h264_qsv (auto)" in out
    arguments = (str(source), str(tmp_path / "out" / "clip.jsonl"), "-o", str(tmp_path / "drawn.mp4"))
    devices[0].clear()
    assert cli.main(["render", *arguments, "--encoder", "auto"]) == 0
    assert "videos by libx264 (auto)" in capfd.readouterr().out
    assert annotate_small(source, "-o", tmp_path / "o", "--encoder", "mpeg9")[0] == WRONG_USAGE


def test_keypoints_alone_need_no_encoder(annotate_small, tmp_path, devices):
    source = clips.make(tmp_path / "clip.mp4", frames=3)
    assert annotate_small(source, "-o", tmp_path / "out", "--no-video", "--encoder", ABSENT)[0] == 0
    assert devices[1] == []


# --- what they write ---


def write(path, encoder, crf=21, draw=clips.picture):
    """Twelve frames of odd size at uneven times; in an .mp4 with the sound of `audio.mp4` beside it."""
    times = [0, 700, 4000, 4001, 9000, 30000, 31000, 90000, 90900, 190001, 190090, 215000]
    base = Fraction(1, 90000)
    info = MediaInfo("x", 161, 97, rate=Fraction(25), time_base=base)
    with_sound = None
    if path.suffix == ".mp4":
        with_sound = clips.make(path.with_name("audio.mp4"), frames=3, audio="aac")
    sink = VideoSink(path, info, audio_from=with_sound, threads=1, crf=crf, encoder=encoder)
    for number, pts in enumerate(times):
        sink.write(FramePoses(Frame(number, draw(number, 161, 97), 0.0, pts, base), Poses.empty()))
    sink.close(all_audio=True)
    sink.commit()
    return [pts * base for pts in times]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("encoder", SOFTWARE)
def test_every_frame_is_written_at_its_time(tmp_path, encoder, suffix):
    path = tmp_path / f"clip{suffix}"
    times = write(path, encoder)
    found = clips.decodable(path)
    # Matroska stores whole milliseconds
    allowed = Fraction(1, 2000) if suffix == ".mkv" else 0
    assert max(abs(a - b) for a, b in zip((t for t, _ in found), times, strict=True)) <= allowed
    for number, (_, image) in enumerate(found):
        assert image.shape == (98, 162, 3)
        # frames differ by 5 grey levels in green
        assert abs(image[:97, :161, 1].mean() - clips.picture(number, 161, 97)[..., 1].mean()) < 2.5
    if suffix == ".mp4":
        assert clips.audio_packets(path) == clips.audio_packets(tmp_path / "audio.mp4")
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        assert stream.codec_context.name == {"libx264": "h264", "libx265": "hevc"}[encoder]
        if encoder == "libx265" and suffix == ".mp4":
            assert stream.codec_context.codec_tag == "hvc1"


@pytest.mark.parametrize("encoder", SOFTWARE)
def test_larger_rate_factor_is_a_smaller_file(tmp_path, encoder):
    for crf in (15, 40):
        write(tmp_path / f"{crf}.mp4", encoder, crf, clips.noise)
    assert (tmp_path / "40.mp4").stat().st_size < 0.6 * (tmp_path / "15.mp4").stat().st_size


@pytest.mark.parametrize("encoder", ENCODERS)
def test_quality_falls_with_the_rate_factor(encoder):
    for crf in (0, 51):
        assert all(isinstance(value, str) for value in ENCODERS[encoder].quality(crf).values())
    assert ENCODERS[encoder].quality(10) != ENCODERS[encoder].quality(30)
