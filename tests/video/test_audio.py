"""The sound of a source goes into the output as it is, wherever a container holds it."""

import logging

import av
import pytest

from hprnet_rt import cli
from hprnet_rt.errors import OutputError
from hprnet_rt.video import MediaInfo, VideoSink
from hprnet_rt.video.audio import suffix_for_audio
from tests import clips
from tests.media import videos
from tests.media.passing import play


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def data(path):
    return b"".join(data for data, _ in clips.audio_packets(path))


def tracks(path):
    with av.open(str(path)) as file:
        return [stream.metadata for stream in file.streams.audio]


def with_unknown_sound(path):
    """An mp4 whose sound has a codec that FFmpeg does not know, as new phones write them."""
    clips.make(path, audio="aac")
    path.write_bytes(path.read_bytes().replace(b"mp4a", b"apac").replace(b"esds", b"zzzz"))
    return path


@pytest.mark.parametrize("name", ["old.avi", "old.mkv", "old.mov"])
@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
def test_uncompressed_sound_goes_into_mp4(annotate_small, tmp_path, name, layout):
    source = clips.make(tmp_path / name, frames=5, audio="pcm_s16le", layout=layout)
    code, _, err = annotate_small(source, "-o", tmp_path / "out")
    assert (code, err) == (0, "")
    assert data(tmp_path / "out" / "old.mp4") == data(source)


def test_sound_that_only_mov_holds_makes_the_output_a_mov(annotate_small, tmp_path, caplog, capfd):
    source = clips.make(tmp_path / "old.mov", frames=5, audio="pcm_mulaw")
    assert annotate_small(source, "-o", tmp_path / "out")[0] == 0
    assert "writing old.mov" in caplog.text
    assert names(tmp_path / "out") == ["old.jsonl", "old.mov"]
    assert data(tmp_path / "out" / "old.mov") == data(source)
    keypoints = tmp_path / "out" / "old.jsonl"
    for name, code in (("again.mkv", 2), ("again.mov", 0)):
        assert cli.main(["render", str(source), str(keypoints), "-o", str(tmp_path / name)]) == code
    assert "a name that ends in .mov" in capfd.readouterr().err
    assert data(tmp_path / "again.mov") == data(source)


def test_sound_that_m4v_cannot_hold_makes_the_output_an_mkv(tmp_path):
    source = clips.make(tmp_path / "clip.mkv", frames=5, audio="libmp3lame")
    assert [suffix_for_audio(source, suffix) for suffix in (".m4v", ".mp4", ".mkv")] == [
        ".mkv",
        ".mp4",
        ".mkv",
    ]


@pytest.mark.parametrize("unknown", [True, False])
def test_sound_that_nothing_holds_is_left_out_and_that_is_said(annotate_small, tmp_path, caplog, unknown):
    source = tmp_path / ("phone.mp4" if unknown else "old.avi")
    if unknown:
        with_unknown_sound(source)
    else:
        clips.make(source, codec="mpeg4", audio="adpcm_ms")
    assert annotate_small(source, "-o", tmp_path / "out")[0] == 0
    assert "audio track 1" in caplog.text
    assert "left out" in caplog.text
    assert names(tmp_path / "out") == [f"{source.stem}.jsonl", f"{source.stem}.mp4"]
    assert len(clips.times(tmp_path / "out" / f"{source.stem}.mp4")) == 20
    assert tracks(tmp_path / "out" / f"{source.stem}.mp4") == []


def test_sound_that_cannot_be_opened_leaves_no_file(tmp_path):
    path = tmp_path / "out.mp4"
    with pytest.raises(OutputError, match="cannot copy the audio of"):
        VideoSink(path, MediaInfo("clip", 64, 48), audio_from=tmp_path / "gone.mp4")
    assert names(tmp_path) == []


@pytest.mark.parametrize("result", ["out.mp4", "out.mkv"])
@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
def test_language_and_title_of_sound_stay(annotate_small, tmp_path, name, result):
    plain = clips.make(tmp_path / "plain.mkv", audio="aac")
    source = tmp_path / name
    with av.open(str(plain)) as file, av.open(str(source), "w") as copy:
        streams = [copy.add_stream_from_template(stream) for stream in file.streams]
        streams[1].metadata.update(language="fra", title="Comments")
        for packet in file.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                copy.mux(packet)
    assert annotate_small(source, "-o", tmp_path / result)[0] == 0
    (found,) = tracks(tmp_path / result)
    assert found["language"] == "fra"
    assert found.get("title", found.get("name")) == "Comments"


def test_pictures_of_an_unknown_codec_are_said_to_be_so(annotate_small, tmp_path):
    source = clips.make(tmp_path / "new.mp4")
    source.write_bytes(source.read_bytes().replace(b"avc1", b"zzz1"))
    code, _, err = annotate_small(source, "-o", tmp_path / "out")
    assert code == 1
    assert "does not know the codec" in err


def test_second_video_stream_is_not_passed_over_in_silence(annotate_small, tmp_path, caplog):
    source = tmp_path / "two.mkv"
    with av.open(str(source), "w") as file:
        streams = [file.add_stream("mpeg4", rate=25, width=160, height=96) for _ in range(2)]
        for stream in streams:
            frame = av.VideoFrame.from_ndarray(clips.picture(0, 160, 96), format="bgr24")
            file.mux([*stream.encode(frame), *stream.encode(None)])
    with caplog.at_level(logging.WARNING):
        assert annotate_small(source, "-o", tmp_path / "out", "--no-video")[0] == 0
    assert "only one video stream" in caplog.text


def test_sound_that_goes_back_in_time_is_a_loss_that_is_told(annotate_small, tmp_path):
    source = videos.sound_steps_back(tmp_path / "back.ts")
    code, _, err = annotate_small(source, "-o", tmp_path / "out")
    assert code == 1
    assert "goes back in time" in err
    assert "goes back in time" in (tmp_path / "out" / "back.damage.txt").read_text(encoding="utf-8")
    assert len(play(tmp_path / "out" / "back.mp4").times) == 20


def test_damaged_sound_is_left_out_and_the_rest_stays(annotate_small, tmp_path):
    source = videos.sound_is_spoilt(tmp_path / "spoilt.ts")
    before = play(source)
    code, _, err = annotate_small(source, "-o", tmp_path / "out")
    assert code == 1
    assert "the audio of" in err
    assert "is damaged; packets left out: " in err
    after = play(tmp_path / "out" / "spoilt.mp4")
    assert len(after.times) == 20
    assert len(before.sounds) - 5 < len(after.sounds) < len(before.sounds)
