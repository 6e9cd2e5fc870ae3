"""Inputs that cannot be read, or only in part: one sentence, and everything that decodes is kept."""

import struct

import cv2
import pytest

from tests import clips
from tests.jobs.failures.common import (
    FAILED,
    names,
    start,
    write_nonsense,
)
from tests.sentences import is_one_sentence


def _empty(path):
    path.touch()


def _header_only(path):
    clips.make(path, frames=0)


def _without_index(path):
    clips.cut(clips.make(path, frames=60), 0.6)


def _huge_frames(path):
    """A header that says so, of pictures that have no size of their own."""
    data = bytearray(
        clips.make(path, codec="rawvideo", pix_fmt="bgr24", frames=2, size=(16, 16)).read_bytes()
    )
    sizes = data.index(b"strf") + 8 + 4
    data[sizes : sizes + 8] = struct.pack("<2i", 30_000, 30_000)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        ("text.mp4", write_nonsense, ("not a video",)),
        ("empty.mp4", _empty, ("empty",)),
        ("sound.mp4", clips.make_audio, ("only audio",)),
        ("sound.m4a", clips.make_audio, ("only audio",)),
        ("header.mp4", _header_only, ()),
        ("header.mkv", _header_only, ()),
        ("noindex.mp4", _without_index, ("index", "cut off")),
        ("text.png", write_nonsense, ("not an image",)),
        ("empty.jpg", _empty, ("empty",)),
        ("huge.avi", _huge_frames, ()),
    ],
)
def test_unreadable_input_is_explained_in_one_sentence(run, tmp_path, name, write, words):
    write(tmp_path / name)
    code, err = run(tmp_path / name, "-o", tmp_path / "out")
    assert code == FAILED
    assert is_one_sentence(err, name, *words)
    assert not (tmp_path / "out").exists()


def test_small_file_of_a_huge_picture_is_refused(tmp_path):
    source = clips.make_huge_png(tmp_path / "huge.png")
    assert source.stat().st_size < 100_000
    _, err = (process := start(source, "-o", tmp_path / "out")).communicate(timeout=60)
    assert process.returncode == FAILED
    assert is_one_sentence(err, source, "more pixels")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_image_that_is_cut_off_is_an_error(run, tmp_path, suffix):
    source = tmp_path / f"photo{suffix}"
    assert cv2.imwrite(str(source), clips.noise(0, 160, 96))
    clips.cut(source, 0.6)
    code, err = run(source, "-o", tmp_path / "out")
    assert code == FAILED
    assert is_one_sentence(err.splitlines()[-1], source)  # libpng may speak before
    assert not (tmp_path / "out").exists()


def test_clip_whose_every_packet_is_rubbish_is_an_error(run, tmp_path):
    source = clips.make(tmp_path / "rubbish.mp4", container={"movflags": "faststart"})
    data = source.read_bytes()
    start = data.index(b"mdat") + 4
    source.write_bytes(data[:start] + b"\x5a" * (len(data) - start))
    code, err = run(source, "-o", tmp_path / "out")
    assert code == FAILED
    assert is_one_sentence(err, source)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "codec", "container"),
    [
        ("cut.mkv", "libx264", {}),
        ("cut.webm", "libvpx-vp9", {}),
        ("cut.mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}),
    ],
)
@pytest.mark.parametrize("part", [0.6, 0.71, 0.83])
def test_copy_that_broke_off_is_called_cut_off(run, tmp_path, name, codec, container, part):
    source = clips.make(tmp_path / name, frames=60, codec=codec, options={"g": "10"}, container=container)
    expected = clips.times(clips.cut(source, part))
    code, err = run(source, "-o", tmp_path / "out")
    assert code == FAILED
    assert is_one_sentence(err, source, "cut off")
    assert clips.times(tmp_path / "out" / "cut.mp4") == expected


@pytest.mark.parametrize("end", [b"", bytes(5000), b"\0\0\xff\xffnote of a camera"])
def test_whole_recording_is_not_called_cut_off(run, tmp_path, end):
    live = clips.make(tmp_path / "live.mkv", container={"live": "1"})
    fragments = clips.make(tmp_path / "parts.mp4", container={"movflags": "frag_keyframe+empty_moov"})
    fragments.write_bytes(fragments.read_bytes() + end)
    assert run(live, fragments, "-o", tmp_path / "out") == (0, "")


@pytest.mark.parametrize("reordered", [0, 3])
def test_mp4_that_is_cut_off_keeps_every_decodable_frame(run, tmp_path, reordered):
    source = clips.make(
        tmp_path / "cut.mp4",
        frames=60,
        audio="aac",
        options={"preset": "veryfast", "bf": str(reordered)},
        container={"movflags": "faststart"},
    )
    expected = clips.times(clips.cut(source, 0.6))
    assert 10 < len(expected) < 50
    code, err = run(source, "-o", tmp_path / "out")
    assert code == FAILED
    assert is_one_sentence(err, source, "cut off")
    assert names(tmp_path / "out") == ["cut.damage.txt", "cut.jsonl", "cut.mp4"]
    assert clips.times(tmp_path / "out" / "cut.mp4") == expected
    assert len(clips.read_keypoints(tmp_path / "out" / "cut.jsonl")[1]) == len(expected)


@pytest.mark.parametrize(
    ("name", "codec", "part"),
    [
        ("cut.avi", "mpeg4", 0.5),
        ("cut.avi", "mpeg4", 0.6),
        ("cut.flv", "libx264", 0.6),
        ("cut.mpg", "mpeg2video", 0.6),
        ("cut.mkv", "libx264", 0.6),
        ("cut.webm", "libvpx-vp9", 0.6),
        ("cut.ts", "libx264", 0.6),
    ],
)
def test_other_files_that_are_cut_off_keep_every_decodable_frame(run, tmp_path, name, codec, part):
    options = {"bf": "2"} if codec != "libvpx-vp9" else {}
    source = clips.cut(clips.make(tmp_path / name, codec=codec, frames=60, options=options), part)
    expected = clips.times(source)
    assert 10 < len(expected) < 50
    _, err = run(source, "-o", tmp_path / "out")
    assert "Traceback" not in err
    assert len(clips.times(tmp_path / "out" / "cut.mp4")) == len(expected)


def test_damage_in_the_middle_costs_only_what_it_hits(run, tmp_path):
    source = clips.make(
        tmp_path / "hit.mp4", frames=60, options={"g": "10"}, container={"movflags": "faststart"}
    )
    data = bytearray(source.read_bytes())
    middle = (data.index(b"mdat") + len(data)) // 2
    data[middle : middle + 600] = bytes(i * 7 % 256 for i in range(600))
    source.write_bytes(data)
    expected = clips.times(source)
    assert 40 < len(expected) < 60
    code, err = run(source, "-o", tmp_path / "out")
    assert code == FAILED
    assert is_one_sentence(err, source, "damaged")
    assert clips.times(tmp_path / "out" / "hit.mp4") == expected


def test_bad_file_does_not_keep_the_others_from_being_done(run, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    clips.make(folder / "1.mp4", frames=5)
    write_nonsense(folder / "2.mp4")
    clips.make(folder / "3.mp4", frames=5)
    code, err = run(folder, "-o", tmp_path / "out")
    assert code == FAILED
    first, last = err.splitlines()
    assert is_one_sentence(first, folder / "2.mp4")
    assert is_one_sentence(last, "1 of 3")
    assert names(tmp_path / "out") == ["1.jsonl", "1.mp4", "3.jsonl", "3.mp4"]
    assert [len(clips.times(tmp_path / "out" / name)) for name in ("1.mp4", "3.mp4")] == [5, 5]
