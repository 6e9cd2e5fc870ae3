"""`annotate`: the command as a function, and the options that both have."""

import json
import logging

import cv2
import numpy as np
import pytest

import hprnet_rt
from hprnet_rt.errors import MediaError, UsageError
from tests import clips

PEOPLE_PX = 384


@pytest.fixture
def clip(tmp_path):
    return clips.make(tmp_path / "clip.mp4", frames=5, audio="aac")


@pytest.fixture(scope="module")
def seeing():
    """A model that finds the three people of the sample."""
    with hprnet_rt.load(input_px=PEOPLE_PX, threads=1) as made:
        yield made


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_function_does_what_the_command_does(clip, small_model, annotate_small, tmp_path):
    assert annotate_small(clip, "-o", tmp_path / "command", "--format", "csv")[0] == 0
    told = []
    report = hprnet_rt.annotate(
        clip, tmp_path / "function", model=small_model, formats=("csv",), progress=told.append
    )
    assert names(tmp_path / "function") == names(tmp_path / "command") == ["clip.csv", "clip.mp4"]
    for name in names(tmp_path / "command"):
        assert (tmp_path / "command" / name).read_bytes() == (tmp_path / "function" / name).read_bytes()
    assert (report.frames, report.people, report.failed) == (5, 0, ())
    assert [path.name for path in report.written] == ["clip.mp4", "clip.csv"]
    assert [(each.done, each.frames, each.source) for each in told] == [
        (n, 5, str(clip)) for n in range(1, 6)
    ]


def test_what_is_done_is_not_done_again(clip, small_model, tmp_path):
    hprnet_rt.annotate(clip, tmp_path / "out", model=small_model)
    again = hprnet_rt.annotate([clip], str(tmp_path / "out"), model=small_model)
    assert [each.status for each in again.files] == ["skipped"] and again.written == ()


def test_a_function_draws_in_the_place_of_skeletons(clip, small_model, tmp_path):
    def white(frame, poses):
        frame.image[...] = 255

    out = tmp_path / "white.mp4"
    hprnet_rt.annotate(clip, out, draw=white, model=small_model, keypoints=False)
    assert all(image.min() > 245 for _, image in clips.decodable(out))
    assert clips.audio_packets(out) == clips.audio_packets(clip)
    with pytest.raises(UsageError, match="exists, and was made with other settings"):
        hprnet_rt.annotate(clip, out, draw=white, model=small_model, keypoints=False)
    hprnet_rt.annotate(clip, out, draw=lambda frame, _: 0 * frame.image, model=small_model, overwrite=True)
    assert all(image.max() < 10 for _, image in clips.decodable(out))


def test_an_error_of_the_function_reaches_the_caller_and_keeps_what_was_done(clip, small_model, tmp_path):
    def draw(frame, poses):
        if frame.sequence == 3:
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        hprnet_rt.annotate(clip, tmp_path / "out", draw=draw, model=small_model)
    assert all(".partial" in name for name in names(tmp_path / "out"))


def test_one_file_that_fails_is_an_error_and_of_several_a_reason(clip, small_model, tmp_path, caplog):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(MediaError, match="not a video"):
        hprnet_rt.annotate(tmp_path / "text.mp4", tmp_path / "one", model=small_model)
    with caplog.at_level(logging.WARNING):
        report = hprnet_rt.annotate([clip, tmp_path / "text.mp4"], tmp_path / "two", model=small_model)
    assert [each.status for each in report.files] == ["done", "failed"]
    (failed,) = report.failed
    assert "not a video" in failed.reason and failed.reason in caplog.messages
    assert report.frames == 5


def test_one_name_need_not_be_in_a_tuple(clip, small_model, tmp_path):
    out = tmp_path / "out"
    hprnet_rt.annotate(clip, out, model=small_model, hide="face", formats="csv", limit=1)
    assert {path.suffix for path in out.iterdir()} == {".mp4", ".csv"}


def test_options_that_there_are_not_are_named(clip, tmp_path):
    with pytest.raises(UsageError, match="no option 'colour'; its options are video, keypoints, "):
        hprnet_rt.annotate(clip, tmp_path, colour="red")
    with pytest.raises(UsageError, match="no option 'drawn_by'"):
        hprnet_rt.annotate(clip, tmp_path, drawn_by="me")
    for wrong in (
        {"max_people": 0},
        {"hide": ("nose",)},
        {"blur": "hands"},
        {"only": "face"},
        {"blur": "faces", "max_people": 1},
    ):
        with pytest.raises(UsageError):
            hprnet_rt.annotate(clip, tmp_path, **wrong)


def test_the_command_has_the_options_too(clip, annotate_small, tmp_path):
    code, _, err = annotate_small(clip, "-o", tmp_path / "out", "--max-people", 0)
    assert (code, err.count("at least 1, got 0")) == (2, 1)
    options = ("--max-people", 3, "--hide", "face", "--hide", "ids", "--only", "skeleton")
    assert annotate_small(clip, "-o", tmp_path / "out", *options)[0] == 0
    header, _ = clips.read_keypoints(tmp_path / "out" / "clip.jsonl")
    assert header["options"]["max_people"] == 3 and "hide" not in header["options"]
    assert annotate_small(clip, "-o", tmp_path / "out", *options[:2])[0] == 1, "drawn otherwise"


def test_the_largest_people_are_left(seeing, tmp_path):
    still = tmp_path / "still.png"
    with hprnet_rt.stream(clips.SAMPLE, seeing) as video:
        frame, poses = next(video)
    cv2.imwrite(str(still), frame.image)
    assert len(poses) == 3
    for source, count in ((clips.SAMPLE, 4), (still, 1)):
        keypoints = tmp_path / f"{source.stem}.jsonl"
        report = hprnet_rt.annotate(
            source, keypoints, model=seeing, max_people=2, video=False, limit=4 if count > 1 else None
        )
        header, frames = clips.read_keypoints(keypoints)
        assert header["options"]["max_people"] == 2
        assert report.people == 2 * count
        assert len({tuple(person["track_id"] for person in each["people"]) for each in frames}) == 1


def test_the_command_hides_blurs_and_blackens(seeing, tmp_path, monkeypatch):
    from hprnet_rt import cli
    from hprnet_rt.commands import options

    monkeypatch.setattr(options, "load", lambda *_, **__: seeing)
    monkeypatch.setattr(seeing, "close", lambda: None)

    def run(*arguments):
        assert cli.main([*map(str, arguments), "-q"]) == 0

    def first(path):
        return clips.decodable(path)[0][1].astype(int)

    made = {
        "plain": (),
        "face": ("--hide", "face"),
        "blur": ("--blur", "faces"),
        "only": ("--only", "skeleton"),
    }
    for name, arguments in made.items():
        run("annotate", clips.SAMPLE, "-o", tmp_path / f"{name}.mp4", "--limit", 2, "--crf", 10, *arguments)
        drawn = tmp_path / f"{name}-again.mp4"
        run("render", clips.SAMPLE, tmp_path / "plain.jsonl", "-o", drawn, "--crf", 10, *arguments)
        away = np.abs(first(drawn) - first(tmp_path / f"{name}.mp4"))
        assert away.mean() < 0.2, "but for points that are rounded to 0.01 px in the file"
        lines = (tmp_path / f"{name}.jsonl").read_text().splitlines()
        assert json.loads(lines[1]) == json.loads((tmp_path / "plain.jsonl").read_text().splitlines()[1])
    plain = first(tmp_path / "plain.mp4")
    with hprnet_rt.stream(clips.SAMPLE, seeing) as video:
        _, poses = next(video)
    for x1, y1, x2, y2 in poses.face_xyxy.astype(int):
        for name in ("face", "blur"):
            away = np.abs(first(tmp_path / f"{name}.mp4") - plain)
            assert away[y1:y2, x1:x2].mean() > 4 * away[-100:].mean()
    assert first(tmp_path / "only.mp4")[-100:].max() < 30 < plain[-100:].max()


def test_faces_are_not_blurred_by_keypoints_that_lack_people(tmp_path, clip, small_model, capfd):
    from hprnet_rt import cli

    keypoints = tmp_path / "clip.jsonl"
    hprnet_rt.annotate(clip, keypoints, model=small_model, video=False, max_people=1)
    command = ["render", str(clip), str(keypoints), "-o", str(tmp_path / "out.mp4")]
    assert cli.main([*command, "--blur", "faces"]) == 2
    assert "only the largest people" in capfd.readouterr().err
    assert cli.main(command) == 0
