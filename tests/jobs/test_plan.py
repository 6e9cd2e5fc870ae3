"""What annotate decides before any work: which inputs, under which names, and that no file is lost."""

import itertools
import json
import sys
import threading
from fractions import Fraction

import cv2
import pytest

import hprnet_rt.jobs.annotate_file as annotating
import hprnet_rt.jobs.file_run as file_run
from hprnet_rt.jobs.annotate_file import annotate_file
from hprnet_rt.jobs.options import AnnotateOptions
from hprnet_rt.jobs.plan import plan
from hprnet_rt.video.identity import source_check
from tests import clips

FAILED, WRONG_USAGE = 1, 2


@pytest.fixture
def run(annotate_small):
    return annotate_small


@pytest.fixture
def interrupted(small_model, monkeypatch):
    """Annotate some frames of a source and stop, with a checkpoint behind them."""
    monkeypatch.setattr(file_run, "_DURABLE_S", 0.0)

    def do(source, out, **more):
        options = AnnotateOptions(**more)
        (job,) = plan([str(source)], out, options)
        cancelled, seen = threading.Event(), itertools.count(1)

        def progress(_item):
            if next(seen) == 5:
                cancelled.set()

        assert annotate_file(job, small_model, options, progress=progress, cancelled=cancelled).cancelled
        assert list(out.glob("*.partial.state"))

    return do


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def contents(folder):
    return {name: (folder / name).read_bytes() for name in names(folder)}


# --- outputs that exist ---


@pytest.mark.parametrize("more", [(), ("--format", "csv", "--no-video"), ("--format", "npz", "--no-video")])
def test_an_interrupted_run_gives_no_right_to_replace_other_files(run, interrupted, tmp_path, more):
    source = clips.make(tmp_path / "clip.mp4", frames=20)
    interrupted(source, tmp_path / "out", video=False)
    for suffix in ("mp4", "csv", "npz"):
        (tmp_path / "out" / f"clip.{suffix}").write_text("mine")
    before = contents(tmp_path / "out")
    code, _, err = run(source, "-o", tmp_path / "out", *more)
    assert code == FAILED
    assert "--overwrite" in err
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize("more", [{}, {"smooth": "zero-lag"}])
def test_killed_between_names_that_bear_no_mark_continues(small_model, tmp_path, monkeypatch, more):
    source = clips.make(tmp_path / "clip.mp4", frames=5)
    options = AnnotateOptions(video=False, formats=("csv", "coco", "openpose"), **more)
    (job,) = plan([str(source)], tmp_path / "out", options)
    with monkeypatch.context() as patch:
        patch.setattr(file_run.Journal, "commit", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            annotate_file(job, small_model, options)
    (job,) = plan([str(source)], tmp_path / "out", options)
    assert annotate_file(job, small_model, options).resumed == 5
    assert not list((tmp_path / "out").glob("*.partial*"))


def test_output_that_is_missing_is_made_again_beside_the_own_ones(run, tmp_path):
    for n in range(3):
        clips.make(tmp_path / "in" / f"{n}.mp4", frames=3) if n else (tmp_path / "in").mkdir()
    folder, out = tmp_path / "in", tmp_path / "out"
    assert run(folder, "-o", out)[0] == 0
    (out / "1.mp4").unlink()
    code, said, err = run(folder, "-o", out, "--skip-existing")
    assert (code, err) == (0, "")
    assert "2 files: 1 done, 1 skipped" in said
    assert names(out) == ["1.jsonl", "1.mp4", "2.jsonl", "2.mp4"]


def test_output_of_something_else_fails_its_file_only(run, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    for n in range(3):
        clips.make(tmp_path / "in" / f"{n}.mp4", frames=3)
    (tmp_path / "out" / "1.jsonl").write_text("mine")
    code, said, err = run(tmp_path / "in", "-o", tmp_path / "out", "--skip-existing")
    assert code == FAILED
    assert "3 files: 2 done, 1 failed" in said
    assert "1.jsonl exists" in err
    assert "--skip-existing" not in err
    assert (tmp_path / "out" / "1.jsonl").read_text() == "mine"


def test_video_of_something_else_is_not_taken_for_done(run, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", frames=3)
    assert run(source, "-o", tmp_path / "out", "--no-video")[0] == 0
    clips.make(tmp_path / "out" / "clip.mp4", frames=7)
    before = contents(tmp_path / "out")
    code, said, err = run(source, "-o", tmp_path / "out")
    assert (code, "skipped" in said) == (FAILED, False)
    assert "clip.mp4 exists" in err
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize("suffix", ["mp4", "m4v", "mov", "mkv"])
def test_video_of_another_compression_is_not_taken_for_done(run, tmp_path, suffix):
    source = clips.make(tmp_path / "clip.mp4", frames=3)
    out = tmp_path / f"out.{suffix}"
    assert run(source, "-o", out)[0] == 0
    before = out.read_bytes()
    assert "skipped" in run(source, "-o", out)[1]
    for other in (("--crf", "0"), ("--encoder", "libx265")):
        code, _, err = run(source, "-o", out, *other)
        assert code == FAILED
        assert "other settings" in err
    assert out.read_bytes() == before


def test_what_runs_without_a_check_of_the_source_have_made_is_done(run, tmp_path, monkeypatch):
    source = clips.make(tmp_path / "clip.mp4", frames=5)
    known = annotating.make_header

    def older(*arguments, **options):
        said = known(*arguments, **options)
        del said["source_check"]
        return said

    with monkeypatch.context() as patch:
        patch.setattr(annotating, "make_header", older)
        patch.setattr(file_run, "video_settings", lambda _: {})
        assert run(source, "-o", tmp_path / "out")[0] == 0
    before = contents(tmp_path / "out")
    assert b"source_check" not in before["clip.jsonl"]
    code, said, _ = run(source, "-o", tmp_path / "out")
    assert (code, "skipped" in said) == (0, True)
    assert contents(tmp_path / "out") == before


# --- the same source ---


def same_size(path, *, index):
    """A clip that differs in its pictures alone, of one size whatever they are."""
    return clips.make(
        path, codec="rawvideo", pix_fmt="bgr24", draw=lambda n, *size: clips.noise(100 * index + n, *size)
    )


def test_replaced_file_of_one_size_is_not_continued(run, interrupted, tmp_path):
    source = same_size(tmp_path / "clip.avi", index=0)
    size = source.stat().st_size
    interrupted(source, tmp_path / "out", video=False)
    before = contents(tmp_path / "out")
    same_size(source, index=1)
    assert source.stat().st_size == size
    code, _, err = run(source, "-o", tmp_path / "out", "--no-video")
    assert code == FAILED
    assert "another source_check" in err
    assert contents(tmp_path / "out") == before


def test_state_without_a_check_of_the_source_is_refused_and_kept(run, interrupted, tmp_path, monkeypatch):
    source = clips.make(tmp_path / "clip.mp4", frames=20)
    with monkeypatch.context() as patch:
        patch.setattr("hprnet_rt.jobs.fingerprint.source_check", lambda *_: None)
        interrupted(source, tmp_path / "out", video=False)
    before = contents(tmp_path / "out")
    code, _, err = run(source, "-o", tmp_path / "out", "--no-video")
    assert code == FAILED
    assert "source_check (None; now " in err
    assert contents(tmp_path / "out") == before


def test_replaced_file_of_one_size_is_not_taken_for_done(run, tmp_path):
    source = same_size(tmp_path / "clip.avi", index=0)
    assert run(source, "-o", tmp_path / "out", "--no-video", "--limit", 2)[0] == 0
    same_size(source, index=1)
    code, _, err = run(source, "-o", tmp_path / "out", "--no-video", "--limit", 2)
    assert code == FAILED
    assert "of another file" in err


def test_check_is_of_both_ends_and_not_of_what_was_appended(tmp_path):
    path = tmp_path / "file"
    data = bytes(range(256)) * 1024
    path.write_bytes(data)
    check = source_check(path, len(data))
    path.write_bytes(data + b"more")
    assert source_check(path, len(data)) == check
    for at in (0, 65_535, len(data) - 65_536, len(data) - 1):
        path.write_bytes(data[:at] + b"?" + data[at + 1 :])
        assert source_check(path, len(data)) != check
    path.write_bytes(b"")
    assert source_check(path, 0) is not None
    assert source_check("https://host/file", 4) is None
    assert source_check(tmp_path / "none", 4) is None


def test_check_of_numbered_images_is_of_all_of_them(tmp_path):
    pattern = tmp_path / "img_%02d.png"
    for n in range(4):
        (tmp_path / f"img_{n:02}.png").write_bytes(bytes(100 + n))
    check = source_check(pattern, 406)
    (tmp_path / "img_01.png").write_bytes(bytes(102))
    (tmp_path / "img_02.png").write_bytes(bytes(101))
    assert source_check(pattern, 406) != check


# --- names ---


def test_output_is_not_called_like_an_unfinished_one(run, tmp_path):
    source = clips.make(tmp_path / "a.partial.mp4", frames=3)
    code, _, err = run(source, "-o", tmp_path / "out")
    assert code == WRONG_USAGE
    assert "-o " in err
    assert not (tmp_path / "out").exists()
    assert run(source, "-o", tmp_path / "out" / "a.mp4")[0] == 0


def test_pattern_passes_over_partial_files_and_keeps_places(run, tmp_path, monkeypatch):
    for name in ("a/1.mp4", "b/1.mp4", "b/1.partial.mp4"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        clips.make(tmp_path / "in" / name, frames=1)
    monkeypatch.chdir(tmp_path)
    assert run("in/*/*.mp4", "-o", "out", "--no-video")[0] == 0
    assert names(tmp_path / "out") == ["a/1.jsonl", "b/1.jsonl"]
    assert run("in/b/../*/1.mp4", "-o", "dots", "--no-video")[0] == 0
    assert names(tmp_path / "dots") == ["a/1.jsonl", "b/1.jsonl"]
    code, _, err = run("in/a/1.mp4", "in/b/1.mp4", "-o", "more", "--no-video")
    assert code == WRONG_USAGE
    assert "folder" in err


def test_linked_folders_are_looked_into_once_on_each_way(run, tmp_path):
    for name in ("in/sub/1.mp4", "elsewhere/2.mp4", "out/sub/3.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        clips.make(tmp_path / name, frames=1)
    (tmp_path / "in" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "sub" / "up").symlink_to(tmp_path / "in")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "in" / "sub")
    (tmp_path / "in" / "results").symlink_to(tmp_path / "out")
    jobs = plan([str(tmp_path / "in")], tmp_path / "out", AnnotateOptions(video=False))
    found = [str(job.source.relative_to(tmp_path / "in")) for job in jobs]
    assert found == ["link/2.mp4", "link/back/1.mp4", "sub/1.mp4"]


@pytest.mark.parametrize("out", ["in", "."])
def test_keypoints_may_go_beside_the_inputs_of_a_folder(run, tmp_path, monkeypatch, out):
    (tmp_path / "in").mkdir()
    clips.make(tmp_path / "in" / "clip.mp4", frames=3)
    monkeypatch.chdir(tmp_path)
    assert run("in", "-o", out, "--no-video")[0] == 0
    assert "skipped" in run("in", "-o", out, "--no-video")[1]
    assert (tmp_path / out / "clip.jsonl").exists()


def test_results_inside_a_folder_named_in_full_are_no_inputs(run, tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    clips.make(tmp_path / "in" / "clip.mp4", frames=3)
    monkeypatch.chdir(tmp_path)
    assert run(tmp_path / "in", "-o", "in/out")[0] == 0
    code, said, err = run(tmp_path / "in", "-o", "in/out")
    assert (code, err) == (0, "")
    assert "skipped" in said


def test_name_too_long_for_what_smoothing_would_leave_is_no_trouble(run, tmp_path):
    source = clips.make(tmp_path / f"{'n' * 235}.mp4", frames=3)
    code, _, err = run(source, "-o", tmp_path / "out", "--no-video")
    assert (code, err) == (0, "")
    other = clips.make(tmp_path / f"{'m' * 248}.mp4", frames=3)
    code, said, err = run(source, other, "-o", tmp_path / "out", "--no-video")
    assert code == FAILED
    assert "1 failed" in said
    assert "too long" in err
    assert "unexpectedly" not in err


# --- the report ---


@pytest.mark.parametrize(
    ("report", "word"),
    [
        ("in/clip.mp4", "input"),
        ("out/clip.jsonl", "output"),
        ("out/clip.partial.jsonl", "output"),
        ("out/clip.partial.state", "output"),
        ("out", "folder"),
        ("notes.txt", "no report"),
        ("notes.txt/report.json", "folder"),
    ],
)
def test_report_replaces_no_other_file(run, tmp_path, monkeypatch, report, word):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    clips.make(tmp_path / "in" / "clip.mp4", frames=3)
    (tmp_path / "notes.txt").write_text("mine")
    before = contents(tmp_path)
    monkeypatch.chdir(tmp_path)
    code, _, err = run("in/clip.mp4", "-o", "out", "--no-video", "--report", report)
    assert code in (FAILED, WRONG_USAGE)
    assert word in err
    assert contents(tmp_path) == before


def test_report_is_replaced_by_the_next(run, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", frames=3)
    arguments = (source, "-o", tmp_path / "out", "--no-video", "--report", tmp_path / "report.json")
    for status in ("done", "skipped"):
        assert run(*arguments)[0] == 0
        assert json.loads((tmp_path / "report.json").read_text())[status] == 1
    assert names(tmp_path) == ["clip.mp4", "out/clip.jsonl", "report.json"]


def test_damage_is_told_again_until_the_source_is_whole(run, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", frames=60, container={"movflags": "faststart"})
    whole = source.read_bytes()
    clips.cut(source, 0.6)
    report = tmp_path / "report.json"
    for more in ((), (), ("--skip-existing",)):
        code, _, err = run(source, "-o", tmp_path / "out", "--no-video", "--report", report, *more)
        assert code == FAILED
        assert "cut off" in err
        (file,) = json.loads(report.read_text())["files"]
        assert (file["status"], "cut off" in file["reason"]) == ("damaged", True)
        assert file["outputs"] == [str(tmp_path / "out" / "clip.jsonl")]
    source.write_bytes(whole)
    assert run(source, "-o", tmp_path / "out", "--no-video", "--overwrite")[0] == 0
    assert names(tmp_path / "out") == ["clip.jsonl"]


# --- parts ---


def test_images_have_no_parts(run, tmp_path):
    clips.make(tmp_path / "clip.mp4", frames=20)
    assert cv2.imwrite(str(tmp_path / "photo.png"), clips.picture(0, 160, 96))
    code, said, err = run(tmp_path / "*.*", "-o", tmp_path / "out", "--start", "0.4", "--stride", 3)
    assert (code, err) == (0, "")
    assert "2 files: 2 done" in said
    assert len(clips.read_keypoints(tmp_path / "out" / "photo.jsonl")[1]) == 1


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--end", "inf"), "end"),
        (("--end", "nan"), "end"),
        (("--start", "1:-59.5"), "1:-59.5"),
        (("--rate", "1e10"), "rate"),
        (("--rate", "1e-10"), "rate"),
    ],
)
def test_number_that_makes_no_sense_is_refused(run, tmp_path, arguments, word):
    clips.make(tmp_path / "clip.mp4", frames=1)
    code, _, err = run(tmp_path / "clip.mp4", "-o", tmp_path / "out", *arguments)
    assert code == WRONG_USAGE
    assert word in err.splitlines()[-1]
    assert "Traceback" not in err


@pytest.mark.parametrize("rate", ["10000", "0.001", "25.12345678901"])
def test_extreme_rates_of_images_can_be_written(run, tmp_path, rate):
    for n in range(3):
        assert cv2.imwrite(str(tmp_path / f"img_{n}.png"), clips.picture(n, 160, 96))
    assert run(tmp_path / "img_%d.png", "-o", tmp_path / "out.mp4", "--rate", rate)[0] == 0
    second = clips.times(tmp_path / "out.mp4")[1]
    assert abs(second * Fraction(rate) - 1) < Fraction(1, 1000)


def test_stride_beyond_any_video_gives_its_first_frame(run, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", frames=3)
    assert run(source, "-o", tmp_path / "out", "--stride", 10_000_000)[0] == 0
    assert clips.times(tmp_path / "out" / "clip.mp4") == [0]


# --- lists ---


def test_list_of_windows_begins_with_its_first_file(run, tmp_path, monkeypatch):
    clips.make(tmp_path / "clip.mp4", frames=1)
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbfclip.mp4\r\n")
    monkeypatch.chdir(tmp_path)
    assert run("--from", "list.txt", "-o", "out", "--no-video")[0] == 0


def test_list_that_cannot_be_one_is_refused(run, tmp_path, monkeypatch):
    (tmp_path / "list.txt").write_bytes(b"a.mp4\0b.mp4\0")
    code, _, err = run("--from", tmp_path / "list.txt", "-o", tmp_path / "out")
    assert code == WRONG_USAGE
    assert "NUL" in err
    monkeypatch.setattr(sys, "stdin", None)
    code, _, err = run("--from", "-", "-o", tmp_path / "out")
    assert code == WRONG_USAGE
    assert "standard input is closed" in err
