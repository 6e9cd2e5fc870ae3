"""Wrong usage: exit code 2 before anything is done, and an input is never written to."""

import pytest

from tests import clips
from tests.jobs.failures.common import (
    FAILED,
    WRONG_USAGE,
    names,
)
from tests.sentences import is_one_sentence


def test_missing_file_is_named(run, tmp_path):
    code, err = run(tmp_path / "no such.mp4", "-o", tmp_path / "out")
    assert code == WRONG_USAGE
    assert is_one_sentence(err, "no such.mp4", "does not exist")
    assert not (tmp_path / "out").exists()


def test_pattern_without_a_match_is_named(run, tmp_path):
    code, err = run(tmp_path / "*.mp4", "-o", tmp_path / "out")
    assert code == WRONG_USAGE
    assert is_one_sentence(err, "*.mp4")


def test_name_longer_than_any_file_has_is_refused(run, tmp_path):
    code, err = run(tmp_path / f"{'long ' * 100}.mp4", "-o", tmp_path / "out")
    assert code == WRONG_USAGE
    assert is_one_sentence(err)


def test_output_name_longer_than_any_file_has_is_refused(run, clip, tmp_path):
    code, err = run(clip, "-o", tmp_path / f"{'long ' * 50}.mp4")
    assert code in (FAILED, WRONG_USAGE)
    assert is_one_sentence(err)


def test_empty_name_does_not_mean_the_current_folder(run, clip, tmp_path, monkeypatch):
    monkeypatch.chdir(clip.parent)
    code, err = run("", "-o", tmp_path / "out")  # "$UNSET" in a script
    assert code == WRONG_USAGE
    assert is_one_sentence(err)
    assert not (tmp_path / "out").exists()


def test_folder_without_media_is_named(run, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("no media")
    code, err = run(tmp_path / "in", "-o", tmp_path / "out")
    assert code == WRONG_USAGE
    assert is_one_sentence(err, tmp_path / "in")


@pytest.mark.parametrize("name", ["clip.mp4", "clip.jsonl"])
def test_output_that_exists_is_refused_and_left_alone(run, clip, tmp_path, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("old")
    code, err = run(clip, "-o", tmp_path / "out")
    assert code == WRONG_USAGE
    assert is_one_sentence(err, tmp_path / "out" / name, "--overwrite")
    assert names(tmp_path / "out") == [name]
    assert (tmp_path / "out" / name).read_text() == "old"


def test_mkv_that_is_made_for_the_sound_is_refused_too_where_it_exists(run, tmp_path):
    source = clips.make(tmp_path / "old.avi", codec="mpeg4", audio="pcm_u8", frames=5)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.mkv").write_text("old")
    code, err = run(source, "-o", tmp_path / "out")
    assert code == WRONG_USAGE
    assert is_one_sentence(err, "old.mkv", "--overwrite")
    assert names(tmp_path / "out") == ["old.mkv"]
    assert (tmp_path / "out" / "old.mkv").read_text() == "old"


def test_output_folder_that_is_a_file_is_refused(run, clip, tmp_path):
    (tmp_path / "out").write_text("a file")
    code, err = run(clip, "-o", tmp_path / "out")
    assert code == WRONG_USAGE
    assert is_one_sentence(err, tmp_path / "out")


def test_two_inputs_do_not_fit_into_one_output_file(run, clip, tmp_path):
    other = clips.make(tmp_path / "other.mp4", frames=5)
    code, err = run(clip, other, "-o", tmp_path / "out.mp4")
    assert code == WRONG_USAGE
    assert is_one_sentence(err, "out.mp4")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--model", "openpose"), ("openpose", "hprnet-mobile")),
        (("--model", "no/such.onnx"), ("no/such.onnx",)),
        (("--backend", "abacus"), ("abacus", "openvino")),
        (("--precision", "int3"), ("int3", "fp32")),
        (("--size", "100"), ("100", "32")),
        (("--size", "0"), ("32",)),
        (("--size", "-32"), ("-32",)),
        (("--threads", "0"), ("threads",)),
        (("--threshold", "2"), ("threshold", "2")),
        (("--threshold", "nan"), ("threshold", "nan")),
        (("--limit", "0"), ("limit",)),
        (("--no-video", "--no-keypoints"), ("nothing to write",)),
    ],
)
def test_impossible_setting_is_refused(run, clip, tmp_path, arguments, words):
    code, err = run(clip, "-o", tmp_path / "out", *arguments)
    assert code == WRONG_USAGE
    assert is_one_sentence(err, *words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [("--size", "large"), ("--limit", "ten"), ("--frobnicate",)])
def test_argument_that_cannot_be_parsed_is_refused(run, clip, tmp_path, arguments):
    code, err = run(clip, "-o", tmp_path / "out", *arguments)
    assert code == WRONG_USAGE
    assert arguments[0] in err.splitlines()[-1]
    assert "Traceback" not in err


def test_output_that_is_the_input_is_refused(run, clip):
    before = clip.read_bytes()
    code, err = run(clip, "-o", clip, "--overwrite")
    assert code == WRONG_USAGE
    assert is_one_sentence(err, clip)
    assert clip.read_bytes() == before


def test_output_folder_of_the_input_is_refused_when_the_names_are_equal(run, clip):
    before = clip.read_bytes()
    code, err = run(clip, "-o", clip.parent, "--overwrite")
    assert code == WRONG_USAGE
    assert is_one_sentence(err, clip)
    assert clip.read_bytes() == before


def test_mkv_that_is_made_for_the_sound_does_not_replace_the_input(run, tmp_path):
    source = clips.make(tmp_path / "clip.mkv", audio="pcm_u8", frames=5)
    before = source.read_bytes()
    _, err = run(source, "-o", tmp_path, "--overwrite")
    assert source.read_bytes() == before
    assert "Traceback" not in err


def test_partial_file_does_not_replace_an_input_of_that_name(run, tmp_path):
    source = clips.make(tmp_path / "clip.partial.mp4", frames=5)  # what a stopped run has left
    before = source.read_bytes()
    _, err = run(source, "-o", tmp_path / "clip.mp4")
    assert source.exists()
    assert source.read_bytes() == before
    assert "Traceback" not in err


def test_output_that_is_another_input_is_refused(run, tmp_path):
    (tmp_path / "in" / "sub").mkdir(parents=True)
    later = clips.make(tmp_path / "in" / "sub" / "clip.mp4", frames=5)
    first = clips.make(tmp_path / "clip.mp4", frames=5, draw=clips.corner)
    before = later.read_bytes()
    _, err = run(first, tmp_path / "in", "-o", tmp_path / "in" / "sub", "--overwrite")
    assert later.read_bytes() == before
    assert "Traceback" not in err
