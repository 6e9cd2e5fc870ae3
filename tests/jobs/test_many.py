"""Many inputs in one run: lists, parts of videos, formats, several at once, and the report."""

import io
import json
import sys
from fractions import Fraction

import cv2
import pytest

import hprnet_rt.jobs.annotate_file as annotating
from hprnet_rt.formats import FORMATS, read_keypoints
from hprnet_rt.pipeline import Pipeline
from hprnet_rt.video import VideoSource, file_source
from tests import clips
from tests.zoo.web import Page, serving

FAILED, WRONG_USAGE = 1, 2


@pytest.fixture
def run(annotate_small):
    return annotate_small


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def numbers(path):
    return [frame["frame"] for frame in clips.read_keypoints(path)[1]]


# --- lists ---


@pytest.mark.parametrize("standard_input", [False, True])
def test_list_of_inputs_keeps_folders_and_reports_what_is_missing(run, tmp_path, monkeypatch, standard_input):
    for name in ("a/clip.mp4", "b/c/clip.mp4", "b/çığ 'one' -.mp4"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        clips.make(tmp_path / "in" / name, frames=3)
    monkeypatch.chdir(tmp_path)
    files = ("in/a/clip.mp4", "", f"{tmp_path}/in/b/c/clip.mp4", "in/b/none.mp4", "in/b/çığ 'one' -.mp4")
    text = "\n".join(("# from yesterday", *files, ""))
    (tmp_path / "list.txt").write_text(text, encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    code, out, err = run("--from", "-" if standard_input else "list.txt", "-o", "out", "--no-video")
    assert code == FAILED
    assert "4 files: 3 done, 1 failed" in out
    first, last = err.splitlines()
    assert "none.mp4 does not exist" in first
    assert "1 of 4" in last
    assert names(tmp_path / "out") == ["a/clip.jsonl", "b/c/clip.jsonl", "b/çığ 'one' -.jsonl"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((), "--from"),
        (("--from", "{}/none.txt"), "none.txt"),
        (("--from", "{}/empty.txt"), "no input"),
        (("--from", "{}/binary.txt"), "UTF-8"),
        (("--from", "{}/empty.txt", "--jobs", "0"), "jobs"),
        (("{}/clip.mp4", "--stride", "0"), "stride"),
        (("{}/clip.mp4", "--start", "5", "--end", "0:05"), "before the end"),
        (("{}/clip.mp4", "--start", "late"), "late"),
        (("{}/clip.mp4", "--format", "xml"), "xml"),
        (("{}/clip.mp4", "--format", "csv", "--no-keypoints"), "format"),
        (("{}/clip.mp4", "--format", "trc", "--no-track"), "tracking"),
        (("{}/clip.mp4", "--crf", "52"), "crf"),
        (("{}/clip.mp4", "--overwrite", "--skip-existing"), "replaced or left"),
    ],
)
def test_impossible_request_is_refused(run, tmp_path, arguments, word):
    (tmp_path / "empty.txt").write_text("# nothing\n")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    clips.make(tmp_path / "clip.mp4", frames=1)
    code, _, err = run(*(text.format(tmp_path) for text in arguments), "-o", tmp_path / "out")
    assert code == WRONG_USAGE
    assert word in err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


# --- addresses ---


def test_address_is_annotated_like_a_file_and_a_break_is_healed(run, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", frames=30, audio="aac", container={"movflags": "faststart"})
    data = source.read_bytes()
    with serving() as server:
        server.pages["/in/my%20clip.mp4?key=1"] = Page(data, breaks=[len(data) // 2])
        address = f"{server.url}/in/my%20clip.mp4?key=1"
        code, _, err = run(address, f"{server.url}/none.mp4", "-o", tmp_path / "out")
    assert code == FAILED
    assert "none.mp4" in err
    assert names(tmp_path / "out") == ["my clip.jsonl", "my clip.mp4"]
    assert clips.times(tmp_path / "out" / "my clip.mp4") == clips.times(source)
    assert clips.audio_packets(tmp_path / "out" / "my clip.mp4") == clips.audio_packets(source)
    assert clips.read_keypoints(tmp_path / "out" / "my clip.jsonl")[0]["source"] == address


# --- parts of videos ---


def test_stride_looks_at_every_nth_frame_and_keeps_numbers_and_times(run, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", frames=20)
    assert run(source, "-o", tmp_path / "out", "--stride", 6)[0] == 0
    assert numbers(tmp_path / "out" / "clip.jsonl") == [0, 6, 12, 18]
    assert clips.times(tmp_path / "out" / "clip.mp4") == clips.times(source)[::6]


def test_part_of_a_video_begins_at_zero_with_its_sound(run, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", frames=50, audio="aac")
    assert run(source, "-o", tmp_path / "out", "--start", "0:00.4", "--end", "1.2")[0] == 0
    assert numbers(tmp_path / "out" / "clip.jsonl") == list(range(10, 30))
    _, frames = clips.read_keypoints(tmp_path / "out" / "clip.jsonl")
    assert frames[0]["pts_s"] == 0.4
    assert clips.times(tmp_path / "out" / "clip.mp4") == [Fraction(n, 25) for n in range(20)]
    before = [each for each in clips.audio_packets(source) if each[1] >= Fraction(2, 5)]
    after = clips.audio_packets(tmp_path / "out" / "clip.mp4")
    assert len(after) == pytest.approx(0.8 * 48000 / 1024, abs=2)
    for (data, was_s), (same, is_s) in zip(before, after, strict=False):
        assert same == data
        # times are moved by whole samples
        assert abs(was_s - is_s - Fraction(2, 5)) < Fraction(1, 40000)


@pytest.mark.parametrize("start", ["0.4", "1.62", "2"])
def test_part_of_a_video_is_entered_at_a_key_frame(run, tmp_path, monkeypatch, start):
    source = clips.make(tmp_path / "clip.mkv", frames=60, options={"g": "8", "bf": "2"})
    entered, begin_at = [], VideoSource.begin_at
    monkeypatch.setattr(VideoSource, "begin_at", lambda *args: entered.append(args[1]) or begin_at(*args))
    assert run(source, "-o", tmp_path / "entered", "--start", start, "--stride", 2)[0] == 0
    assert 0 < entered[0].number <= float(start) * 25
    monkeypatch.setattr(file_source, "read_index", lambda *_: None)
    assert run(source, "-o", tmp_path / "straight", "--start", start, "--stride", 2)[0] == 0
    assert len(entered) == 1
    for name in ("clip.jsonl", "clip.mp4"):
        assert (tmp_path / "entered" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()


def test_time_counts_from_the_first_frame_of_a_file_that_begins_late(run, tmp_path):
    source = clips.make(tmp_path / "late.ts", frames=20, pts=[n + 100 for n in range(20)])
    assert run(source, "-o", tmp_path / "out", "--start", "0.4", "--no-video")[0] == 0
    assert numbers(tmp_path / "out" / "late.jsonl") == list(range(10, 20))


def test_part_without_a_frame_is_no_output(run, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", frames=5)
    code, _, err = run(source, "-o", tmp_path / "out", "--start", "10")
    assert code == FAILED
    assert "clip.mp4" in err
    assert names(tmp_path / "out") == []


def test_rate_factor_makes_a_video_smaller(run, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", draw=clips.noise)
    for crf in (15, 40):
        assert run(source, "-o", tmp_path / f"{crf}.mp4", "--crf", crf)[0] == 0
    assert (tmp_path / "40.mp4").stat().st_size < 0.5 * (tmp_path / "15.mp4").stat().st_size


# --- formats ---


def test_every_format_can_be_written_at_once(run, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", frames=5)
    wanted = [name for name in FORMATS if not name.startswith("parquet")]
    formats = [word for name in wanted for word in ("--format", name)]
    code, out, err = run(source, "-o", tmp_path / "out", *formats)
    assert (code, err) == (0, "")
    for name in wanted:
        path = tmp_path / "out" / f"clip{FORMATS[name].suffix}"
        assert str(path) in out
        if FORMATS[name].read is None:
            assert path.is_dir()
            continue
        assert len(list(read_keypoints(path).frames)) == (0 if name == "coco" else 5)
    assert not list((tmp_path / "out").glob("*partial*"))


def test_name_of_a_single_output_says_its_format(run, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", frames=5)
    assert run(source, "-o", tmp_path / "out.csv", "--no-video")[0] == 0
    assert len(list(read_keypoints(tmp_path / "out.csv").frames)) == 5
    code, _, err = run(source, "-o", tmp_path / "out.npz", "--no-video", "--format", "csv")
    assert code == WRONG_USAGE
    assert "out.npz" in err


# --- done before ---


def test_same_command_does_only_what_is_new(run, tmp_path, monkeypatch):
    folder = tmp_path / "in"
    folder.mkdir()
    clips.make(folder / "1.mp4", frames=3)
    (folder / "2.mp4").write_text("no video")
    assert cv2.imwrite(str(folder / "3.png"), clips.picture(0, 160, 96))
    assert run(folder, "-o", tmp_path / "out")[0] == FAILED
    before = {name: (tmp_path / "out" / name).read_bytes() for name in names(tmp_path / "out")}
    assert set(before) == {"1.jsonl", "1.mp4", "3.jsonl", "3.png"}
    clips.make(folder / "2.mp4", frames=3)
    ran = []
    begin = Pipeline.start
    monkeypatch.setattr(Pipeline, "start", lambda self: ran.append(1) or begin(self))
    code, out, err = run(folder, "-o", tmp_path / "out")
    assert (code, err, len(ran)) == (0, "", 1)
    assert "3 files: 1 done, 2 skipped" in out
    assert {name: (tmp_path / "out" / name).read_bytes() for name in before} == before


def test_format_without_a_header_is_skipped_when_told(run, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", frames=3)
    arguments = (source, "-o", tmp_path / "out", "--no-video", "--format", "csv")
    assert run(*arguments)[0] == 0
    code, _, err = run(*arguments)
    assert code == WRONG_USAGE
    assert "--skip-existing" in err
    code, out, _ = run(*arguments, "--skip-existing")
    assert code == 0
    assert "skipped" in out


# --- several at once, and the report ---


def test_report_says_what_became_of_every_file(run, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for n in range(4):
        clips.make(folder / f"{n}.mp4", frames=5 + n)
    (folder / "4.mp4").write_text("no video")
    cut = clips.make(folder / "5.mp4", frames=60, container={"movflags": "faststart"})
    decodable = len(clips.times(clips.cut(cut, 0.6)))
    assert run(folder / "0.mp4", "-o", tmp_path / "out")[0] == 0
    code, out, _ = run(
        folder, "-o", tmp_path / "out", "--jobs", 3, "--report", tmp_path / "r" / "report.json"
    )
    assert code == FAILED
    assert "6 files: 3 done, 1 damaged, 1 skipped, 1 failed" in out
    report = json.loads((tmp_path / "r" / "report.json").read_text())
    assert [report[status] for status in ("done", "damaged", "skipped", "failed")] == [3, 1, 1, 1]
    files = {file["source"].rsplit("/", 1)[-1]: file for file in report["files"]}
    assert [files[f"{n}.mp4"]["status"] for n in range(6)] == ["skipped", *["done"] * 3, "failed", "damaged"]
    assert [files[f"{n}.mp4"]["frames"] for n in (1, 2, 3, 5)] == [6, 7, 8, decodable]
    assert "not a video" in files["4.mp4"]["reason"]
    assert "cut off" in files["5.mp4"]["reason"]
    for n in (1, 2, 3):
        assert clips.times(tmp_path / "out" / f"{n}.mp4") == clips.times(folder / f"{n}.mp4")
        assert sorted(files[f"{n}.mp4"]["outputs"]) == [
            str(tmp_path / "out" / f"{n}{end}") for end in (".jsonl", ".mp4")
        ]


def test_unexpected_error_of_one_file_is_a_failure_of_that_file(run, tmp_path, monkeypatch):
    for n in range(3):
        clips.make(tmp_path / f"{n}.mp4", frames=3)
    opened = annotating.open_source

    def broken(path, *more):
        if path.name == "1.mp4":
            raise ZeroDivisionError("a bug")
        return opened(path, *more)

    monkeypatch.setattr(annotating, "open_source", broken)
    code, _, err = run(tmp_path / "*.mp4", "-o", tmp_path / "out", "--no-video")
    assert code == FAILED
    assert "ZeroDivisionError: a bug" in err
    assert names(tmp_path / "out") == ["0.jsonl", "2.jsonl"]


# --- what changes while it is read or written ---


def test_input_that_grows_is_told(run, tmp_path, monkeypatch):
    source = clips.make(tmp_path / "clip.ts", frames=10)
    write = annotating.Outputs.write

    def write_while_it_grows(self, item):
        write(self, item)
        if item.frame.sequence == 5:
            with source.open("ab") as file:
                file.write(b"more")

    monkeypatch.setattr(annotating.Outputs, "write", write_while_it_grows)
    code, _, err = run(source, "-o", tmp_path / "out")
    assert code == FAILED
    assert "changed while it was read" in err
    assert len(clips.times(tmp_path / "out" / "clip.mp4")) == 10


@pytest.mark.parametrize("removed", ["clip.partial.jsonl", "clip.partial.mp4", ""])
@pytest.mark.parametrize("formats", [(), ("--format", "csv")])
def test_output_removed_in_the_middle_is_a_sentence(run, tmp_path, monkeypatch, removed, formats):
    source = clips.make(tmp_path / "clip.mp4", frames=10)
    write = annotating.Outputs.write
    out = tmp_path / "out"

    def write_and_remove(self, item):
        write(self, item)
        if item.frame.sequence == 5:
            for path in out.iterdir():
                if path.name == removed or not removed:
                    path.unlink()
            if not removed:
                out.rmdir()

    monkeypatch.setattr(annotating.Outputs, "write", write_and_remove)
    code, _, err = run(source, "-o", out, *formats)
    assert code == FAILED
    assert "Traceback" not in err
    assert len(err.splitlines()) == 1
    finished = [name for name in names(out) if "partial" not in name] if out.exists() else []
    assert finished in ([], ["clip.csv"], ["clip.mp4"])  # which are complete
