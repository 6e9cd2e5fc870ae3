"""Numbered images as a video."""

import logging
from fractions import Fraction

import cv2
import pytest

from hprnet_rt import cli
from hprnet_rt.video import is_image, is_sequence, open_source, sequence_files, sequence_name
from tests import clips

FAILED, WRONG_USAGE = 1, 2


def make(folder, numbers, name="img_{:04d}.png", size=(160, 96)):
    """Pictures of these numbers, each of its own brightness; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        assert cv2.imwrite(str(folder / name.format(number)), clips.picture(number, *size))
    return folder


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_numbered_images_become_one_video_with_keypoints(annotate_small, tmp_path):
    folder = make(tmp_path / "shot 100%", range(7, 19))
    code, out, err = annotate_small(folder / "img_%04d.png", "-o", tmp_path / "out")
    assert (code, err) == (0, "")
    assert "12 frames" in out
    assert names(tmp_path / "out") == ["img.jsonl", "img.mp4"]
    frames = clips.decodable(tmp_path / "out" / "img.mp4")
    assert [time for time, _ in frames] == [Fraction(n, 25) for n in range(12)]
    for number, (_, image) in zip(range(7, 19), frames, strict=True):
        # frames differ by 5 grey levels in green
        assert abs(image[..., 1].mean() - clips.picture(number, 160, 96)[..., 1].mean()) < 2.5
    header, lines = clips.read_keypoints(tmp_path / "out" / "img.jsonl")
    assert (header["fps"], header["width"], header["height"]) == (25, 160, 96)
    assert [line["pts_s"] for line in lines] == [n / 25 for n in range(12)]


@pytest.mark.parametrize(("rate", "step_s"), [("10", Fraction(1, 10)), ("30000/1001", Fraction(1001, 30000))])
def test_rate_is_what_was_asked_for(annotate_small, tmp_path, rate, step_s):
    folder = make(tmp_path / "in", range(5))
    assert annotate_small(folder / "img_%04d.png", "-o", tmp_path / "out.mp4", "--rate", rate)[0] == 0
    assert clips.times(tmp_path / "out.mp4") == [n * step_s for n in range(5)]


def test_image_before_a_gap_lasts_longer_and_that_is_said(annotate_small, tmp_path, caplog):
    folder = make(tmp_path / "in", (3, 4, 5, 9, 10))
    code, _, err = annotate_small(folder / "img_%04d.png", "-o", tmp_path / "out")
    assert (code, err) == (0, "")
    assert "lacks 3 of the numbers 3 to 10" in caplog.text
    assert clips.times(tmp_path / "out" / "img.mp4") == [Fraction(n, 25) for n in (0, 1, 2, 6, 7)]


def test_numbers_in_steps_are_no_gaps(tmp_path, caplog):
    folder = make(tmp_path / "in", (100, 110, 120, 140))
    with caplog.at_level(logging.WARNING):
        frames = list(open_source(folder / "img_%04d.png"))
    assert [frame.pts for frame in frames] == [0, 1, 2, 4]
    assert "lacks 1 of" in caplog.text


def test_files_of_other_names_do_not_belong_to_it(tmp_path):
    folder = make(tmp_path, (8, 9, 10, 12345), "a.{}.png")
    for name in ("a.07.png", "a.png", "a.1.jpg", "xa.1.png", "a.-1.png", "a.1.png.png"):
        (folder / name).write_bytes(b"other")
    assert [number for number, _ in sequence_files(folder / "a.%d.png")] == [8, 9, 10, 12345]
    assert [number for number, _ in sequence_files(folder / "a.%05d.png")] == [12345]
    assert [number for number, _ in sequence_files(folder / "a.%02d.png")] == [7, 10, 12345]


def test_odd_and_mixed_sizes_take_the_first_one_s(annotate_small, tmp_path):
    folder = make(tmp_path / "in", (1, 2), size=(161, 97))
    make(folder, (3,), size=(80, 50))
    assert annotate_small(folder / "img_%04d.png", "-o", tmp_path / "out")[0] == 0
    assert {image.shape for _, image in clips.decodable(tmp_path / "out" / "img.mp4")} == {(98, 162, 3)}
    assert clips.read_keypoints(tmp_path / "out" / "img.jsonl")[0]["width"] == 161


def test_image_that_cannot_be_read_is_left_out_and_told(annotate_small, tmp_path):
    folder = make(tmp_path / "in", range(5))
    (folder / "img_0002.png").write_text("no image")
    code, _, err = annotate_small(folder / "img_%04d.png", "-o", tmp_path / "out")
    assert code == FAILED
    assert "1 of 5 images" in err
    assert "img_0002.png" in err
    assert clips.times(tmp_path / "out" / "img.mp4") == [Fraction(n, 25) for n in (0, 1, 3, 4)]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("{}/none_%04d.png",), "no file matches"),
        (("{}/none/img_%04d.png",), "no file matches"),
        (("{}/img_%04d.png", "--rate", "0"), "rate"),
        (("{}/img_%04d.png", "--rate", "1/0"), "1/0"),
        (("{}/img_%04d_%d.png",), "does not exist"),
    ],
)
def test_what_is_not_there_is_refused(annotate_small, tmp_path, arguments, word):
    make(tmp_path, range(2))
    code, _, err = annotate_small(*(text.format(tmp_path) for text in arguments), "-o", tmp_path / "out")
    assert code == WRONG_USAGE
    assert word in err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_list_names_a_sequence_too_and_outputs_are_called_after_the_folder(annotate_small, tmp_path):
    make(tmp_path / "a" / "walk", range(3), "{:03d}.png")
    make(tmp_path / "b", range(2), "x{}.png")
    listed = tmp_path / "list.txt"
    listed.write_text(f"{tmp_path}/a/walk/%03d.png\n{tmp_path}/b/x%d.png\n{tmp_path}/b/y%d.png\n")
    code, _, err = annotate_small("--from", listed, "-o", tmp_path / "out", "--no-video")
    assert code == FAILED
    assert "no file matches" in err
    assert names(tmp_path / "out") == ["a/walk/walk.jsonl", "b/x.jsonl"]


def test_same_command_continues_only_with_the_same_images(annotate_small, tmp_path):
    pattern = make(tmp_path / "in", range(4)) / "img_%04d.png"
    assert annotate_small(pattern, "-o", tmp_path / "out")[0] == 0
    assert "skipped" in annotate_small(pattern, "-o", tmp_path / "out")[1]
    make(tmp_path / "in", (4,))
    code, _, err = annotate_small(pattern, "-o", tmp_path / "out")
    assert code == FAILED
    assert "--overwrite" in err


def test_file_whose_name_looks_like_a_sequence_is_that_file(annotate_small, tmp_path):
    make(tmp_path, (1,), "img_%04d.png")
    make(tmp_path, (1, 2))
    assert is_image(tmp_path / "img_%04d.png")
    assert not is_sequence(tmp_path / "img_%04d.png")
    assert annotate_small(tmp_path / "img_%04d.png", "-o", tmp_path / "out")[0] == 0
    assert names(tmp_path / "out") == ["img_%04d.jsonl", "img_%04d.png"]
    assert not is_sequence(tmp_path / "no number 100%.png")
    assert not is_sequence(tmp_path / "clip_%04d.mp4")


def test_name_without_its_number(tmp_path):
    assert sequence_name(tmp_path / "shot_%04d.png") == "shot"
    assert sequence_name(tmp_path / "%06d-left.jpg") == "left"
    assert sequence_name(tmp_path / "walk" / "%d.png") == "walk"


def test_stored_keypoints_are_drawn_onto_images_at_their_rate(annotate_small, tmp_path):
    pattern = make(tmp_path / "in", range(5)) / "img_%04d.png"
    arguments = (pattern, "-o", tmp_path / "kp.jsonl", "--no-video", "--rate", "30000/1001")
    assert annotate_small(*arguments)[0] == 0
    drawn = tmp_path / "drawn.mp4"
    assert cli.main(["render", str(pattern), str(tmp_path / "kp.jsonl"), "-o", str(drawn), "-q"]) == 0
    assert clips.times(drawn) == [n * Fraction(1001, 30000) for n in range(5)]


@pytest.mark.parametrize(
    ("made", "name", "codec", "pix_fmt"),
    [("a.apng", "moving.png", "apng", "rgb24"), ("a.webp", "moving.webp", "libwebp_anim", "yuv420p")],
)
def test_moving_image_is_one_picture_and_that_is_said(
    annotate_small, tmp_path, caplog, made, name, codec, pix_fmt
):
    moving = clips.make(tmp_path / made, frames=4, codec=codec, pix_fmt=pix_fmt).rename(tmp_path / name)
    assert cv2.imwrite(str(tmp_path / f"still{moving.suffix}"), clips.picture(0, 160, 96))
    code, _, err = annotate_small(tmp_path, "-o", tmp_path / "out")
    assert (code, err) == (0, "")
    assert [text for text in caplog.messages if "moves" in text] == [
        f"{moving} moves: only its first picture is taken; make it a GIF or a video for all"
    ]
    assert len(clips.read_keypoints(tmp_path / "out" / "moving.jsonl")[1]) == 1


@pytest.mark.parametrize("rate", ["1e10", "1e-10", "1e400"])
def test_rate_that_no_video_has_is_refused(annotate_small, tmp_path, rate):
    folder = make(tmp_path / "in", range(2))
    code, _, err = annotate_small(folder / "img_%04d.png", "-o", tmp_path / "out", "--rate", rate)
    assert code == WRONG_USAGE
    assert "the rate is 0.001 to 10000" in err


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_rate_of_many_digits_and_a_stride_beyond_the_end(annotate_small, tmp_path, name):
    folder = make(tmp_path / "in", range(3))
    more = ("--rate", "29.9700299700299700299", "--stride", "10000000")
    assert annotate_small(folder / "img_%04d.png", "-o", tmp_path / name, *more)[0] == 0
    assert clips.times(tmp_path / name) == [0]
